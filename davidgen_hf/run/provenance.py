"""Checks before the first step of a run, and the provenance record: every source and model at a commit, and judged."""

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TypeVar

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.closed_hosts import closed_models_at
from davidgen_hf.engines.loading import find_model
from davidgen_hf.engines.roles import with_engines
from davidgen_hf.engines.settings import ENGINES
from davidgen_hf.errors import RunFolderError
from davidgen_hf.methods import PassageMethod
from davidgen_hf.provenance import Part, Provenance, find_provenance
from davidgen_hf.provenance.record import ROLES, require_parts
from davidgen_hf.provenance.verdict import Verdict
from davidgen_hf.recipe import Recipe
from davidgen_hf.sources.inputs import check_inputs
from davidgen_hf.sources.origins import model_part, source_part
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.sources.paths import name_of
from davidgen_hf.sources.source import Source
from davidgen_hf.storage.record import FILE_NAME, read_record
from davidgen_hf.training import resolve_model

logger = logging.getLogger(__name__)

AnySource = TypeVar("AnySource", bound=Source)


class Pins:
    """Commits and verdicts that an earlier call recorded; they stay, even if a branch has moved."""

    def __init__(self, recorded: Provenance | None) -> None:
        self._parts = {(part.role, part.name, part.config): part for part in recorded.parts} if recorded else {}

    def part(self, role: str, name: str, config: str | None, judge: Callable[[], Part]) -> Part:
        """Return the part as recorded, without its declaration, or judge it now."""
        known = self._parts.get((role, name, config))
        if known is None:
            return judge()
        if known.verdict.declaration is None:
            return known
        reason = f"The declaration of {name} has been removed."
        return replace(known, verdict=replace(known.verdict, answer="unknown", reason=reason, declaration=None))

    def source(self, role: str, source: AnySource) -> AnySource:
        """Return a Hub source at its commit, with its license; return any other unchanged."""
        known = self._parts.get((role, source.source, source.config or None))
        if known is None or known.revision is None:
            return source.resolved()
        return replace(source, revision=known.revision, license=source.license or known.license or "")

    def commit(self, role: str, name: str) -> str | None:
        """Return the recorded commit of a Hub model."""
        known = self._parts.get((role, name, None))
        return known.revision if known else None


def pin(recipe: Recipe, pins: Pins, steps: Collection[str]) -> Recipe:
    """Return the recipe with every source and model of the Hub at a commit, as far as the steps use it.

    Raises:
        InputError: A dataset is not there, or the Hub cannot be reached.
        ModelError: A model is absent or of the wrong kind.
    """
    training = {}
    for section, role in (("generator", "base_model"), ("follower", "follower_base")):
        values = getattr(recipe, section)
        if section not in steps and not (role == "base_model" and "corpus" in steps and _runs_base(recipe)):
            continue
        name = values["model_name_or_path"]
        commit = pins.commit(role, name)
        commit = commit or resolve_model(name, values.get("model_revision"))[1]
        training[section] = values | ({"model_revision": commit} if commit else {})
    if "seeds" in steps or ("corpus" in steps and recipe.corpus.uses_seeds):
        seeds = tuple(pins.source("seeds", one) for one in recipe.seeds.sources)
        training["seeds"] = replace(recipe.seeds, source=seeds)
    if "corpus" in steps:
        corpus = recipe.corpus
        if isinstance(corpus, PassageMethod):
            corpus = replace(corpus, passages=tuple(pins.source("passages", one) for one in corpus.sources))
        at_commit = partial(_engine_at_commit, pins)
        training["corpus"] = with_engines(corpus, at_commit)
    return replace(recipe, **training)


def judge(recipe: Recipe, pins: Pins, steps: Collection[str]) -> Provenance:
    """Judge the parts of a pinned recipe that the steps use.

    Raises:
        InputError: A source cannot be read.
        ProvenanceError: A part is restricted and the recipe does not allow that, or unknown and not declared.
    """
    engines = list(_engines(recipe)) if "corpus" in steps else []
    uses_own = "corpus" in steps and any(
        role == "generator" and not engine.model and not engine.without_model
        for role, engine in recipe.corpus.engines()
    )
    trains = "generator" in steps or uses_own
    shows_seeds = "corpus" in steps and recipe.corpus.uses_seeds
    seeds = recipe.seeds.sources if trains or shows_seeds or "seeds" in steps else ()
    passages = recipe.corpus.sources if "corpus" in steps else ()
    sources: list[tuple[str, Source]] = [*zip(repeat("seeds"), seeds), *zip(repeat("passages"), passages)]
    models: list[tuple[str, str, str | None]] = []
    if trains:
        models.append(("base_model", recipe.base_model, recipe.generator.get("model_revision")))
    if "follower" in steps:
        follower = recipe.follower
        models.append(("follower_base", follower["model_name_or_path"], follower.get("model_revision")))
    parts = []
    for role, engine in engines:
        if answering := _without_lookup(engine):
            parts.append(Part(role, answering))
        else:
            models.append((role, engine.model, engine.revision))
    for role, source in sources:
        judge_source = partial(source_part, role, source)
        parts.append(pins.part(role, name_of(source.source), source.config or None, judge_source))
    for role, name, revision in models:
        parts.append(pins.part(role, name_of(name), None, partial(model_part, role, name, revision)))
    parts.sort(key=lambda part: ROLES.index(part.role))
    return require_parts(parts, recipe.provenance, trains_generator=uses_own)


