"""``python -m benchmarks``: run the races, write their figures as JSON, and lay them out as tables and plots."""

import argparse
import json
import os
import platform
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import datasets
import torch
import transformers

from benchmarks import parts
from benchmarks.measure import device_name
from benchmarks.random_weights import known_models, save_random
from benchmarks.report import write_report
from benchmarks.workload import read_texts
from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.loading import load_tokenizer, resolve_device
from davidgen_hf.engines.number_types import choose_number_type

RACES = {
    race.__name__: race
    for race in (parts.candidates, parts.candidates_mixed, parts.scores, parts.scores_mixed, parts.end_to_end)
}
CURVES = {"cost_by_passages": parts.cost_by_passages, "cost_by_n": parts.cost_by_n}
EVERY = [*RACES, *CURVES]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--parts", nargs="*", default=EVERY, choices=EVERY, help="What to run (default: all).")
    add("--model", default="embedded", help="Local folder or Hub id (default: the embedded model).")
    add(
        "--random-weights",
        metavar="NAME",
        help=f"Take random weights of this architecture instead, without a download: {', '.join(known_models())}.",
    )
    add(
        "--tokenizer", default="embedded", help="Tokenizer of a model with random weights (default: the embedded one)."
    )
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto).")
    add("--dtype", default="auto", help="float32, bfloat16 or float16 (default: auto, bfloat16 where it is native).")
    add("--scale", type=int, help="Multiplies the rows of the races (default: 1 on a CPU, 16 on a GPU).")
    add("--passages", type=Path, help="JSON lines with a `text` field (default: the Python language reference).")
    add("--vllm-python", default=os.environ.get("VLLM_PYTHON"), help="Python of an environment with vLLM.")
    add("--repeats", type=int, default=3, help="Rounds of each race (default: 3).")
    add("--counts", type=int, nargs="*", default=[50, 100, 200], help="Passages on the cost curve; 2000 takes long.")
    add("--ns", type=int, nargs="*", default=[1, 2, 4, 8, 16], help="Candidates on the cost curve.")
    add("--output", type=Path, default=Path(__file__).with_name("results"))
    args = parser.parse_args()
    if args.random_weights and args.random_weights.rpartition("/")[2] not in known_models():
        parser.error(f"--random-weights is {args.random_weights!r}; known are {', '.join(known_models())}.")
    return args


def main() -> None:
    """Run what the command line asks for."""
    args = parse()
    datasets.disable_progress_bars()
    transformers.logging.disable_progress_bar()
    args.output.mkdir(parents=True, exist_ok=True)
    device = resolve_device(args.device)
    settings = EngineSettings(model=args.model, dtype=args.dtype, device=args.device)
    with tempfile.TemporaryDirectory() as folder:
        if args.random_weights:
            dtype = choose_number_type(args.dtype, device).torch_dtype
            tokenizer = load_tokenizer(args.tokenizer)
            model = save_random(args.random_weights, tokenizer, Path(folder), dtype=dtype, device=device)
            settings = EngineSettings(**asdict(settings) | {"model": str(model)})
        run(args, settings)
    print(write_report(args.output))


def run(args: argparse.Namespace, settings: EngineSettings) -> None:
    """Run the parts, and write the figures of each as soon as it is done."""
    scale = args.scale or (16 if resolve_device(args.device).type == "cuda" else 1)
    bench = parts.Bench.load(settings, read_texts(args.passages), args.repeats, scale, args.vllm_python)
    setting = {
        "model": f"{args.random_weights}, random weights" if args.random_weights else args.model,
        "dtype": str(bench.dtype).removeprefix("torch."),
        "dtype_reason": choose_number_type(args.dtype, bench.device).reason,
        "device": device_name(bench.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }
    for name in args.parts:
        started = time.perf_counter()
        if name in RACES:
            race = RACES[name](bench)
            save(race.figures | {"setting": setting}, args.output / f"{name}.json")
            if args.vllm_python:
                parts.add_vllm(bench, race)
                save(race.figures | {"setting": setting}, args.output / f"{name}.json")
        else:
            points = args.counts if name == "cost_by_passages" else args.ns
            save(CURVES[name](bench, tuple(points)) | {"setting": setting}, args.output / f"{name}.json")
        print(f"{name}: {time.perf_counter() - started:.0f} s in all", flush=True)


def save(figures: dict, path: Path) -> None:
    path.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
