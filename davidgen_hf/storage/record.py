"""``run.json``: reading and writing the record of a run folder."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.validation import read_json

FILE_NAME = "run.json"


class _Checked(BaseModel):
    """What readers of a record rely on; other keys pass as they are."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())


class _Skipped(_Checked):
    counts: dict[str, int]
    places: dict[str, list[str]]

    @model_validator(mode="after")
    def _has_places(self) -> "_Skipped":
        if self.counts.keys() != self.places.keys():
            raise ValueError("counts and places must have the same reasons")
        return self


class _Step(_Checked):
    seconds: float = 0.0


class _Seeds(_Step):
    counts: dict[str, int]
    skipped: _Skipped


class _Training(_Step):
    rows: dict[str, int]
    steps: int
    loss_start: float | None
    loss_end: float | None


class _Corpus(_Step):
    counts: Annotated[dict[str, dict[str, int]], Field(min_length=1)]
    stage_seconds: dict[str, float]
    stage_tokens: dict[str, dict[str, int]] = {}
    styles: dict[str, dict[str, int]] = {}
    number_types: dict[str, str] = {}
    skipped: _Skipped


class _Scores(_Checked):
    rougeL: float  # noqa: N815 - as the file has it
    perplexity: float


class _Evaluation(_Step):
    held_out: int
    scores: dict[str, _Scores] = {}

    @model_validator(mode="after")
    def _has_scores(self) -> "_Evaluation":
        if self.held_out and not self.scores:
            raise ValueError("there are held-out seeds and no scores")
        return self


class _Steps(_Checked):
    seeds: _Seeds | None = None
    generator: _Training | None = None
    corpus: _Corpus | None = None
    follower: _Training | None = None
    evaluation: _Evaluation | None = None

    @model_validator(mode="before")
    @classmethod
    def _none_is_null(cls, steps: Any) -> Any:
        if isinstance(steps, dict) and (empty := [name for name, report in steps.items() if report is None]):
            raise ValueError(f"{', '.join(map(str, empty))} is null")
        return steps


class _Record(_Checked):
    name: str
    demo: bool = False
    recipe: dict[str, dict[str, Any]]
    inputs: dict[str, str] = {}
    steps: _Steps
    versions: dict[str, str] = {}
    published: list[dict[str, Any]] | None = None


class RunRecord:
    """The record of one run folder; every change is written at once, whole or not at all."""

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        self.folder, self.content = folder, content

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """What each finished step reports, by its name."""
        steps: dict[str, dict[str, Any]] = self.content["steps"]
        return steps

    def finish(self, step: str, report: dict[str, Any]) -> None:
        """Record that a step has ended, and what it reports."""
        self.steps[step] = report
        self.save()

    def put(self, name: str, content: dict[str, Any]) -> bool:
        """Record something about the whole run in place of an earlier record of it; return whether that changed."""
        # As it is read back: JSON has no tuples.
        changed: bool = json.loads(json.dumps(content)) != self.content.get(name)
        if changed:
            self.content[name] = content
            self.save()
        return changed

    def save(self) -> Self:
        """Write ``run.json``, and return this record.

        Raises:
            RunFolderError: The folder cannot be written to.
        """
        write_whole(self.folder / FILE_NAME, json.dumps(self.content, indent=2, ensure_ascii=False) + "\n")
        return self


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run's, and not that of a trained model, which has a ``run.json`` of its own."""
    names = ("config.json", "adapter_config.json")
    return (folder / FILE_NAME).is_file() and not any((folder / name).is_file() for name in names)


def read_record(folder: Path, *, hint: str = "Put back a copy of it.") -> dict[str, Any]:
    """Return the content of a folder's ``run.json``.

    Args:
        folder: The run's folder.
        hint: What to do about a damaged file.

    Raises:
        RunFolderError: It is missing or damaged.
    """
    path = folder / FILE_NAME
    try:
        is_file = path.is_file()
    except OSError as error:  # a name that is too long, a folder that must not be read
        raise RunFolderError(
            f"{folder} cannot be read: {error.strerror}. It must be a folder that `davidgen run` created. Check the "
            "path."
        ) from error
    if not is_file:
        raise RunFolderError(
            f"{folder} is not a run folder: it has no {FILE_NAME}. Pass a folder that `davidgen run` created."
        )
    record = read_json(
        path, _Record, f"The record of a run is expected, and this one is damaged. {hint}", error=RunFolderError
    )
    return record.model_dump(exclude_unset=True)


def differences(before: object, now: object, key: str, silent: Mapping[str, Collection[str]]) -> list[str]:
    """Return a line for each value that differs between two records.

    Args:
        before: The earlier record, or a part of it.
        now: The record to compare with it.
        key: Where the part is, such as ``recipe.corpus``.
        silent: Names that may differ, by the last name of the mapping that holds them.
    """
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        names = sorted((before.keys() | now.keys()) - set(silent.get(key.rpartition(".")[2], ())))
        pairs = [(f"{key}.{name}", before.get(name), now.get(name)) for name in names]
        return [line for place, was, now_is in pairs for line in differences(was, now_is, place, silent)]
    texts = ["not set" if value is None else repr(value) for value in (before, now)]
    first, second = (text if len(text) <= 60 else text[:57] + "..." for text in texts)
    return [f"{key}: was {first}, is {second}"]
