"""The arms of a study: ``study.yaml`` names a recipe for each, which says only what differs from another one."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
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
IMPROVED = ", improved"
# Stages, and the generator, are taken over from another arm; what follows from the difference is made again.
_OWN = {"follower", "evaluation", "pictures", "review", "log.txt", "progress.json", "report.html", "README.md"}


class Arm(BaseModel):
    """One arm.

    Args:
        about: What it shows, for the table.
        recipe: File or folder of its recipe, next to ``study.yaml``; None for the base model as it is.
        model: Which model of its run is measured; ``base`` is the one that the recipe of the first arm trains.
        like: Arm whose fragments, candidates, scores and generator it takes over, as far as its recipe is the same.
        uses: Keys of its recipe whose value is the model of another arm, with the first seed, or a file given by name.
        improves: Arm whose generator is trained further on the preferences of its run; the result writes candidates.
        mixes: Arms of whose corpora the follower gets equal parts, together as many pairs as the first one has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    recipe: str | None = None
    model: Literal["base", "generator", "follower"] = "follower"
    like: str | None = None
    uses: dict[str, str] = Field(default_factory=dict)
    improves: str | None = None
    mixes: tuple[str, ...] = ()


class Claim(BaseModel):
    """A sentence that the study puts to the test, as a difference between two arms.

    Args:
        says: The sentence.
        arms: The two. A difference is the first arm's figure less the second's.
        measure: ``nats`` per token of people's answers, or ``distinct_2`` or ``copies`` of the corpus.
        expects: The sign of the difference if the sentence is true; ``none`` if it says that there is none.
        tasks: Sets of tasks for which it is made; None for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    says: str
    arms: tuple[str, str]
    measure: Literal["nats", "distinct_2", "copies"] = "nats"
    expects: Literal["less", "more", "none"] = "less"
    tasks: tuple[str, ...] | None = None


class Study(BaseModel):
    """All arms, in the order in which they are run.

    Args:
        reference: Arm with which the others are compared.
        arms: By name.
        claims: By name.
        bound: A difference below so many nats per token does not matter.
        folder: Where the recipes are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    arms: dict[str, Arm]
    claims: dict[str, Claim] = Field(default_factory=dict)
    bound: float = 0.01
    folder: Path = Field(Path(), exclude=True)

    def recipe(self, name: str, overrides: list[str], seed: int, given: Mapping[str, str] | None = None) -> Recipe:
        """Return the recipe of an arm, with a seed for what is drawn in selection and trainings.

        Args:
            name: Name of the arm.
            overrides: Of every recipe.
            seed: The seed.
            given: The files and models that arms use, by name.

        Raises:
            SettingError: The recipe is wrong, or a file that it uses is not given.
        """
        arm = self.arms[name]
        path = self.folder / (arm.recipe or self._first())
        uses = {key: _given(name, used, given or {}) for key, used in arm.uses.items()}
        if arm.improves:
            uses["corpus.generate.engine.model"] = _given(name, name + IMPROVED, given or {})
        replaced = [key.rpartition(".")[0] + "." for key in uses if not key.endswith(".model")]
        if "passages" not in load_recipe(path).text["corpus"]:  # a method that reads none
            replaced.append("corpus.passages.")
        kept = [one for one in overrides if not one.startswith(tuple(replaced))]
        kept += [f"{key}={json.dumps(value)}" for key, value in uses.items()]
        kept.append(f"{'generator' if arm.model == 'generator' else 'follower'}.seed={seed}")
        if arm.model == "follower" and hasattr(load_recipe(path).corpus, "select"):
            kept.append(f"corpus.select.seed={seed}")
        return load_recipe(path, kept)

    def given(self, output: Path, data: Mapping[str, Path], seed: int) -> dict[str, str]:
        """Return the files and models that arms use, by name.

        Args:
            output: The study's folder.
            data: Files, by name.
            seed: The first one.
        """
        runs = {name: run_folder(output, name, seed) / arm.model for name, arm in self.arms.items()}
        improved = {name + IMPROVED: improved_folder(output, name) / "round_1" / "generator" for name in self.arms}
        return {name: str(path.resolve()) for name, path in {**data, **runs, **improved}.items()}

    def needed(self, names: Iterable[str]) -> list[str]:
        """Return arms with all that they use, in the order of the study."""
        needed = set(names)
        for name in reversed(self.arms):  # what an arm uses stands before it
            if name in needed:
                needed |= self.sources(name)
        return [name for name in self.arms if name in needed]

    def sources(self, name: str) -> set[str]:
        """Return the arms whose models or pairs an arm uses."""
        arm = self.arms[name]
        return ({*arm.uses.values(), *arm.mixes} | ({arm.improves} if arm.improves else set())) & self.arms.keys()

    def _first(self) -> str:
        return next(arm.recipe for arm in self.arms.values() if arm.recipe)


def run_folder(output: Path, arm: str, seed: int) -> Path:
    """Return the run folder of an arm."""
    return output / "arms" / arm / f"seed_{seed}"


def improved_folder(output: Path, arm: str) -> Path:
    """Return the folder in which the generator of an arm is improved."""
    return output / "improved" / arm


def _given(arm: str, name: str, given: Mapping[str, str]) -> str:
    if name not in given:
        raise SettingError(
            f"The arm {arm} uses the file {name!r}, which is not given. Pass --data {name}=FILE, or leave this arm "
            "out with --arms."
        )
    return given[name]


def read_study(folder: Path) -> Study:
    """Read ``study.yaml``.

    Raises:
        InputError: The folder has none, or it cannot be read.
        SettingError: A key is wrong, or an arm that is named does not exist.
    """
    content = read_config(folder / STUDY)
    study = validate(Study, content, STUDY, "Correct the file.", error=SettingError)
    named = {study.reference} | {name for claim in study.claims.values() for name in claim.arms}
    named |= {name for arm in study.arms.values() for name in (arm.like, arm.improves, *arm.mixes) if name}
    if unknown := sorted(named - study.arms.keys()):
        raise SettingError(
            f"{folder / STUDY} names the arms {', '.join(unknown)}, which it does not have. It has "
            f"{', '.join(study.arms)}. Correct the names."
        )
    order = list(study.arms)
    for place, name in enumerate(order):
        if late := sorted(study.sources(name) - set(order[:place])):
            raise SettingError(
                f"{folder / STUDY}: the arm {name} uses {', '.join(late)}, which stands after it. An arm uses those "
                "before it. Move it to the end."
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
