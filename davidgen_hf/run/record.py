"""``run.json``: the recipe of a run, what it used, and the result of each step."""

import logging
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from davidgen_hf.corpus.plan import StagePlan
from davidgen_hf.engines.settings import silent_settings
from davidgen_hf.errors import RunFolderError
from davidgen_hf.plugins import packages
from davidgen_hf.processors import GenerateInstructions
from davidgen_hf.recipe import TRAININGS, Recipe
from davidgen_hf.run.steps import STEPS
from davidgen_hf.sources.paths import digest_inputs
from davidgen_hf.storage.digests import without_folders
from davidgen_hf.storage.lock import LOCK
from davidgen_hf.storage.progress import FILE_NAME as PROGRESS
from davidgen_hf.storage.progress import LOG
from davidgen_hf.storage.record import FILE_NAME, RunRecord, differences, read_record
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
    # Of other parts of the run too, which may start at the same time; drafts of these files begin with a dot.
    ours = tuple(name.removeprefix(".") for name in (LOCK, FILE_NAME, LOG, PROGRESS))
    names = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    found = [name for name in names if not name.removeprefix(".").startswith(ours)]
    if found and not (folder / FILE_NAME).is_file():
        raise RunFolderError(
            f"{folder} is not empty and holds no {FILE_NAME}: it is not a run folder. A run needs a new folder or one "
            "of its own. Name another with --output."
        )


@dataclass(frozen=True)
class UpdateSettings:
    """How to update a run of another recipe or of other inputs.

    Args:
        plan: Returns what becomes of the finished shards, given whether the generator is trained again.
        may_discard: Whether the work of models may be thrown away.
        announce: Called with what is kept and rebuilt, before anything is deleted.
    """

    plan: Callable[[bool], list[StagePlan]]
    may_discard: bool = True
    announce: Callable[[str], None] = logger.info


def open_record(recipe: Recipe, folder: Path, update: UpdateSettings | None = None) -> RunRecord:
    """Start the record of a new run, or read that of an earlier call with the same recipe and inputs.

    Args:
        recipe: The recipe to run.
        folder: The run's folder.
        update: Accept the record of an earlier call with another recipe or other inputs too, or a damaged one. What
            the change does not affect is kept; the steps and models that it affects are forgotten.

    Raises:
        RunFolderError: The folder belongs to another recipe or input (the differences are shown), its ``run.json``
            cannot be read, or the update would throw away work.
    """
    content = _header(recipe)
    data = {"seeds": recipe.seeds.sources, "passages": recipe.corpus.sources}
    named = {name: [one.source for one in sources] for name, sources in data.items()}
    inputs = digest_inputs(named, recipe.base_model)
    wanted: dict[str, Any] = {"recipe": without_folders(recipe.text), "inputs": inputs}
    before = _read_earlier(folder, update)
    if before is None:
        return RunRecord(folder, content | wanted).save()
    # What is allowed and declared does not change any row, and the machine chooses a number type that is not named.
    before["recipe"]["provenance"] = wanted["recipe"].get("provenance", {})
    for name in TRAININGS:
        for setting in NUMBER_TYPES - wanted["recipe"][name].keys():
            before["recipe"].get(name, {}).pop(setting, None)
    differing = [
        line
        for part, now in wanted.items()
        for line in differences(before.get(part), now, part, silent={"engine": silent_settings()})
    ]
    if not differing:
        return RunRecord(folder, before | {"recipe": wanted["recipe"]})
    if update is None:
        raise RunFolderError(
            f"{folder} holds a run of another recipe or input; nothing was changed. What differs:\n  "
            + "\n  ".join(differing)
            + "\nName another folder with --output, give the recipe of before, or add --update, which keeps what the "
            "change does not affect."
        )
    untouched = _untouched(before["steps"], differing)
    rebuilt = [step for step in STEPS if step in before["steps"] and step not in untouched]
    update.announce(
        "Update: "
        + "; ".join(differing)
        + f". Kept: {', '.join(untouched) or 'no step'}. Runs again: {', '.join(rebuilt) or 'no step'}"
        + (", where shards that fit are kept." if "corpus" in rebuilt else ".")
    )
    models = [model for model in TRAININGS if model not in untouched and (folder / model).is_dir()]
    _check_losses(folder, update, models, update.plan("generator" in models) if "corpus" not in untouched else [])
    for model in models:  # must not be resumed with other settings
        shutil.rmtree(folder / model, ignore_errors=True)
    kept = {"published": before["published"]} if before.get("published") else {}
    return RunRecord(folder, content | wanted | kept | {"steps": untouched}).save()


def _check_losses(folder: Path, update: UpdateSettings, models: list[str], stages: list[StagePlan]) -> None:
    """Announce what becomes of the shards, and refuse to throw away the work of models unless that is allowed."""
    if stages:
        update.announce(f"Shards: {'; '.join(map(str, stages))}.")
    lost = [f"{one.lost} shards of {one.stage} ({one.lost_seconds:.0f} s)" for one in stages if one.lost]
    is_work = models or any(one.lost and one.runs_model for one in stages)
    if is_work and not update.may_discard:
        what = ", ".join([*(f"the {model}" for model in models), *lost])
        raise RunFolderError(
            f"This update of {folder} throws away what models made: {what}. Nothing was changed. Add --yes to go "
            "ahead, or name another folder with --output."
        )


def _read_earlier(folder: Path, update: UpdateSettings | None) -> dict[str, Any] | None:
    """Return the record of an earlier call; None if there is none, or a damaged one that may be replaced."""
    if not (folder / FILE_NAME).is_file():
        return None
    try:
        return read_record(folder, hint=_DAMAGED)
    except RunFolderError as error:
        if update is None:
            raise
        update.announce(f"Update: {error} All steps run again; shards and models that fit are kept.")
        _check_losses(folder, update, [], update.plan(False))
        return None


def _untouched(steps: dict[str, dict[str, Any]], differences: list[str]) -> dict[str, dict[str, Any]]:
    """Return the finished steps that read nothing of what differs, nor a step that does."""
    touched: set[str] = set()
    for name, step in STEPS.items():
        changed = any(line.startswith((f"{part}.", f"{part}:")) for part in step.reads for line in differences)
        if changed or touched & set(step.reads):
            touched.add(name)
    return {step: report for step, report in steps.items() if step not in touched}


def _header(recipe: Recipe) -> dict[str, Any]:
    """Return what the record of a new run starts with: its name, random seeds and versions, and no finished step."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES} | packages()
    versions |= {"yake": version("yake")} if find_spec("yake") else {}  # an extra
    seeds = {"reverse": recipe.seeds.reverse.seed}
    for step in (step for stage in recipe.corpus.stages() for step in stage.steps):
        if isinstance(step, GenerateInstructions):
            seeds["sampling"] = step.sampling.seed
    trainings = {"generator": recipe.generator, "follower": recipe.follower}
    seeds |= {name: training["seed"] for name, training in trainings.items() if "seed" in training}  # else trl's own
    return {"name": recipe.name, "random_seeds": seeds, "versions": versions, "steps": {}}
