"""How fast is a built folder loaded, and how much memory does building it take? ``python -m benchmarks.loading``.

A run folder is filled with rows of the embedded passages, cut and joined anew so that no two are alike. Its pairs are
then loaded from the folder that ``build_folder`` makes of it, and, in turn, from the one file that
``Dataset.to_parquet`` makes of the same rows, each time into an empty cache; a reader that streams goes through both.
The memory of building is that of a process of its own, for the rows and for four times as many.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from datasets import Dataset, Features, disable_progress_bars, load_dataset

from davidgen_hf import prompts, schema
from davidgen_hf.provenance import Provenance
from davidgen_hf.publish.builder import PAIRS
from davidgen_hf.publish.folder import build_folder
from davidgen_hf.recipe import load_recipe
from davidgen_hf.sources.embedded import passages
from davidgen_hf.storage.shards import write_shard

SHARD_ROWS = 256
ROWS = Features(PAIRS | schema.SCORED)
BUILDING = (
    "import resource, sys; from davidgen_hf.publish.folder import build_folder; "
    "build_folder([sys.argv[1]], sys.argv[2]); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
)


def fill_run(folder: Path, rows: int) -> None:
    """Write a run's record and shards of ``rows`` pairs with four candidates each."""
    texts = passages()
    sentences = [one for text in texts["text"] for one in text.split(". ")]
    draw = random.Random(0)
    for start in range(0, rows, SHARD_ROWS):
        made = [_row(number, texts[0], sentences, draw) for number in range(start, min(rows, start + SHARD_ROWS))]
        shard = Dataset.from_list(made, features=ROWS)
        write_shard(shard, folder / "corpus" / f"{start // SHARD_ROWS:05d}.parquet", Counter(pairs=len(made)), 0.0)
    recipe = load_recipe("demo")
    counts = {"fragments": {}, "scored": {}, "corpus": {"pairs": rows}}
    steps = {"seeds": {}, "corpus": {"counts": counts}}
    record = {"name": "loading", "demo": True, "recipe": recipe.text, "versions": {}, "steps": steps}
    record |= {"provenance": Provenance(()).record()}
    for step in steps.values():
        step |= {"skipped": {"counts": {}, "places": {}}, "seconds": 0.0}
    (folder / "run.json").write_text(json.dumps(record))


def _row(number: int, passage: dict, sentences: list[str], draw: random.Random) -> dict:
    text = ". ".join(draw.sample(sentences, 4))
    candidates = [schema.empty_candidate(instruction=draw.choice(sentences), nll=draw.random()) for _ in range(4)]
    instruction = candidates[0]["instruction"]
    row = dict.fromkeys(ROWS) | passage | {"id": str(number), "text": text, "output": text, "strategy": "whole"}
    follower = {"prompt": prompts.render_follower(instruction), "completion": text}
    found = {"instruction": instruction, "input": "", "perplexity": draw.random(), "margin": draw.random()}
    return row | {"start": 0, "end": len(text), "candidates": candidates} | found | follower


def race(contenders: dict[str, Callable[[Path], object]], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return seconds and processor seconds of each contender in each round; who begins changes from round to round."""
    times: dict[str, dict[str, list[float]]] = {name: {"seconds": [], "processor": []} for name in contenders}
    for number in range(rounds):
        names = list(contenders) if number % 2 else list(reversed(contenders))
        for name in names:
            with tempfile.TemporaryDirectory() as cache:
                started, processor = time.perf_counter(), time.process_time()
                contenders[name](Path(cache))
                times[name]["processor"].append(round(time.process_time() - processor, 3))
                times[name]["seconds"].append(round(time.perf_counter() - started, 3))
    return times


def main() -> None:
    """Race the folders, measure the memory, and write both down."""
    parser = argparse.ArgumentParser("python -m benchmarks.loading", description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="Measure the memory of building, too.")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results") / "loading.json")
    args = parser.parse_args()
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fill_run(folder / "run", args.rows)
        started = time.perf_counter()
        built = str(build_folder([folder / "run"], folder / "built"))
        result: dict = {"rows": args.rows, "build_seconds": round(time.perf_counter() - started, 2)}
        (folder / "plain").mkdir()
        plain = str(folder / "plain")
        rows = load_dataset(built, "unsupervised", split="train", cache_dir=str(folder / "cache"))
        rows.to_parquet(f"{plain}/train.parquet")
        result["loading"] = race(
            {
                "built": lambda cache: load_dataset(built, "unsupervised", split="train", cache_dir=str(cache)),
                "to_parquet": lambda cache: load_dataset(plain, split="train", cache_dir=str(cache)),
            },
            args.rounds,
        )
        result["streaming"] = race(
            {
                "built": lambda _: _exhaust(load_dataset(built, "unsupervised", split="train", streaming=True)),
                "to_parquet": lambda _: _exhaust(load_dataset(plain, split="train", streaming=True)),
            },
            args.rounds,
        )
        for part in ("loading", "streaming"):
            for kind in ("seconds", "processor"):
                pairs = zip(result[part]["built"][kind], result[part]["to_parquet"][kind], strict=True)
                result[f"{part}_{kind}_ratio"] = round(statistics.median(b / a for a, b in pairs), 3)
        result["bytes"] = {
            "built": sum(path.stat().st_size for path in Path(built).glob("data/unsupervised/*")),
            "to_parquet": Path(plain, "train.parquet").stat().st_size,
        }
        if args.memory:
            result["build_peak_mb"] = {str(times * args.rows): _peak(folder, times * args.rows) for times in (1, 4)}
    print(json.dumps(result, indent=1))
    args.output.write_text(json.dumps(result, indent=1) + "\n")


def _exhaust(rows: object) -> None:
    for _ in rows.iter(batch_size=1000):
        pass


def _peak(folder: Path, rows: int) -> int:
    run, output = folder / f"run{rows}", folder / f"built{rows}"
    fill_run(run, rows)
    ended = subprocess.run(
        [sys.executable, "-c", BUILDING, str(run), str(output)], capture_output=True, text=True, check=True
    )
    shutil.rmtree(run)
    shutil.rmtree(output)
    return int(ended.stdout.split()[-1])


if __name__ == "__main__":
    main()
