"""A recipe: the YAML files of a run, read, merged with the recipe that they extend, and checked."""

from davidgen_hf.recipe.recorded import (
    SCORED,
    method_of,
    ranked_stage,
    recipe_files,
    selection_of,
    stages_of,
    target_of,
)
from davidgen_hf.recipe.settings import (
    STEPS,
    TRAININGS,
    EvaluationSettings,
    Recipe,
    load_recipe,
    parse_recipe,
    steps_until,
)
from davidgen_hf.recipe.text import FILES, read_text, shipped_recipes

__all__ = [
    "FILES",
    "SCORED",
    "STEPS",
    "TRAININGS",
    "EvaluationSettings",
    "Recipe",
    "load_recipe",
    "method_of",
    "parse_recipe",
    "ranked_stage",
    "read_text",
    "recipe_files",
    "selection_of",
    "shipped_recipes",
    "stages_of",
    "steps_until",
    "target_of",
]
