"""Whether the files of a finished step are still there; a step that lost files runs again."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from davidgen_hf.corpus.finished import lost_shards
from davidgen_hf.recipe import TRAININGS
from davidgen_hf.storage.record import RunRecord
from davidgen_hf.storage.shards import is_intact
from davidgen_hf.training.checkpoints import lost_model_files


def forget_lost(record: RunRecord, steps: Collection[str]) -> dict[str, str]:
    """Forget finished steps that lost files, and delete what is left of a model; return the files in words."""
    lost = {}
    for name in steps:
        files = lost_files(name, record.steps[name], record.folder) if name in record.steps else []
        if files:
            lost[name] = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
            del record.steps[name]
            if name in TRAININGS:
                shutil.rmtree(record.folder / name, ignore_errors=True)
    return lost


def lost_files(step: str, report: dict[str, Any], run: Path) -> list[str]:
    """Return which files of a finished step are missing or damaged, as paths in the run's folder.

    Args:
        step: Name of the step.
        report: What ``run.json`` says of it.
        run: The run's folder.
    """
    match step:
        case "corpus":
            return lost_shards(run, report["counts"])
        case "generator" | "follower":
            return [f"{step}/{name}" for name in lost_model_files(run / step)]
        case "seeds":
            names = ["seeds/train.parquet", "seeds/held_out.parquet"]
        case _:
            names = ["evaluation/held_out.parquet"] if report["held_out"] else []
    return [name for name in names if not is_intact(run / name, rows=True)]
