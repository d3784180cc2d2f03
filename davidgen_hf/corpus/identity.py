"""What a shard was made of, as a hash: its stage's settings and models, the versions of the steps, and its input."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from datasets import Dataset

from davidgen_hf.recipe import CorpusSettings
from davidgen_hf.storage.digests import data_digest, folder_digest


def stage_identity(stage: str, settings: CorpusSettings) -> str:
    """Return the hash of all that decides what a stage makes of a row, besides the row.

    A model in a folder and a local evaluation set count by their files, not by where they lie; any other by its name
    and revision. The package's own version does not count: a processor's ``version`` rises when the same settings
    give other rows.
    """
    guards = settings.guards
    parts: dict[str, tuple] = {
        "fragments": (settings.limit, *settings.extract.strategies()),
        "candidates": (settings.generate,),
        "guarded": () if guards == "none" else (guards.rules, guards.decontaminate),
        "unique": () if guards == "none" else (guards.near_duplicates,),
        "scored": (settings.score,),
        "corpus": (settings.select,),
    }
    made = [part if part is None or isinstance(part, str) else asdict(part) for part in parts[stage]]
    names = [type(part).__name__ for part in parts[stage]]
    return _hash([stage, names, _by_content(made)])


def shard_identity(stage: str, inputs: Iterable[str]) -> str:
    """Return the hash of a stage and of the shards, or rows, that one of its shards is made from."""
    return _hash([stage, *inputs])


def rows_identity(rows: Dataset) -> str:
    """Return the hash of the rows of a shard."""
    return _hash(rows[:])


def _by_content(value: object) -> object:
    """Return settings with each local model, and each local set of data, as a hash of what it holds."""
    if isinstance(value, dict):
        made = {key: _by_content(one) for key, one in value.items()}
        model, source = (Path(value[key]) if isinstance(value.get(key), str) else None for key in ("model", "source"))
        if model and model.is_dir():
            made["model"] = folder_digest(model)
        if source and source.exists():
            made["source"] = data_digest(source)
        return made
    if isinstance(value, list | tuple):
        return [_by_content(one) for one in value]
    return value


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]
