"""Whether the files of a finished step are still there; a step that lost files runs again."""

from pathlib import Path
from typing import Any

from davidgen_hf.corpus.finished import lost_shards
from davidgen_hf.errors import RunFolderError
from davidgen_hf.methods import Stage
from davidgen_hf.storage.shards import read_table
from davidgen_hf.training.checkpoints import lost_model_files


def lost_files(step: str, report: dict[str, Any], run: Path, stages: tuple[Stage, ...]) -> list[str]:
    """Return which files of a finished step are missing or damaged, as paths in the run's folder.

    Args:
        step: Name of the step.
        report: What ``run.json`` says of it.
        run: The run's folder.
        stages: The stages of the corpus.
    """
    match step:
        case "seeds":
            return [name for name in ("seeds/train.parquet", "seeds/held_out.parquet") if not _is_whole(run / name)]
        case "corpus":
            return lost_shards(run, [stage.name for stage in stages])
        case "evaluation":
            name = "evaluation/held_out.parquet"
            return [name] if report["held_out"] and not _is_whole(run / name) else []
        case _:
            return [f"{step}/{name}" for name in lost_model_files(run / step)]


def _is_whole(shard: Path) -> bool:
    try:
        read_table(shard)
    except RunFolderError:
        return False
    return True
