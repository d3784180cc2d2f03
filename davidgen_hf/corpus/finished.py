"""Which shards a corpus should have, and which of them are missing or damaged."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.shards import is_intact
from davidgen_hf.storage.validation import read_json

FINISHED = "finished.json"


class Mark(BaseModel):
    """The file that records which passages were read.

    Args:
        stage: Identity of the first stage.
        shards: Identity of every shard.
        skipped: As ``Skipped`` counted the rows without text up to there.
        exhausted: Whether the passages were read to their end; with ``target_pairs``, there may be more.
        passages: Number of passages of every shard; empty in runs of version 0.1.
    """

    model_config = ConfigDict(strict=True)

    stage: str
    shards: dict[str, str]
    skipped: dict[str, dict[str, int | list[str]]]
    exhausted: bool = True
    passages: dict[str, int] = {}


def read_mark(folder: Path) -> Mark:
    """Return the mark of the first stage's folder.

    Raises:
        RunFolderError: It is missing or damaged.
    """
    advice = "It lists the shards of the run. Run the command of this run again, which writes it."
    return read_json(folder / FINISHED, Mark, advice, error=RunFolderError)


def lost_shards(run: Path, stages: Iterable[str]) -> list[str]:
    """Return the files of a finished corpus that are missing or damaged, as paths in the run's folder.

    Args:
        run: The run's folder.
        stages: Names of the stages, in their order.
    """
    first, *others = stages
    try:
        names = read_mark(run / first).shards
    except RunFolderError:
        return [f"{first}/{FINISHED}"]
    expected = [f"{stage}/{name}" for stage in (first, *others) for name in names]
    return [name for name in expected if not is_intact(run / name, rows=False)]


def require_shards(run: Path, stage: str, first: str) -> None:
    """Refuse a stage of a finished corpus that lacks shards.

    Args:
        run: The run's folder.
        stage: Name of the stage to read.
        first: Name of the first stage, whose folder lists all shards.

    Raises:
        RunFolderError: A shard is missing.
    """
    names = read_mark(run / first).shards
    missing = [name for name in names if not (run / stage / name).is_file()]
    if missing:
        shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise RunFolderError(
            f"{run / stage} lacks {len(missing)} of {len(names)} shards: {shown}. All shards of a finished corpus are "
            "needed. Run the command of this run again: it rebuilds only what is missing."
        )
