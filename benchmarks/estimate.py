"""Is an estimate what the run then took? ``python -m benchmarks.estimate RECIPE [section.key=value …] --output FILE``.

The estimate is made, then the run, in this process, one after the other; both are laid side by side by part. On a
machine with other work ``--processor-seconds`` compares the time of the processor instead of that of the clock: set
OMP_NUM_THREADS=1 with it, since waiting threads count too.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from davidgen_hf.estimate import EstimateSettings, estimate
from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.run import run_recipe


def main() -> None:
    """Estimate, run, compare."""
    parser = argparse.ArgumentParser("python -m benchmarks.estimate", description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--sample", type=int, default=EstimateSettings.sample)
    parser.add_argument("--accepted-share", type=float, default=EstimateSettings.accepted_share)
    parser.add_argument("--processor-seconds", action="store_true")
    parser.add_argument("--run", type=Path, help="The run's folder, to be kept.")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results") / "estimate.json")
    args = parser.parse_intermixed_args()
    if args.processor_seconds:
        time.perf_counter = time.process_time
    recipe = load_recipe(args.recipe, args.overrides)
    with tempfile.TemporaryDirectory() as folder:
        settings = EstimateSettings(args.sample, accepted_share=args.accepted_share)
        told = estimate(recipe, settings, Path(folder) / "estimate", print)
        started = time.perf_counter()
        record = run_recipe(recipe, args.run or Path(folder) / "run", print)
        whole = time.perf_counter() - started
    parts = {part.name: part for part in told.parts}
    seconds = {name: part.on(1) for name, part in parts.items()}
    steps = record.steps
    taken = {name: steps[name]["seconds"] for name in ("generator", "follower", "evaluation")}
    taken |= steps["corpus"]["stage_seconds"]
    scored = steps["corpus"]["counts"]["scored"]
    result = {
        "passages": told.passages,
        "sampled": told.sampled,
        "processor_seconds": args.processor_seconds,
        "estimate_itself_seconds": told.spent_seconds,
        "estimated_seconds": told.seconds(),
        "run_seconds": whole,
        "ratio": told.seconds() / whole,
        "parts": {name: [round(seconds[name], 1), round(taken[name], 1)] for name in seconds if name in taken},
        "tokens": {"generator": round(parts["generator"].tokens), "follower": round(parts["follower"].tokens)},
        "accepted_share": {"taken": args.accepted_share, "found": scored["accepted"] / scored["candidates"]},
    }
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
