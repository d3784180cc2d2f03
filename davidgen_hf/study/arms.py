"""The arms of a study: ``study.yaml`` names a recipe for each, which says only what differs from another one."""

import json
import os
import shutil
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from davidgen_hf.errors import SettingError
from davidgen_hf.recipe import Recipe, load_recipe
from davidgen_hf.storage.files import replacing
from davidgen_hf.storage.record import FILE_NAME, read_record
from davidgen_hf.storage.validation import validate
from davidgen_hf.storage.yaml_files import read_config

STUDY = "study.yaml"
# Stages, and the generator, are taken over from another arm; what follows from the difference is made again.
_OWN = {"follower", "evaluation", "pictures", "review", "log.txt", "progress.json", "report.html", "README.md"}


class Arm(BaseModel):
    """One arm.

    Args:
        about: What it shows, for the table.
        recipe: File or folder of its recipe, next to ``study.yaml``; None for the base model as it is.
        model: Which model of its run is measured; ``base`` is the one that the recipe of the first arm trains.
        like: Arm whose fragments, candidates, scores and generator it takes over, as far as its recipe is the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    recipe: str | None = None
    model: Literal["base", "generator", "follower"] = "follower"
    like: str | None = None


class Study(BaseModel):
    """All arms, in the order in which they are run.

    Args:
        reference: Arm with which the others are compared.
        arms: By name.
        folder: Where the recipes are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    arms: dict[str, Arm]
    folder: Path = Field(Path(), exclude=True)

    def recipe(self, name: str, overrides: list[str], seed: int) -> Recipe:
        """Return the recipe of an arm, with a seed for what is drawn in selection and trainings.

        Raises:
            SettingError: The recipe is wrong.
        """
        arm = self.arms[name]
        path = self.folder / (arm.recipe or self._first())
        plain = load_recipe(path)
        if "passages" not in plain.text["corpus"]:  # a method that reads none
            overrides = [one for one in overrides if not one.startswith("corpus.passages.")]
        seeded = [f"{'generator' if arm.model == 'generator' else 'follower'}.seed={seed}"]
        if arm.model == "follower" and hasattr(plain.corpus, "select"):
            seeded.append(f"corpus.select.seed={seed}")
        return load_recipe(path, [*overrides, *seeded])

    def _first(self) -> str:
        return next(arm.recipe for arm in self.arms.values() if arm.recipe)


def read_study(folder: Path) -> Study:
    """Read ``study.yaml``.

    Raises:
        InputError: The folder has none, or it cannot be read.
        SettingError: A key is wrong, or an arm that is named does not exist.
    """
    content = read_config(folder / STUDY)
    study = validate(Study, content, STUDY, "Correct the file.", error=SettingError)
    named = {study.reference} | {arm.like for arm in study.arms.values() if arm.like}
    if unknown := sorted(named - study.arms.keys()):
        raise SettingError(
            f"{folder / STUDY} names the arms {', '.join(unknown)}, which it does not have. It has "
            f"{', '.join(study.arms)}. Correct `reference` or `like`."
        )
    if not any(arm.recipe for arm in study.arms.values()):
        raise SettingError(f"{folder / STUDY} has no arm with a recipe. At least one is run. Add `recipe` to one.")
    return study.model_copy(update={"folder": folder})


def take_over(source: Path, run: Path) -> None:
    """Begin a run with the finished stages of another one, as hard links, unless it has begun already.

    Files of a run are replaced, never changed, so the other run stays as it is. A crash leaves no folder.

    Raises:
        RunFolderError: The record is damaged, or the disk is full.
    """
    if (run / FILE_NAME).is_file() or not (source / FILE_NAME).is_file():
        return
    run.parent.mkdir(parents=True, exist_ok=True)
    if run.is_dir():
        shutil.rmtree(run)  # of a call that ended before its record was there
    with replacing(run) as draft:
        shutil.copytree(source, draft, copy_function=_link, ignore=_ignored, dirs_exist_ok=True)
        record = read_record(draft)
        record["steps"] = {name: step for name, step in record["steps"].items() if name not in _OWN}
        (draft / FILE_NAME).unlink()  # a link, which would be written through
        (draft / FILE_NAME).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _ignored(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name in _OWN or name.startswith(".") or name.endswith((".lock", ".index"))}


def _link(source: str, target: str) -> str:
    os.link(source, target)
    return target
