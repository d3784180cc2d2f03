"""A folder of numbered YAML files to settings: nothing unknown gets through, and all faults are shown at once."""

import json
import os
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from davidgen_hf.engines import EngineSettings, Sampling
from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.methods import METHODS, Method, Stage
from davidgen_hf.methods.seeds import SeedSettings
from davidgen_hf.processors import SelectInstruction
from davidgen_hf.processors.own import describe, load_class
from davidgen_hf.provenance import ProvenanceRules
from davidgen_hf.secrecy import refuse_secrets
from davidgen_hf.storage.validation import brief
from davidgen_hf.storage.yaml_files import MAX_DEPTH, parse_yaml, read_config
from davidgen_hf.training.config import check_config


@dataclass(frozen=True)
class EvaluationSettings:
    """5_evaluation.yaml: how follower and base model answer the seeds that were held out."""

    engine: EngineSettings = field(default_factory=EngineSettings)
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        Sampling(max_new_tokens=self.max_new_tokens)


@dataclass(frozen=True)
class Recipe:
    """The five steps of a run, checked.

    Args:
        name: Name of the recipe's folder.
        seeds: Settings of 1_seeds.yaml.
        generator: 2_generator.yaml, a plain TRL file.
        corpus: Settings of 3_corpus.yaml.
        follower: 4_follower.yaml, a plain TRL file.
        evaluation: Settings of 5_evaluation.yaml.
        provenance: Settings of provenance.yaml.
        text: The files' content with all overrides, as ``run.json`` keeps it.
    """

    name: str
    seeds: SeedSettings
    generator: dict[str, Any]
    corpus: Method
    follower: dict[str, Any]
    evaluation: EvaluationSettings
    provenance: ProvenanceRules
    text: dict[str, dict[str, Any]]

    @property
    def base_model(self) -> str:
        """The model that the generator is trained from, and that scores where the recipe names no other."""
        return str(self.generator["model_name_or_path"])


FILES = {
    "seeds": "1_seeds.yaml",
    "generator": "2_generator.yaml",
    "corpus": "3_corpus.yaml",
    "follower": "4_follower.yaml",
    "evaluation": "5_evaluation.yaml",
    "provenance": "provenance.yaml",
}
OPTIONAL = ("provenance",)
SCORED = "scored"  # the folder of the rows with scored candidates, in every method that has some
TRAININGS = ("generator", "follower")
SETTINGS = {
    "seeds": SeedSettings,
    "evaluation": EvaluationSettings,
    "provenance": ProvenanceRules,
}


STEPS = ("seeds", "generator", "corpus", "follower", "evaluation")


