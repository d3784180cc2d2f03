"""What an update of a corpus keeps, builds again and deletes, found out before anything is touched."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from davidgen_hf.corpus.build import other_stages
from davidgen_hf.corpus.first_stage import ShardSizes, cut_passages, shard_name
from davidgen_hf.corpus.identity import rows_identity, shard_identities, shard_identity, stage_identity
from davidgen_hf.engines.roles import engines_in
from davidgen_hf.errors import RunFolderError
from davidgen_hf.methods import Method, Stage
from davidgen_hf.storage.shards import read_metadata, shard_paths


@dataclass(frozen=True)
class StagePlan:
    """What becomes of the finished shards of a stage.

    Args:
        stage: Name of the stage.
        kept: Number of shards that stay.
        rebuilt: Number of shards that are built again.
        removed: Number of shards that are deleted.
        lost_seconds: How long those that do not stay took to build.
        runs_model: Whether a model made them.
    """

    stage: str
    kept: int = 0
    rebuilt: int = 0
    removed: int = 0
    lost_seconds: float = 0.0
    runs_model: bool = False

    @property
    def lost(self) -> int:
        """Number of shards that do not stay."""
        return self.rebuilt + self.removed

    def __str__(self) -> str:
        numbers = {"kept": self.kept, "rebuilt": self.rebuilt, "removed": self.removed}
        return f"{self.stage} " + (", ".join(f"{one} {what}" for what, one in numbers.items() if one) or "none yet")


def plan_update(
    passages: Iterable[dict[str, Any]], settings: Method, folder: Path, *, new_model: str | None
) -> list[StagePlan]:
    """Compare the finished shards of all stages with those that a recipe would build now.

    Args:
        passages: As in ``build_corpus``; they are read as far as shards exist.
        settings: The recipe's, with every engine's model named.
        folder: The run's folder.
        new_model: Name of a model that is about to be trained again; the shards that it made do not stay.
    """
    stages = settings.stages()
    first = folder / stages[0].name
    n_shards = 1 + max((int(path.stem) for path in shard_paths(first) if path.stem.isdecimal()), default=-1)
    chunks = islice(cut_passages(passages, ShardSizes(first, settings.shard_rows)), n_shards)
    identities: list[str] | None = [rows_identity(rows) for rows in chunks]
    names = [shard_name(number) for number in range(len(identities or []))]
    plans = []
    for number, stage in enumerate(stages):
        if any(engine.model == new_model for _, engine in engines_in(stage.steps)):
            identities = None  # they depend on a model that does not exist yet
        if identities is not None:
            identities = _identities(stage, identities, is_first=number == 0)
        expected: dict[str, str | None] = dict.fromkeys(names)
        if identities is not None:
            expected |= dict(zip(names, identities, strict=True))
        plans.append(_plan(folder / stage.name, stage, expected))
    removed = other_stages(folder, {stage.name for stage in stages})
    return plans + [StagePlan(path.name, removed=len(shard_paths(path)), runs_model=True) for path in removed]


def _identities(stage: Stage, inputs: list[str], *, is_first: bool) -> list[str]:
    hashed = stage_identity(stage)
    if is_first:
        return [shard_identity(hashed, [rows]) for rows in inputs]
    return shard_identities(hashed, inputs, whole_corpus=stage.whole_corpus)


def _plan(folder: Path, stage: Stage, expected: dict[str, str | None]) -> StagePlan:
    kept = rebuilt = removed = 0
    seconds = 0.0
    for path in shard_paths(folder):
        try:
            found = read_metadata(path)
        except RunFolderError:  # damaged: nothing is lost with it
            continue
        if path.name in expected and found.identity == expected[path.name]:
            kept += 1
            continue
        rebuilt, removed = (rebuilt + 1, removed) if path.name in expected else (rebuilt, removed + 1)
        seconds += found.seconds
    runs_model = any(role != "tokenizer" for role, _ in engines_in(stage.steps))
    return StagePlan(stage.name, kept, rebuilt, removed, round(seconds, 1), runs_model)
