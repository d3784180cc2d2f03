"""Run the arms of a study that are missing, measure each, and write the table after each."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets

from davidgen_hf.engines import EngineSettings
from davidgen_hf.errors import FolderBusyError, InputError, SettingError
from davidgen_hf.recipe import Recipe
from davidgen_hf.run.improve import ImproveSettings, improve
from davidgen_hf.run.run import run_recipe
from davidgen_hf.sources.seeds import SeedSource, read_seeds
from davidgen_hf.sources.source import Skipped
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.progress import begin_step
from davidgen_hf.storage.shards import Part, open_shards
from davidgen_hf.study.arms import Arm, Study, improved_folder, run_folder, take_over
from davidgen_hf.study.measures import (
    describe_pairs,
    measure_answers,
    measure_corpus,
    measure_likelihoods,
    measures_path,
    read_measures,
)
from davidgen_hf.study.table import write_tables
from davidgen_hf.training import train

_STEPS = {"generator": ("seeds", "generator"), "follower": ("seeds", "generator", "corpus", "follower")}
LIKELIHOODS, ANSWERS = "likelihoods", "answers"
_WAIT_SECONDS = 2.0  # until arms that other parts have in hand are looked at again
Display = Callable[[Path], AbstractContextManager[object]]
Place = tuple[str, int]  # an arm and a seed


@dataclass(frozen=True)
class StudySettings:
    """What of a study is run, and on what.

    Args:
        overrides: Of every recipe: where passages and seeds come from, and the like.
        tasks: Files of tasks with answers that people wrote, by name of the set.
        data: Files that arms use, by the name under which they use them.
        arms: Which arms; None for all.
        seeds: Of selection and trainings.
        limit: Tasks of each set that are used, from the first on; None for all.
        answered: Tasks of each set that are answered too.
        max_new_tokens: Longest answer, in tokens.
        engine: How the models that are measured run.
        part: Which of several processes this one is; None if no other one works on the study.

    Raises:
        SettingError: There are no tasks or no seeds.
    """

    overrides: list[str]
    tasks: dict[str, Path]
    data: dict[str, Path] = field(default_factory=dict)
    arms: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = (0,)
    limit: int | None = None
    answered: int = 0
    max_new_tokens: int = 128
    engine: EngineSettings = field(default_factory=EngineSettings)
    part: Part | None = None

    def __post_init__(self) -> None:
        if not self.tasks or not self.seeds:
            raise SettingError(
                "The study has no tasks or no seeds. Arms are compared on tasks with answers that people wrote. Name "
                "a file with --tasks NAME=FILE, and seeds with --seeds 0,1,2."
            )


def run_study(
    study: Study,
    output: Path,
    settings: StudySettings,
    announce: Callable[[str], None],
    display: Display = nullcontext,
) -> dict[str, Any]:
    """Run and measure what is missing; a second call with the same arguments does nothing but write the tables.

    Each arm takes over what it has in common with the arm that it is ``like``. All arms of the first seed come first.
    An interruption costs at most the work since the last shard or checkpoint of the arm in hand. Processes that
    share the folder as parts each take the next arm that no other one has in hand.

    Args:
        study: Its arms.
        output: Folder of runs (``arms/NAME/seed_N``), measures (``measures/NAME_N.json``) and tables.
        settings: What to run.
        announce: Called with what begins.
        display: As for ``run_recipe``.

    Returns:
        What ``study.json`` holds.

    Raises:
        SettingError: An arm does not exist, or a recipe is wrong.
        DavidgenError: As for a run.
    """
    names = list(settings.arms or study.arms)
    if unknown := [name for name in names if name not in study.arms]:
        raise SettingError(
            f"There is no arm {', '.join(unknown)}. The study has {', '.join(study.arms)}. Pass some of these."
        )
    tasks = dict(_read_tasks(settings))
    given = study.given(output, settings.data, settings.seeds[0])
    places = [(name, settings.seeds[0]) for name in study.needed(names)]
    drawn = [name for name in names if study.arms[name].model != "base"]  # nothing of a base model is drawn
    places += [(name, seed) for seed in settings.seeds[1:] for name in drawn]
    recipes = {
        place: study.recipe(place[0], settings.overrides, place[1], given) for place in places
    }  # mistakes show at once
    keys = {place: _keys(recipe, study.arms[place[0]], tasks, settings) for place, recipe in recipes.items()}
    call = _Call(study, output, settings, tasks, recipes, keys, announce, display)
    with hold(output, str(settings.part) if settings.part else None):
        for number, place in enumerate(call.in_turn(), start=1):
            named = f"{number}/{len(places)} {call.step(place)}"
            if call.missing(place):
                announce(f"{named}: {study.arms[place[0]].about}")
                with display(output):  # for `davidgen status`, while the arm has a display of its own
                    begin_step(call.step(place), tuple(map(call.step, places)))
                call.measure(place)
                write_tables(study, output, settings.seeds)
            else:
                announce(f"{named}: measured before")
        return write_tables(study, output, settings.seeds)


@dataclass(frozen=True)
class _Call:
    """What ``run_study`` was given, with the tasks read."""

    study: Study
    output: Path
    settings: StudySettings
    tasks: dict[str, Dataset]
    recipes: dict[Place, Recipe]
    keys: dict[Place, dict[str, str]]
    announce: Callable[[str], None]
    display: Display

    @staticmethod
    def step(place: Place) -> str:
        """Return how the progress names an arm."""
        return f"{place[0]}, seed {place[1]}"

    def in_turn(self) -> Iterator[Place]:
        """Yield each place once, when what it begins with is measured, and while no other process works on it."""
        pending = list(self.recipes)
        while pending:
            unmeasured = set(filter(self.missing, pending))
            before = len(pending)
            for place in pending:
                if self.begins_with(place) & unmeasured:
                    continue
                with ExitStack() as held, suppress(FolderBusyError):
                    held.enter_context(hold(self.output / "measures", f"{place[0]}_{place[1]}"))
                    pending = [one for one in pending if one != place]
                    yield place
                    break
            if len(pending) == before:
                time.sleep(_WAIT_SECONDS)

    def begins_with(self, place: Place) -> set[Place]:
        """Return the places whose results a place takes over or uses."""
        (name, seed), first = place, self.settings.seeds[0]
        others = {(one, first) for one in self.study.sources(name)} | {(name, first)}
        return (others | ({(like, seed)} if (like := self.study.arms[name].like) else set())) - {place}

    def missing(self, place: Place) -> dict[str, str]:
        """Return the keys of what has to be measured."""
        stored = (read_measures(measures_path(self.output, *place)) or {}).get("keys", {})
        return {name: key for name, key in self.keys[place].items() if stored.get(name) != key}

    def measure(self, place: Place) -> None:
        """Run and measure what is missing, and store it."""
        path, arm, missing = measures_path(self.output, *place), self.study.arms[place[0]], self.missing(place)
        started = time.perf_counter()
        found = {} if LIKELIHOODS in missing else read_measures(path) or {}
        model = str(self.recipes[place].follower["model_name_or_path"])
        if arm.model != "base":
            model = str(run_folder(self.output, *place) / arm.model)
            if LIKELIHOODS in missing:
                found |= self.run(place)
        engine = replace(self.settings.engine, model=model)
        with self.display(self.output):
            begin_step(self.step(place), (self.step(place),))
            if LIKELIHOODS in missing:
                found["tasks"] = measure_likelihoods(engine, self.tasks)
            if ANSWERS in missing:
                found["answers"] = measure_answers(
                    engine, self.tasks, self.settings.answered, self.settings.max_new_tokens
                )
        seconds = found.get("seconds", 0.0) + time.perf_counter() - started
        found |= {"keys": found.get("keys", {}) | missing, "seconds": round(seconds, 1)}
        write_whole(path, json.dumps(found) + "\n")

    def run(self, place: Place) -> dict[str, Any]:
        """Run an arm, which begins with what it shares with its first seed, or with the arm it is like."""
        (name, seed), recipe, first_seed = place, self.recipes[place], self.settings.seeds[0]
        arm, run, first = (
            self.study.arms[name],
            run_folder(self.output, *place),
            run_folder(self.output, name, first_seed),
        )
        if arm.mixes:
            corpora = [run_folder(self.output, one, first_seed) / "corpus" for one in arm.mixes]
            return {"corpus": _train_on_mix(corpora, recipe, run)}
        if arm.improves and not (improved := improved_folder(self.output, name) / "improve.json").is_file():
            source = run_folder(self.output, arm.improves, first_seed)
            chosen = ImproveSettings(base_model=recipe.base_model)  # a run names folders without their paths
            improve(source, improved.parent, chosen, self.announce, self.display)
        if first != run and first.is_dir():
            take_over(first, run)
        elif arm.like:
            take_over(run_folder(self.output, arm.like, seed), run)
        run_recipe(recipe, run, self.announce, steps=_STEPS[arm.model], update=True, display=self.display)
        return {"corpus": measure_corpus(run / "corpus")} if arm.model == "follower" else {}


def _train_on_mix(corpora: list[Path], recipe: Recipe, run: Path) -> dict[str, Any]:
    """Train a follower on equal parts of corpora, as many pairs as the first one has; return what the pairs are."""
    columns = ["instruction", "output", "prompt", "completion"]
    whole = [open_shards(corpus, columns) for corpus in corpora]
    share = len(whole[0]) // len(whole)
    rows = concatenate_datasets([one.select(range(min(share, len(one)))) for one in whole])
    train(rows.select_columns(columns[2:]), recipe.follower, output_dir=run / "follower", resume=True)
    return describe_pairs(rows)


def _read_tasks(settings: StudySettings) -> Iterator[tuple[str, Dataset]]:
    for name, path in settings.tasks.items():
        rows = read_seeds([SeedSource(str(path))], Skipped())
        if not len(rows):
            raise InputError(
                f"{path} holds no task. Rows with an instruction and an output are expected, as for seeds. Name "
                "another file with --tasks."
            )
        yield name, rows.select(range(min(len(rows), settings.limit or len(rows))))


def _keys(recipe: Recipe, arm: Arm, tasks: dict[str, Dataset], settings: StudySettings) -> dict[str, str]:
    """Return hashes of what likelihoods and answers depend on, so that they are made again if that has changed."""
    texts = {name: [rows[column][:] for column in ("instruction", "input", "output")] for name, rows in tasks.items()}
    read = sorted(str(source.source) for source in (*recipe.corpus.sources, *recipe.seeds.sources))
    files = [sha256(Path(one).read_bytes()).hexdigest() for one in read if Path(one).is_file()]
    state = sha256(
        json.dumps([recipe.text, files, arm.model, arm.mixes, str(settings.engine), texts], sort_keys=True).encode()
    )
    keys = {LIKELIHOODS: state.hexdigest()[:16]}
    if settings.answered:
        state.update(json.dumps([settings.answered, settings.max_new_tokens]).encode())
        keys[ANSWERS] = state.hexdigest()[:16]
    return keys