def _engines(recipe: Recipe) -> Iterator[tuple[str, EngineSettings]]:
    """Yield the engines that write or judge text, each once; not a generator that the run trains itself."""
    settings = recipe.corpus.with_models(recipe.base_model, "", recipe.generator.get("model_revision"))
    found = {
        (role, engine.kind, engine.model, engine.revision, _address(engine)): engine
        for role, engine in settings.engines()
        if role != "tokenizer"
    }
    for (role, *_), engine in sorted(found.items(), key=lambda one: ROLES.index(one[0][0])):
        if engine.model or engine.without_model:
            yield role, engine


def _runs_base(recipe: Recipe) -> bool:
    engines = recipe.corpus.engines()
    return any(not engine.model and engine.loads_model and role != "generator" for role, engine in engines)


def _without_lookup(engine: EngineSettings) -> Verdict | None:
    """Judge an engine whose model's name does not matter: one without a model, or a host of closed models.

    That it has no model is not taken from a plugin, or it could hide one.
    """
    plugin = ENGINES.plugin(engine.kind)
    if engine.without_model and plugin:
        reason = f"{plugin.package} says of its engine {engine.kind!r}: {engine.without_model}"
        return Verdict(engine.kind, "unknown", reason)
    if engine.without_model:
        return Verdict(engine.kind, "clean", engine.without_model, "cc0-1.0")
    address = _address(engine)
    closed = closed_models_at(address) if address else None
    return Verdict(engine.model, "restricted", f"{address} answers with {closed}.") if closed else None


def _address(engine: EngineSettings) -> str | None:
    """Return the address of the server that answers; a plugin's engine may have one too."""
    return next((getattr(engine, one.name) for one in fields(engine) if one.name == "base_url"), None)


def _engine_at_commit(pins: Pins, role: str, engine: EngineSettings) -> EngineSettings:
    """Name the commit of a model that this process loads; a server has its own, which cannot be looked up."""
    if not engine.model or not engine.loads_model or role == "tokenizer":
        return engine
    commit = pins.commit(role, engine.model) or find_model(engine).commit
    return replace(engine, revision=commit) if commit else engine


def pin_and_check(
    recipe: Recipe, output: Path, steps: Collection[str], *, update: bool = False
) -> tuple[Recipe, Provenance]:
    """Pin a recipe's sources and models to commits, check the inputs of a new run, and judge everything it uses.

    Args:
        recipe: The recipe as it was read.
        output: The run's folder. Commits that an earlier call recorded are kept, even if a branch has moved.
        steps: Names of the steps to run; inputs of neither these nor finished steps are ignored.
        update: Look the commits up again.

    Returns:
        The recipe with commits instead of branches, and the provenance.

    Raises:
        InputError: Seeds or passages cannot be read.
        ModelError: A model does not exist or is not a causal language model.
        ProvenanceError: A part is restricted and this is not allowed, or unknown and not declared.
    """
    recorded = None if update else find_provenance(output)
    pins = Pins(recorded)
    used = {*steps, *_finished(output)} if recorded else set(steps)
    pinned = pin(recipe, pins, used)
    if update or not (output / FILE_NAME).is_file():
        check_inputs(
            pinned.seeds.sources if "seeds" in steps else (),
            pinned.corpus.sources if "corpus" in steps else (),
            trains_generator="generator" in steps,
        )
        if "corpus" in steps and pinned.corpus.uses_seeds:
            next(pinned.corpus.rows(pinned.seeds, Skipped()))
    return pinned, judge(pinned, pins, used)


def _finished(output: Path) -> set[str]:
    try:
        return set(read_record(output)["steps"])
    except RunFolderError:
        return set()
