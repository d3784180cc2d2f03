"""What a shard was made of, as a hash: its stage's settings and models, the versions of the steps, and its input."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from datasets import Dataset

from davidgen_hf.folders import folder_digest
from davidgen_hf.recipe import CorpusSettings


def stage_identity(stage: str, settings: CorpusSettings) -> str:
    """Return the hash of all that decides what a stage makes of a row, besides the row.

    A model in a folder counts by its files, not by where it lies; any other by its name and revision. The package's
    own version does not count: a processor's ``version`` rises when the same settings give other rows.
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
    return _hash([stage, names, _models_by_content(made)])


def shard_identity(stage: str, inputs: Iterable[str]) -> str:
    """Return the hash of a stage and of the shards, or rows, that one of its shards is made from."""
    return _hash([stage, *inputs])


def rows_identity(rows: Dataset) -> str:
    """Return the hash of the rows of a shard."""
    return _hash(rows[:])


def _models_by_content(value: object) -> object:
    if isinstance(value, dict):
        made = {key: _models_by_content(one) for key, one in value.items()}
        model = value.get("model")
        if isinstance(model, str) and Path(model).is_dir():
            made["model"] = folder_digest(Path(model))
        return made
    if isinstance(value, list | tuple):
        return [_models_by_content(one) for one in value]
    return value


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]
