"""How fast is a review of a million rows? ``python -m benchmarks.reviewing --passages texts.jsonl``.

The run is that of ``benchmarks.viewing``: its shards are repeated under other names, so that a decision about a row
counts for all its copies. The index is built first and timed by itself. Then a server is started over it, each queue
is opened, and decisions are sent one after another, each timed from the request to its confirmation.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

import datasets

from benchmarks.viewing import make_run, repeat
from benchmarks.workload import read_texts
from davidgen_hf.report.index import Rows
from davidgen_hf.report.review import serve_review
from davidgen_hf.report.review.served import TOKEN_HEADER

QUEUES = (
    "order=random",
    "order=random&only=unreviewed",
    "order=random&sample=500&only=not_mine",
    "order=margin&only=unreviewed",
    "order=-perplexity&only=unreviewed",
    "order=n&strategy=sentence&only=unreviewed",
    "order=margin&strategy=whole&only=unreviewed",
)


def main() -> None:
    """Make a run, review it, and write what was seen."""
    parser = argparse.ArgumentParser("python -m benchmarks.reviewing", description=__doc__)
    add = parser.add_argument
    add("--passages", type=Path, help="JSON lines with a `text` field (default: the Python language reference).")
    add("--rows", type=int, default=1_000_000, help="Rows of the run.")
    add("--own-rows", type=int, default=20_000, help="Rows that are not copies.")
    add("--decisions", type=int, default=500)
    add("--folder", type=Path, help="Where to work (default: the folder for temporary files).")
    add("--output", type=Path, default=Path(__file__).with_name("results") / "reviewing.json")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        run = make_run(read_texts(args.passages), args.own_rows, Path(name))
        repeat(run, args.rows)
        started = time.perf_counter()
        Rows(run)
        found: dict[str, Any] = {"index_seconds": round(time.perf_counter() - started, 1)}
        started = time.perf_counter()
        with serve_review(run, 0) as (server, address):
            found["start_seconds"] = round(time.perf_counter() - started, 1)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            found |= measure(*address.split("?token="), decisions=args.decisions)
            server.shutdown()
    args.output.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print(json.dumps(found, indent=2))


def measure(address: str, token: str, decisions: int) -> dict[str, Any]:
    """Return milliseconds of opening each queue, of showing a row, of decisions, and of the progress after them."""

    def ask(path: str, body: Any = None) -> tuple[float, Any]:
        content = None if body is None else json.dumps(body).encode()
        headers = {TOKEN_HEADER: token, "Content-Type": "application/json"}
        started = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(f"{address}{path}", content, headers)) as answer:
            read = json.load(answer)
        return (time.perf_counter() - started) * 1000, read

    def opened() -> dict[str, float]:
        return {one: round(ask(f"queue?reviewer=ada&{one}")[0], 1) for one in QUEUES}

    before, spent, shown = opened(), [], []
    rows: list[int] = []
    for number in range(decisions):
        if not rows:
            rows = ask("queue?reviewer=ada&order=random&only=unreviewed")[1]["rows"]
        took, row = ask(f"row?reviewer=ada&n={rows.pop(0)}")
        shown.append(took)
        decision = {"id": uuid4().hex, "reviewer": "ada", "row": row["key"], "version": row["state"]["version"]}
        more = {"action": "edit", "instruction": "Which?"} if number % 2 else {"action": "reject"}
        spent.append(ask("decisions", decision | more)[0])
    return {
        "queue_ms": before,
        "queue_ms_after_decisions": opened(),
        "row_ms": _spread(shown),
        "decision_ms": _spread(spent),
        "progress_ms": round(ask("progress?reviewer=ada")[0], 1),
    }


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    spread = {"median": statistics.median(ordered), "p99": ordered[int(len(ordered) * 0.99)], "most": ordered[-1]}
    return {name: round(value, 1) for name, value in spread.items()}


if __name__ == "__main__":
    main()
