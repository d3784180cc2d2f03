"""What the recipe of a run says, from the record of the run."""

from typing import Any

import yaml

from davidgen_hf.methods import Method, Stage
from davidgen_hf.processors import SelectInstruction
from davidgen_hf.recipe.settings import parse_recipe
from davidgen_hf.recipe.text import FILES, OPTIONAL

SCORED = "scored"  # the folder of the rows with scored candidates, in every method that has some


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
