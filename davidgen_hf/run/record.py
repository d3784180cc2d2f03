"""``run.json``: the recipe of a run, what it used, and the result of each step."""

import hashlib
import logging
import platform
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from davidgen_hf.engines.settings import SILENT_SETTINGS
from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.processors import GenerateInstructions
from davidgen_hf.recipe import Recipe
from davidgen_hf.sources.embedded import EMBEDDED
from davidgen_hf.sources.paths import local_path
from davidgen_hf.sources.source import Source
from davidgen_hf.storage.digests import without_folders
from davidgen_hf.storage.lock import LOCK
from davidgen_hf.storage.record import FILE_NAME, RunRecord, read_record
from davidgen_hf.training.summary import NUMBER_TYPES

PACKAGES = (
    "davidgen-hf",
    "torch",
    "transformers",
    "datasets",
    "trl",
    "accelerate",
    "sentencex",
    "icu4py",
    "yake",
    "py3langid",
    "datasketch",
)


logger = logging.getLogger(__name__)
_DAMAGED = "Put back a copy of it, or add --update, which keeps the shards and models that fit and rebuilds the rest."


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds other things than a run.

    Raises:
        RunFolderError: It is not empty and has no ``run.json``.
    """
    ours = (LOCK, FILE_NAME)  # locks, and drafts of the record, of other parts of the run too
    found = [one.name for one in folder.iterdir() if not one.name.startswith(ours)] if folder.is_dir() else []
    if found and not (folder / FILE_NAME).is_file():
        raise RunFolderError(
            f"{folder} is not empty and holds no {FILE_NAME}: it is not a run folder. A run needs a new folder or one "
            "of its own. Name another with --output."
        )


def open_record(
    recipe: Recipe, folder: Path, *, restart: bool = False, announce: Callable[[str], None] = logger.info
) -> RunRecord:
    """Start the record of a new run, or read that of an earlier call with the same recipe and inputs.

    Args:
        recipe: The recipe to run.
        folder: The run's folder.
        restart: Accept the record of an earlier call with another recipe or other inputs too, or a damaged one. What
            the change does not affect is kept; the steps and models that it affects are forgotten.
        announce: Called with what an update keeps and rebuilds, before anything is deleted.

    Raises:
        RunFolderError: The folder belongs to another recipe or input (the differences are shown), or its
            ``run.json`` cannot be read.
    """
    wanted: dict[str, Any] = {"recipe": without_folders(recipe.text), "inputs": _inputs(recipe)}
    if not (folder / FILE_NAME).is_file():
        return _new_record(recipe, folder, wanted, {})
    try:
        content = read_record(folder, hint=_DAMAGED)
    except RunFolderError as error:
        if not restart:
            raise
        announce(f"Update: {error} All steps run again; shards and models that fit are kept.")
        return _new_record(recipe, folder, wanted, {})
    # What is allowed and declared does not change any row.
    rules = {"provenance": wanted["recipe"].get("provenance", {})}
    content["recipe"] |= rules
    wanted["recipe"] |= rules
    differences = [line for part in wanted for line in _differences(content.get(part), wanted[part], part)]
    if not differences:
        content["recipe"] = wanted["recipe"]
        return RunRecord(folder, content)
    if not restart:
        raise RunFolderError(
            f"{folder} holds a run of another recipe or input; nothing was changed. What differs:\n  "
            + "\n  ".join(differences)
            + "\nName another folder with --output, give the recipe of before, or add --update, which keeps what the "
            "change does not affect."
        )
    untouched = _untouched(content["steps"], differences)
    rebuilt = [step for step in READS if step in content["steps"] and step not in untouched]
    announce(
        "Update: "
        + "; ".join(differences)
        + f". Kept: {', '.join(untouched) or 'no step'}. Runs again: {', '.join(rebuilt) or 'no step'}"
        + (", where shards that fit are kept." if "corpus" in rebuilt else ".")
    )
    for model in {"generator", "follower"} - untouched.keys():  # must not be resumed with other settings
        shutil.rmtree(folder / model, ignore_errors=True)
    kept = {"published": content["published"]} if content.get("published") else {}
    return _new_record(recipe, folder, wanted | kept, untouched)


# What each step reads: parts of the recipe and of the inputs, as the record names them, and earlier steps.
READS: dict[str, tuple[str, ...]] = {
    "seeds": ("recipe.seeds", "inputs.seeds"),
    "generator": ("recipe.generator", "inputs.base_model", "seeds"),
    "corpus": ("recipe.corpus", "recipe.generator.model_name_or_path", "inputs.passages", "generator"),
    "follower": ("recipe.follower", "inputs.base_model", "corpus"),
    "evaluation": ("recipe.evaluation", "follower", "seeds"),
}


def _untouched(steps: dict[str, dict[str, Any]], differences: list[str]) -> dict[str, dict[str, Any]]:
    """Return the finished steps that read nothing of what differs, nor a step that does."""
    touched: set[str] = set()
    for step, reads in READS.items():
        changed = any(line.startswith((f"{part}.", f"{part}:")) for part in reads for line in differences)
        if changed or touched & set(reads):
            touched.add(step)
    return {step: report for step, report in steps.items() if step not in touched}


def _new_record(recipe: Recipe, folder: Path, wanted: dict[str, Any], steps: dict[str, dict[str, Any]]) -> RunRecord:
    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    # The embedded model was tuned on data that closed models partly wrote: what comes of it is not for publishing.
    demo = EMBEDDED in (recipe.base_model, recipe.follower["model_name_or_path"])
    seeds = {"reverse": recipe.seeds.reverse.seed}
    for step in (step for stage in recipe.corpus.stages() for step in stage.steps):
        if isinstance(step, GenerateInstructions):
            seeds["sampling"] = step.sampling.seed
    trainings = {"generator": recipe.generator, "follower": recipe.follower}
    seeds |= {name: training["seed"] for name, training in trainings.items() if "seed" in training}  # else trl's own
    used = {"random_seeds": seeds, "versions": versions, "steps": steps}
    record = RunRecord(folder, {"name": recipe.name, "demo": demo} | wanted | used)
    record.save()
    return record


def _inputs(recipe: Recipe) -> dict[str, str]:
    """Return a hash of each local input: of the bytes of data, of configuration and file sizes of a model."""
    data = _numbered("seeds", recipe.seeds.sources) | _numbered("passages", recipe.corpus.sources)
    digests = {name: _digest(path) for name, source in data.items() if (path := local_path(source))}
    model = local_path(recipe.base_model)
    return digests | ({"base_model": _digest(model, whole=(".json",))} if model else {})


def _numbered(name: str, sources: Sequence[Source]) -> dict[str, str]:
    if len(sources) == 1:
        return {name: sources[0].source}
    return {f"{name}.{number}": one.source for number, one in enumerate(sources)}


def _digest(path: Path, whole: tuple[str, ...] | None = None) -> str:
    """Hash a file or folder; with ``whole``, files of other suffixes count by their size alone."""
    state = hashlib.sha256()
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    try:
        for file in files:
            if whole is None or file.suffix in whole:
                with file.open("rb") as opened:
                    state.update(hashlib.file_digest(opened, "sha256").digest())
            else:
                state.update(f"{file.name} {file.stat().st_size}".encode())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    return state.hexdigest()


def _differences(before: object, now: object, key: str) -> list[str]:
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        # What changes no row may differ, such as the address of a server.
        ignored = set(SILENT_SETTINGS) if key.endswith(".engine") else set()
        if key in ("recipe.generator", "recipe.follower"):  # a type that is no longer named is chosen by the machine
            ignored |= NUMBER_TYPES - now.keys()
        names = sorted((before.keys() | now.keys()) - ignored)
        return [line for name in names for line in _differences(before.get(name), now.get(name), f"{key}.{name}")]
    return [f"{key}: was {_brief(before)}, is {_brief(now)}"]


def _brief(value: object) -> str:
    text = "not set" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
