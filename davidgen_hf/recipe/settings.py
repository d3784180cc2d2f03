"""A folder of numbered YAML files to settings: nothing unknown gets through, and all faults are shown at once."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from davidgen_hf.engines import EngineSettings, Sampling
from davidgen_hf.errors import SettingError
from davidgen_hf.methods import METHODS, Method
from davidgen_hf.methods.seeds import SeedSettings
from davidgen_hf.plugins import load_object
from davidgen_hf.processors.own import describe
from davidgen_hf.provenance import ProvenanceRules
from davidgen_hf.recipe.text import FILES, read_text
from davidgen_hf.secrecy import refuse_secrets
from davidgen_hf.storage.validation import brief
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
        name: Name of the recipe's folder or file.
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
        folder: Folder or file as in ``read_text``, or the name of a recipe that the package ships, e.g. ``demo``.
        overrides: ``section.key=value``, where the section is a key of ``FILES`` and the value is YAML.

    Raises:
        InputError: The folder or one of its files is absent or cannot be read.
        SettingError: A key is unknown, a value of the wrong type or out of range; all of them are named.
    """
    text = read_text(folder, overrides)
    return parse_recipe(text.name, text.sections)


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
    if isinstance(method, str) and method in METHODS:
        known: type[Method] = METHODS.load(method)
        return known
    found = load_object(method) if isinstance(method, str) and ":" in method else None
    if not (isinstance(found, type) and issubclass(found, Method)):
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