def load_recipe(folder: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe.

    Args:
        folder: Folder with the files of ``FILES``, or the name of a recipe that the package ships, e.g. ``demo``.
        overrides: ``section.key=value``, where the section is a key of ``FILES`` and the value is YAML.

    Raises:
        InputError: The folder or one of its files is absent or cannot be read.
        SettingError: A key is unknown, a value of the wrong type or out of range; all of them are named.
    """
    path = _find(folder)
    text = {
        section: read_config(path / name)
        for section, name in FILES.items()
        if section not in OPTIONAL or (path / name).is_file()
    }
    for override in overrides or []:
        _override(text, override)
    return parse_recipe(path.name, text)


def parse_recipe(name: str, text: dict[str, dict[str, Any]]) -> Recipe:
    """Check the content of a recipe's files, by the keys of ``FILES``.

    Raises:
        SettingError: A key is unknown, a value of the wrong type or out of range, and all of them are named; or one
            holds a token or password.
    """
    refuse_secrets(text, "recipe")
    made, problems = {}, []
    for section, file in FILES.items():
        try:
            made[section] = _build(section, text.get(section, {}), file)
        except SettingError as error:
            problems.append(str(error))
    if problems:
        raise SettingError("\n".join(problems))
    return Recipe(name=name, text=text, **made)


def stages_of(record: dict[str, Any]) -> tuple[Stage, ...]:
    """Return the stages of the corpus of a run, from the content of its ``run.json``.

    Raises:
        SettingError: The recipe in the record is not one that this version reads.
    """
    return method_of(record).stages()


def method_of(record: dict[str, Any]) -> Method:
    """Return the settings of the corpus of a run, from the content of its ``run.json``.

    Raises:
        SettingError: As ``stages_of``.
    """
    return parse_recipe(record["name"], record["recipe"]).corpus


def selection_of(record: dict[str, Any]) -> SelectInstruction:
    """Return the step that ranks the candidates of a run, from the content of its ``run.json``.

    Everything that shows or exports candidates ranks them with it, as the corpus did. A run whose last step is not a
    ``SelectInstruction`` is ranked by the plain one.

    Raises:
        SettingError: As ``stages_of``.
    """
    last = stages_of(record)[-1].steps[-1]
    return last if isinstance(last, SelectInstruction) else SelectInstruction()


def ranked_stage(record: dict[str, Any]) -> str:
    """Return the name of the stage whose candidates the selection of a run ranks: ``scored`` unless nothing is scored.

    Raises:
        SettingError: As ``stages_of``.
    """
    *before, last = stages_of(record)
    names = [stage.name for stage in before]
    return names[-1] if names and SCORED not in names and isinstance(last.steps[-1], SelectInstruction) else SCORED


def target_of(record: dict[str, Any]) -> int | None:
    """Return how many pairs a run is to have, from the content of its ``run.json``; None for no limit.

    Raises:
        SettingError: As ``stages_of``.
    """
    return parse_recipe(record["name"], record["recipe"]).corpus.target_pairs


def recipe_files(text: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Return names and content of the files that make a recipe of ``Recipe.text``, as ``run.json`` keeps it."""
    return [
        (name, yaml.safe_dump(text[section], sort_keys=False, allow_unicode=True))
        for section, name in FILES.items()
        if text.get(section) or section not in OPTIONAL
    ]


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with the package."""
    folders = files("davidgen_hf.recipes").iterdir()
    return sorted(folder.name for folder in folders if (folder / FILES["corpus"]).is_file())


def _find(folder: str | Path) -> Path:
    for path in (Path(folder), Path(str(files("davidgen_hf.recipes") / str(folder)))):
        if os.path.isdir(path):  # unlike Path.is_dir, also for names that are too long to exist
            needed = [name for section, name in FILES.items() if section not in OPTIONAL]
            missing = [name for name in needed if not (path / name).is_file()]
            if missing:
                raise InputError(f"{path} is not a recipe: it lacks {missing}. A recipe holds {needed}.")
            return path
    raise InputError(
        f"There is no recipe folder {brief(str(folder))}. Give the path of one, or the name of one that comes with "
        f"the package: {shipped_recipes()}."
    )


def _override(text: dict[str, dict[str, Any]], override: str) -> None:
    """Put the value of ``section.key=value`` in its place.

    Raises:
        SettingError: It has another form, its value is not YAML, or a list is not indexed by a number it has.
    """
    name, equals, value = override.partition("=")
    section, *keys = name.split(".")
    if not equals or section not in FILES or not keys or not all(keys) or len(keys) > MAX_DEPTH:
        raise SettingError(
            f"{brief(override)} is not an override. An override is section.key=value, where the section is one of "
            f"{list(FILES)}. Write it in this form."
        )
    place: Any = text.setdefault(section, {})
    for key, following in pairwise(keys):
        found = place[_number(key, place, override)] if isinstance(place, list) else place.get(key)
        # Another source takes the place of a whole list of them.
        if not isinstance(found, dict) and not (isinstance(found, list) and following != "source"):
            found = {}
            place[_number(key, place, override) if isinstance(place, list) else key] = found
        place = found
    last = _number(keys[-1], place, override) if isinstance(place, list) else keys[-1]
    place[last] = parse_yaml(value, f"The value of {brief(name)}")


def _number(key: str, found: list[Any], override: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) <= len(str(len(found))) and int(key) < len(found)):
        raise SettingError(
            f"{brief(override)}: there is a list of {len(found)} there. Say which is meant with a number from 0 to "
            f"{len(found) - 1} in place of {brief(key)}, and go on from there."
        )
    return int(key)


def _build(section: str, values: dict[str, Any], name: str) -> Any:
    if section in TRAININGS:
        if not values.get("model_name_or_path"):
            raise SettingError(f"{name}: model_name_or_path: needed, a folder, a Hub id, or `embedded`")
        return check_config(values, name)
    settings = _method(values, name) if section == "corpus" else SETTINGS[section]
    try:
        # From JSON, so that strictness lets a list be a tuple and 1 a float, and nothing else be what it is not.
        content = json.dumps(values, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:  # a recipe that was not read from YAML
        raise SettingError(f"{name}: {error}. A recipe holds what YAML can. Correct the values.") from error
    try:
        return TypeAdapter(settings).validate_json(content, strict=True, extra="forbid")
    except ValidationError as error:
        problems = [describe(one) for one in error.errors() if one["loc"][-1:] != ("literal['none']",)]
        raise SettingError(f"{name}: {len(problems)} problem(s).\n  " + "\n  ".join(problems)) from error


def _method(values: dict[str, Any], name: str) -> type[Method]:
    """Return the settings of the method that a recipe names, ours or a user's own."""
    method = values.get("method", "back_translation")
    named = METHODS.get(method, method) if isinstance(method, str) else ""
    found = load_class(named) if ":" in named else None
    if found is None or not issubclass(found, Method):
        raise SettingError(
            f"{name}: method: got {method!r}. Name one of {', '.join(METHODS)}, or a subclass of "
            "davidgen_hf.methods.Method of your own as package.module:Class."
        )
    return found


def steps_until(last: str | None) -> tuple[str, ...] | None:
    """Return the names of the steps up to one of them; None for all.

    Raises:
        SettingError: The step does not exist.
    """
    if last is None:
        return None
    if last not in STEPS:
        raise SettingError(f"--until is {brief(last)}. It must be one of {', '.join(STEPS)}. Name one of these.")
    return STEPS[: STEPS.index(last) + 1]
