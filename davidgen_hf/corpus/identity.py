"""What a shard was built from, as a hash: its stage's settings, models and versions, and its input."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from davidgen_hf.engines import EngineSettings
from davidgen_hf.methods import Stage
from davidgen_hf.sources.paths import local_path
from davidgen_hf.sources.source import Source
from davidgen_hf.storage.digests import data_digest, folder_digest


def stage_identity(stage: Stage) -> str:
    """Return the hash of everything that decides what a stage makes of a row, apart from the row.

    A model in a folder and a local evaluation set count by their files, not by their path; any other by its name and
    revision. Settings declared with ``affects_rows: False`` do not count, nor do those of ``UNLESS_DEFAULT`` at their
    default. Nor does the package's own version: a processor's ``version`` rises when the same settings give other
    rows.
    """
    return _hash([stage.name, [row_settings(step) for step in stage.steps]])


def row_settings(value: Any) -> Any:
    """Return settings as plain values, with the class of each step, without those that change no row."""
    if is_dataclass(value) and not isinstance(value, type):
        counting = [one.name for one in fields(value) if _counts(one, getattr(value, one.name))]
        plain = {"": type(value).__qualname__} | {name: row_settings(getattr(value, name)) for name in counting}
        if isinstance(value, EngineSettings) and Path(value.model).is_dir():
            plain["model"] = folder_digest(Path(value.model))
        if isinstance(value, Source) and (path := local_path(value.source)):
            plain["source"] = data_digest(path)
        return plain
    if isinstance(value, dict):
        return {name: row_settings(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [row_settings(one) for one in value]
    return value


def _counts(field: Field[Any], value: Any) -> bool:
    """Return whether a setting counts; those of ``UNLESS_DEFAULT`` do not where they have their default."""
    if not field.metadata.get("affects_rows", True):
        return False
    if field.metadata.get("counts_at_default", True):
        return True
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return bool(value != default)


def shard_identity(stage: str, inputs: Iterable[str]) -> str:
    """Return the hash of a stage and of the shards, or rows, that one of its shards is built from."""
    return _hash([stage, *inputs])


def shard_identities(stage: str, inputs: Iterable[str], *, whole_corpus: bool) -> list[str]:
    """Return the identities of a stage's shards, given those of the shards that they are built from, in order.

    In a stage that needs the whole corpus, what a shard is built from includes the shards before it.
    """
    found: list[str] = []
    for one in inputs:
        found.append(shard_identity(stage, [*found[-1:], one] if whole_corpus else [one]))
    return found


def rows_identity(rows: Dataset) -> str:
    """Return the hash of the rows of a shard."""
    return _hash(rows[:])


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]
