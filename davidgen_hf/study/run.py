"""Run the arms of a study that are missing, measure each, and write the table after each."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from datasets import Dataset

from davidgen_hf.engines import EngineSettings
from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.recipe import Recipe
from davidgen_hf.run.run import run_recipe
from davidgen_hf.sources.seeds import SeedSource, read_seeds
from davidgen_hf.sources.source import Skipped
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.progress import begin_step
from davidgen_hf.study.arms import Study, take_over
from davidgen_hf.study.measures import measure_corpus, measure_model, measures_path, read_measures
from davidgen_hf.study.table import write_tables

_STEPS = {"generator": ("seeds", "generator"), "follower": ("seeds", "generator", "corpus", "follower")}
Display = Callable[[Path], AbstractContextManager[object]]


@dataclass(frozen=True)
class Asked:
    """What of a study is run, and on what.

    Args:
        overrides: Of every recipe: where passages and seeds come from, and the like.
        tasks: Files of tasks with answers that people wrote, by name of the set.
        arms: Which arms; None for all.
        seeds: Of selection and trainings.
        limit: Tasks of each set that are used, from the first on; None for all.
        answered: Tasks of each set that are answered too.
        max_new_tokens: Longest answer, in tokens.

    Raises:
        SettingError: There are no tasks or no seeds.
    """

    overrides: list[str]
    tasks: dict[str, Path]
    arms: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = (0,)
    limit: int | None = None
    answered: int = 0
    max_new_tokens: int = 128
    engine: EngineSettings = field(default_factory=EngineSettings)

    def __post_init__(self) -> None:
        if not self.tasks or not self.seeds:
            raise SettingError(
                "The study has no tasks or no seeds. Arms are compared on tasks with answers that people wrote. Name "
                "a file with --tasks NAME=FILE, and seeds with --seeds 0,1,2."
            )


def run_study(
    study: Study, output: Path, asked: Asked, announce: Callable[[str], None], display: Display = nullcontext
) -> dict[str, Any]:
    """Run and measure what is missing; a second call with the same arguments does nothing but write the tables.

    Each arm takes over what it has in common with the arm that it is ``like``. All arms of the first seed come first.
    An interruption costs at most the work since the last shard or checkpoint of the arm in hand.

    Args:
        study: Its arms.
        output: Folder of runs (``arms/NAME/seed_N``), measures (``measures/NAME_N.json``) and tables.
        asked: What to run.
        announce: Called with what begins.
        display: As for ``run_recipe``.

    Returns:
        What ``study.json`` holds.

    Raises:
        SettingError: An arm does not exist, or a recipe is wrong.
        DavidgenError: As for a run.
    """
    names = asked.arms or tuple(study.arms)
    if unknown := [name for name in names if name not in study.arms]:
        raise SettingError(
            f"There is no arm {', '.join(unknown)}. The study has {', '.join(study.arms)}. Pass some of these."
        )
    tasks = dict(_read_tasks(asked))
    places = [(name, seed) for seed in asked.seeds for name in names]
    recipes = {place: study.recipe(place[0], asked.overrides, place[1]) for place in places}  # mistakes show at once
    content: dict[str, Any] = {}
    with hold(output):
        for number, (name, seed) in enumerate(places, start=1):
            path = measures_path(output, name, seed)
            key = _key(recipes[name, seed], study.arms[name].model, tasks, asked)
            if (read_measures(path) or {}).get("key") == key:
                announce(f"{number}/{len(places)} {name}, seed {seed}: measured before")
                continue
            announce(f"{number}/{len(places)} {name}, seed {seed}: {study.arms[name].about}")
            started = time.perf_counter()
            found: dict[str, Any] = {}
            recipe, trained = recipes[name, seed], study.arms[name].model
            model = str(recipe.follower["model_name_or_path"])
            if trained != "base":
                run = _begin(study, output, name, seed, asked)
                run_recipe(recipe, run, announce, steps=_STEPS[trained], update=True, display=display)
                model = str(run / trained)
                if trained == "follower":
                    found["corpus"] = measure_corpus(run / "corpus")
            with display(output):
                begin_step("tasks", ("tasks",))
                engine = replace(asked.engine, model=model)
                found["tasks"] = measure_model(engine, tasks, asked.answered, asked.max_new_tokens)
            found |= {"key": key, "seconds": round(time.perf_counter() - started, 1)}
            write_whole(path, json.dumps(found) + "\n")
            content = write_tables(study, output, asked.seeds)
        return content or write_tables(study, output, asked.seeds)


def _begin(study: Study, output: Path, name: str, seed: int, asked: Asked) -> Path:
    """Return the run folder of an arm, which has what it shares with its first seed, or with the arm it is like."""
    arms = output / "arms"
    run, first = arms / name / f"seed_{seed}", arms / name / f"seed_{asked.seeds[0]}"
    like = arms / (study.arms[name].like or "") / f"seed_{seed}"
    take_over(first if first != run and first.is_dir() else like, run)
    return run


def _read_tasks(asked: Asked) -> Iterator[tuple[str, Dataset]]:
    for name, path in asked.tasks.items():
        rows = read_seeds([SeedSource(str(path))], Skipped())
        if not len(rows):
            raise InputError(
                f"{path} holds no task. Rows with an instruction and an output are expected, as for seeds. Name "
                "another file with --tasks."
            )
        yield name, rows.select(range(min(len(rows), asked.limit or len(rows))))


def _key(recipe: Recipe, model: str, tasks: dict[str, Dataset], asked: Asked) -> str:
    """Return a hash of what a measure depends on, so that it is made again if that has changed."""
    settings = [recipe.text, model, asked.answered, asked.max_new_tokens, str(asked.engine)]
    state = sha256(json.dumps(settings, sort_keys=True).encode())
    for name, rows in tasks.items():
        columns = [rows[column][:] for column in ("instruction", "input", "output")]
        state.update(json.dumps([name, *columns]).encode())
    return state.hexdigest()[:16]
