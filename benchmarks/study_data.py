"""Prepare the files of a study out of a folder of people's data: passages, tasks of SuperNI, and its outputs.

Run: python -m benchmarks.study_data DATA OUTPUT
DATA holds ``passages/enwiki.jsonl``, and of SuperNI's repository ``superni/tasks`` and ``superni/splits/default``.
"""

import json
import math
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PASSAGES, WORDS = 448, (40, 120)
TESTED, ROWS = 4, 6  # instances of a test task; rows of a training task, as a seed and as an output each
LONGEST = 150  # words of definition and input


def passages(data: Path) -> Iterator[dict[str, Any]]:
    """Yield paragraphs of Wikipedia of ``WORDS`` words, in an order that a seed decides."""
    rows = [json.loads(line) for line in (data / "passages" / "enwiki.jsonl").read_text("utf-8").splitlines()]
    fits = [row for row in rows if WORDS[0] <= len(row["text"].split()) <= WORDS[1]]
    random.Random(11).shuffle(fits)
    for row in fits[:PASSAGES]:
        yield {key: row[key] for key in ("id", "title", "text")}


def instances(data: Path, split: str, limit: int, longest: float = math.inf) -> Iterator[list[dict[str, Any]]]:
    """Yield of each task of a split the first instances, whose definition and input have at most ``longest`` words."""
    names = (data / "superni" / "splits" / "default" / f"{split}_tasks.txt").read_text("utf-8").split()
    for name in sorted(names):
        path = data / "superni" / "tasks" / f"{name}.json"
        if not path.is_file():
            continue
        task = json.loads(path.read_text("utf-8"))
        definition = task["Definition"][0].strip()
        rows = [
            {"id": row["id"], "instruction": definition, "input": row["input"], "output": row["output"][0]}
            for row in task["Instances"]
        ]
        fits = [
            row for row in rows if len(f"{definition} {row['input']}".split()) <= longest and row["output"].strip()
        ]
        yield fits[:limit]


def main(data: Path, output: Path) -> None:
    """Write the four files."""
    output.mkdir(parents=True, exist_ok=True)
    tasks = list(instances(data, "train", 2 * ROWS, LONGEST))
    outputs = (row for rows in tasks for row in rows[ROWS:])
    files: dict[str, Iterable[dict[str, Any]]] = {
        "passages": passages(data),
        "superni": (row for rows in instances(data, "test", TESTED) for row in rows),
        "superni_seeds": (row for rows in tasks for row in rows[:ROWS]),
        "superni_outputs": ({"id": row["id"], "text": row["output"]} for row in outputs),
    }
    for name, found in files.items():
        lines = [json.dumps(row, ensure_ascii=False) for row in found]
        (output / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        print(f"{output / name}.jsonl: {len(lines)} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
