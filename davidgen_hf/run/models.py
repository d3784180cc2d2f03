"""The models of a finished run: what its corpus was built with, and the same with another generator."""

from dataclasses import replace
from pathlib import Path

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.roles import with_engines
from davidgen_hf.errors import RunFolderError
from davidgen_hf.methods import Method
from davidgen_hf.processors import GenerateInstructions
from davidgen_hf.provenance import find_provenance
from davidgen_hf.recipe import Recipe
from davidgen_hf.run.provenance import Pins
from davidgen_hf.sources.embedded import EMBEDDED


def method_with_models(
    recipe: Recipe, run: Path, generator: str | None = None, base_model: str | None = None
) -> Method:
    """Return the settings of the run's corpus with its own models, at the commits that the run recorded.

    Args:
        recipe: That of the run.
        run: The run's folder.
        generator: Folder or Hub id of its generator; None for the one that it trained, or that it names.
        base_model: Folder or Hub id of the base model, which scores; None for the one that the run names.

    Raises:
        RunFolderError: ``run.json`` names a local folder, which it does without its path.
    """
    pins = Pins(find_provenance(run))
    trained = run / "generator"
    base = base_model or recipe.base_model

    def locate(role: str, engine: EngineSettings) -> EngineSettings:
        is_generator = role == "generator"
        given = generator if is_generator else base_model
        own = given or (
            str(trained) if is_generator and not engine.model and trained.is_dir() else engine.model or base
        )
        if not engine.loads_model or engine.without_model:
            return engine
        commit = engine.revision or pins.commit(role, own) or pins.commit("base_model", own)
        if own != EMBEDDED and not Path(own).is_dir() and commit is None and given is None:
            option = "--generator" if is_generator else "--base-model"
            raise RunFolderError(
                f"{run} names its {role} {own!r}, which is not a folder here or a model of the Hub. A run names "
                f"folders without their paths. Pass the model's folder with {option}."
            )
        return replace(engine, model=own, revision=None if Path(own).is_dir() else commit)

    return replace(with_engines(recipe.corpus, locate), target_pairs=None)


def generator_of(method: Method, run: Path) -> EngineSettings:
    """Return the engine of the generator.

    Raises:
        RunFolderError: A step of the user's own writes the candidates, or a server holds the generator.
    """
    steps = [step for stage in method.stages() for step in stage.steps]
    step = next((step for step in steps if isinstance(step, GenerateInstructions)), None)
    if step is None or not step.engine.loads_model or step.engine.without_model:
        found = "has a step of your own that writes candidates" if step is None else "asks a server for candidates"
        raise RunFolderError(
            f"{run} {found}. A generator whose weights can be trained is needed. Train one with recipes/dpo.py on "
            f"`davidgen export {run} --format dpo`."
        )
    return step.engine


def with_generator(method: Method, generator: EngineSettings) -> Method:
    """Return a method whose candidates another generator writes."""
    return with_engines(method, lambda role, engine: generator if role == "generator" else engine)
