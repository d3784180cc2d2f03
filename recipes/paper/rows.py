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

# The corpus of a run, or an exported one, as one file
python recipes/paper/rows.py follower runs/unsupervised/corpus corpora/unsupervised.parquet
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets import Dataset
from datasets.arrow_writer import ArrowWriter

from davidgen_hf.commandline import run_command_line
from davidgen_hf.processors import ReverseSeeds, apply
from davidgen_hf.processors.base import Batch
from davidgen_hf.prompts import render_follower
from davidgen_hf.schema import SEED
from davidgen_hf.sources.origins import source_part
from davidgen_hf.sources.seeds import SeedColumns, SeedSource, iterate_seeds
from davidgen_hf.sources.source import Skipped, Source
from davidgen_hf.training.judging import require_allowed

ALLOW = "Here, that is the option --allow_restricted."
NAMES = ("instruction", "input", "output")


@contextmanager
def read_pairs(source: str, columns: dict[str, str], max_rows: int | None, seed: int) -> Iterator[Dataset]:
    """Open a sample of the rows of ``source`` that have an instruction and an output.

    The rows are in a temporary file rather than in memory, and so are the prompts made from them.

    Raises:
        InputError: The source cannot be read, or no row has both.
    """
    named = SeedColumns(**columns) if columns else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pairs.arrow")
        with ArrowWriter(path=str(path), features=SEED) as writer:
            for row in iterate_seeds(SeedSource(source, columns=named), Skipped()):
                writer.write(row | {name: row[name].strip() for name in NAMES})
            writer.finalize()
        pairs = Dataset.from_file(str(path)).shuffle(seed)
        yield pairs.select(range(min(max_rows or len(pairs), len(pairs))))


def render_pairs(batch: Batch) -> Batch:
    """Return the follower's prompt and completion of each pair."""
    pairs = zip(batch["instruction"], batch["input"], strict=True)
    return {"prompt": [render_follower(*pair) for pair in pairs], "completion": batch["output"]}


def write_rows(argv: list[str] | None = None) -> None:
    """Read the command line, and write the rows that it names.

    Raises:
        InputError: As ``read_pairs``.
        ProvenanceError: The source is restricted, and ``--allow_restricted`` is not given.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("generator", "follower"))
    parser.add_argument("source", help=".jsonl, .csv or .parquet file, a folder of them, or a Hub dataset id")
    parser.add_argument("output", type=Path, help="the .parquet file to write")
    parser.add_argument(
        "--columns", nargs="*", default=[], metavar="NAME=COLUMN", type=parse_column, help=f"columns that hold {NAMES}"
    )
    parser.add_argument("--max_rows", type=int, help="size of the sample")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument(
        "--allow_restricted", action="store_true", help="write rows of restricted data, each marked as restricted"
    )
    args = parser.parse_args(argv)
    part = source_part("data", Source(args.source).resolved())
    provenance = require_allowed([part], [args.source], args.allow_restricted, ALLOW)
    with read_pairs(args.source, dict(args.columns), args.max_rows, args.seed) as pairs:
        rows = apply(ReverseSeeds(), pairs) if args.kind == "generator" else pairs.map(render_pairs, batched=True)
        args.output.parent.mkdir(parents=True, exist_ok=True)
        rows = rows.select_columns(["prompt", "completion"])
        if provenance.restricted:
            rows = rows.add_column("restricted", [True] * len(rows))
        rows.to_parquet(args.output)


def parse_column(text: str) -> list[str]:
    """Return name and column of ``NAME=COLUMN``."""
    name, equals, column = text.partition("=")
    if name not in NAMES or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=COLUMN, where NAME is one of {', '.join(NAMES)}")
    return [name, column]


if __name__ == "__main__":
    run_command_line(write_rows, "rows.py")
