# /// script
# requires-python = ">=3.11"
# dependencies = ["davidgen-hf>=0.1"]
# ///
"""Write the rows that a generator or a follower is trained on: the columns `prompt` and `completion`, as Parquet.

# Table 9's prompts, from seeds that people wrote (Self-Instruct's)
python recipes/paper/rows.py generator seed_tasks.jsonl rows/seed.parquet

# Table 7's prompts, from a dataset with other column names
python recipes/paper/rows.py follower databricks/databricks-dolly-15k rows/dolly_follower.parquet \
    --columns instruction=instruction input=context output=response
"""

import argparse
from pathlib import Path

from datasets import Dataset

from davidgen_hf.commandline import run_command_line
from davidgen_hf.errors import InputError
from davidgen_hf.processors import ReverseSeeds, apply
from davidgen_hf.prompts import render_follower
from davidgen_hf.sources.rows import read_rows

NAMES = ("instruction", "input", "output")


def read_pairs(source: str, columns: dict[str, str], max_rows: int | None, seed: int) -> Dataset:
    """Return a sample of the rows of ``source`` that have an instruction and an output.

    Raises:
        InputError: The source cannot be read, or no row has both.
    """
    rows = []
    for place, row in read_rows(source):
        for one in row.get("instances", [{}]):  # Self-Instruct's form
            pair = {name: ((row | one).get(columns.get(name, name)) or "").strip() for name in NAMES}
            if pair["instruction"] and pair["output"]:
                rows.append({"id": place, **pair})
    if not rows:
        raise InputError(f"{source} has no row with instruction and output. Name its columns: --columns output=NAME.")
    pairs = Dataset.from_list(rows).shuffle(seed)
    return pairs.select(range(min(max_rows or len(pairs), len(pairs))))


def write_rows(argv: list[str] | None = None) -> None:
    """Read the command line, and write the rows it asks for.

    Raises:
        InputError: As ``read_pairs``.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("generator", "follower"))
    parser.add_argument("source", help=".jsonl, .csv or .parquet file, a folder of them, or a Hub dataset id")
    parser.add_argument("output", type=Path, help="the .parquet file to write")
    parser.add_argument("--columns", nargs="*", default=[], metavar="NAME=COLUMN", help=f"where {NAMES} stand")
    parser.add_argument("--max_rows", type=int, help="size of the sample")
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args(argv)
    pairs = read_pairs(args.source, dict(one.split("=", 1) for one in args.columns), args.max_rows, args.seed)
    if args.kind == "generator":
        rows = apply(ReverseSeeds(), pairs)
    else:
        prompts = [render_follower(row["instruction"], row["input"]) for row in pairs]
        rows = pairs.add_column("prompt", prompts).add_column("completion", pairs["output"])
    args.output.parent.mkdir(parents=True, exist_ok=True)
    rows.select_columns(["prompt", "completion"]).to_parquet(args.output)


if __name__ == "__main__":
    run_command_line(write_rows, "rows.py")
