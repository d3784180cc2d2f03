"""What a corpus run costs besides its models: ``python -m benchmarks.bookkeeping``.

All stages are run on real passages with a real model. The seconds inside the engine's calls are taken apart from those
of the stages; what is left is reading, cutting, guarding, comparing, selecting and writing. Loading the model, and the
imports and tables that a process needs once, come on top and are told apart.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from datasets import disable_progress_bars

from davidgen_hf.corpus.build import build_corpus
from davidgen_hf.corpus.counts import read_counts
from davidgen_hf.engines import Engine, EngineSettings, Sampling, load_engine
from davidgen_hf.methods import BackTranslation
from davidgen_hf.processors import GenerateInstructions, GuardCandidates, LimitPassages, ScoreCandidates
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages

METHODS = ("generate", "score", "tokens_left", "count_tokens", "token_ends")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.bookkeeping", description=__doc__)
    add = parser.add_argument
    add("--model", default="embedded", help="Local folder or Hub id (default: the embedded model).")
    add("--passages", default="embedded", help="As for davidgen run (default: the Python language reference).")
    add("--count", type=int, default=32, help="Number of passages.")
    add("--shard-rows", type=int, default=256, help="Passages of a shard.")
    add("--output", type=Path, default=Path(__file__).with_name("results") / "bookkeeping.json")
    return parser.parse_args()


def main() -> None:
    """Run all stages, and write what they took."""
    args = parse()
    disable_progress_bars()
    model = EngineSettings(model=args.model)
    settings = BackTranslation(
        passages=PassageSource(source=args.passages, max_rows=args.count),
        limit=LimitPassages(model, max_tokens=256),
        generate=GenerateInstructions(model, sampling=Sampling(max_new_tokens=48)),
        score=ScoreCandidates(model),
        shard_rows=args.shard_rows,
    )
    started = time.perf_counter()
    engine = load_engine(model)
    engine.count_tokens(["warm"])
    GuardCandidates()({"output": ["Some text."], "candidates": [[warm("Which text is this one here?")]]})
    once = time.perf_counter() - started
    inside = {"wall": 0.0, "cpu": 0.0}
    watch(engine, inside)
    skipped = Skipped()
    with tempfile.TemporaryDirectory() as folder:
        started, used = time.perf_counter(), time.process_time()
        build_corpus(read_passages(settings.passages, skipped), skipped, settings, Path(folder))
        wall, cpu = time.perf_counter() - started, time.process_time() - used
        counts, seconds = read_counts(Path(folder), settings.stages())
    found = {
        "passages": args.count,
        "shard_rows": args.shard_rows,
        "pairs": counts["corpus"]["pairs"],
        "seconds_once": round(once, 2),
        "seconds": round(wall, 2),
        "engine_seconds": round(inside["wall"], 2),
        "share_besides_engine": round(1 - inside["wall"] / wall, 4),
        "cpu_seconds": round(cpu, 2),
        "engine_cpu_seconds": round(inside["cpu"], 2),
        "cpu_share_besides_engine": round(1 - inside["cpu"] / cpu, 4),
        "stage_seconds": seconds,
    }
    args.output.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print(json.dumps(found, indent=2))


def warm(text: str) -> dict:
    """Return a candidate that all rules of the guard look at."""
    return {"instruction": text, "input": None, "finished": True, "reject_reason": None}


def watch(engine: Engine, inside: dict[str, float]) -> None:
    """Add up the seconds inside the engine's methods; one that calls another counts once."""
    depth = 0

    def timed(method):
        def call(*args, **kwargs):
            nonlocal depth
            depth += 1
            started, used = time.perf_counter(), time.process_time()
            try:
                return method(*args, **kwargs)
            finally:
                depth -= 1
                if not depth:
                    inside["wall"] += time.perf_counter() - started
                    inside["cpu"] += time.process_time() - used

        return call

    for name in METHODS:
        setattr(engine, name, timed(getattr(engine, name)))


if __name__ == "__main__":
    main()
