"""Rows per second and peak memory of all corpus stages: ``python -m benchmarks.scale --passages texts.jsonl``.

The echo engine takes the place of the models, so that what is measured is everything else. Texts are repeated, with a
running number, up to each size; each size is a process of its own, whose memory, with that of its children, is read
ten times a second.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import datasets
import psutil

from benchmarks.workload import read_texts
from davidgen_hf.corpus.build import build_corpus
from davidgen_hf.corpus.counts import read_counts
from davidgen_hf.engines import EngineSettings
from davidgen_hf.methods.back_translation import BackTranslation, GuardSettings
from davidgen_hf.processors import GenerateInstructions, LimitPassages, ScoreCandidates
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages

SIZES = (10_000, 100_000, 1_000_000)
KEYS = ("passages", "near_duplicates")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.scale", description=__doc__)
    add = parser.add_argument
    add("--passages", type=Path, help="JSON lines with a `text` field (default: the Python language reference).")
    add("--sizes", type=int, nargs="*", default=SIZES, help="Numbers of passages.")
    add("--near-duplicates", action=argparse.BooleanOptionalAction, default=True, help="Compare all candidates.")
    add("--folder", type=Path, help="Where to work: 4 kB a passage (default: the folder for temporary files).")
    add("--output", type=Path, default=Path(__file__).with_name("results") / "scale.json")
    add("--one", type=Path, help=argparse.SUPPRESS)  # the child: this file of passages
    return parser.parse_args()


def main() -> None:
    """Run every size, and write what was found after each."""
    args = parse()
    if args.one:
        print(json.dumps(run(args.one, args.near_duplicates)))
        return
    rows = json.loads(args.output.read_text("utf-8")) if args.output.is_file() else []
    for size in args.sizes:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            path = Path(folder) / "passages.jsonl"
            write_passages(read_texts(args.passages), size, path)
            command = [sys.executable, "-m", "benchmarks.scale", "--one", str(path)]
            command += [] if args.near_duplicates else ["--no-near-duplicates"]
            found = {"passages": size, "near_duplicates": args.near_duplicates} | watch(command)
        rows = [row for row in rows if any(row[key] != found[key] for key in KEYS)] + [found]
        rows.sort(key=lambda row: (row["near_duplicates"], row["passages"]))
        args.output.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
        print(json.dumps(found))


def write_passages(texts: list[str], size: int, path: Path) -> None:
    """Write ``size`` passages: the texts again and again, each with its number."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(size):
            text = f"{texts[number % len(texts)]} This is number {number}."
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")


def run(path: Path, near_duplicates: bool) -> dict:
    """Go through all stages; return seconds, processor seconds and seconds of each stage."""
    datasets.disable_progress_bars()
    echo = EngineSettings(kind="echo", model="echo")
    settings = BackTranslation(
        passages=PassageSource(source=str(path)),
        limit=LimitPassages(echo),
        generate=GenerateInstructions(echo),
        guards=GuardSettings() if near_duplicates else GuardSettings(near_duplicates="none"),
        score=ScoreCandidates(echo),
    )
    started = time.perf_counter()
    for _ in read_passages(settings.passages, Skipped()):
        pass
    read_seconds = round(time.perf_counter() - started, 1)
    skipped, folder = Skipped(), path.parent / "run"
    started, used = time.perf_counter(), time.process_time()
    build_corpus(read_passages(settings.passages, skipped), skipped, settings, folder)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - used
    counts, stage_seconds = read_counts(folder, settings.stages())
    disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {
        "passages": counts["fragments"]["passages"],
        "read_seconds": read_seconds,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "stage_seconds": stage_seconds,
        "pairs": counts["corpus"]["pairs"],
        "disk_mb": disk >> 20,
    }


def watch(command: list[str]) -> dict:
    """Run a command; return what it prints as JSON, and its greatest resident memory, children included."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        peak = 0
        while child.poll() is None:
            peak = max(peak, resident(child.pid))
            time.sleep(0.1)
        found = json.loads(child.stdout.read())
    found["rows_per_second"] = round(found["passages"] / found["seconds"], 1)
    found["rows_per_cpu_second"] = round(found["passages"] / found["cpu_seconds"], 1)
    return {"peak_mb": peak >> 20} | found


def resident(pid: int) -> int:
    """Return the bytes of memory that a process and its children hold."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(one.memory_info().rss for one in family)
    except psutil.NoSuchProcess:
        return 0


if __name__ == "__main__":
    main()
