"""What a study will take, from an estimate of its first arm."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from davidgen_hf.estimate import EstimateSettings, estimate
from davidgen_hf.estimate.figures import duration
from davidgen_hf.recipe import Recipe
from davidgen_hf.study.arms import Study
from davidgen_hf.study.measures import measures_path
from davidgen_hf.study.run import StudySettings

_SAMPLE = 8  # passages that are run for the estimate


def describe_cost(
    study: Study, output: Path, settings: StudySettings, announce: Callable[[str], None]
) -> Iterator[str]:
    """Yield what the arms that are missing will take; nothing is estimated if none is missing.

    One recipe is estimated from a small sample; the others count the steps in which they differ from it. What the
    tasks take is not known before the first model has been measured.

    Raises:
        DavidgenError: As for an estimate.
    """
    places = [(name, seed) for seed in settings.seeds for name in settings.arms or study.arms]
    missing = [one for one in places if not measures_path(output, *one).is_file()]
    trained = [one for one in missing if one[0] in study.arms and study.arms[one[0]].recipe]
    if not trained:
        return
    given = study.given(output, settings.data, settings.seeds[0])
    with TemporaryDirectory(prefix="davidgen_") as folder:
        first = study.recipe(trained[0][0], settings.overrides, trained[0][1], given)
        found = estimate(first, EstimateSettings(sample=_SAMPLE), Path(folder), lambda _: None)
    parts = {part.name: part.on(1) for part in found.parts}
    total = 0.0
    done: list[Recipe] = []
    for name, seed in trained:
        recipe = study.recipe(name, settings.overrides, seed, given)
        total += _seconds(recipe, done, parts, study.arms[name].model)
        done.append(recipe)
    yield f"{len(missing)} arms to run: about {duration(total)}, without the measures of the tasks"


def _seconds(recipe: Recipe, done: list[Recipe], parts: dict[str, float], model: str) -> float:
    """Return the seconds of what a recipe shares with none that was counted before."""
    seconds = 0.0
    is_new = all((one.seeds, one.generator) != (recipe.seeds, recipe.generator) for one in done)
    if is_new:
        seconds += parts.get("generator", 0.0)
    if model == "generator":
        return seconds
    if is_new or all(_writing(one) != _writing(recipe) for one in done):
        seconds += parts.get("candidates", 0.0) + parts.get("scored", 0.0)
    return seconds + parts.get("follower", 0.0)


def _writing(recipe: Recipe) -> list[object]:
    """Return the settings on which candidates depend, besides the generator."""
    return [recipe.text["corpus"].get(key) for key in ("method", "extract", "generate")]
