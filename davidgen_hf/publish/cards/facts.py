"""What a run says of itself, in the form in which cards show it."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from davidgen_hf.corpus.facts import pairs_per_hour
from davidgen_hf.engines.settings import silent_settings
from davidgen_hf.methods.seeds import SeedSettings
from davidgen_hf.recipe import parse_recipe, recipe_files
from davidgen_hf.sources.embedded import EMBEDDED, MODEL_NAME

CITATION = """
@article{wang2023harnessing,
  title = {Harnessing the Power of {David} against {Goliath}: Exploring Instruction Data Generation
           without Using Closed-Source Models},
  author = {Wang, Yue and Wang, Xinrui and Li, Juntao and Chang, Jinxiong and Zhang, Qishen and Liu, Zhongyi
            and Zhang, Guannan and Zhang, Min},
  journal = {arXiv preprint arXiv:2308.12711},
  year = {2023}
}
"""
# Settings that say where and how fast, not what comes of it; a card has a section of its own on its review.
SILENT = silent_settings() | {"version", "shard_rows", "method", "review"}


def settings_of(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the settings of each step that a run has done, with those that the recipe left at their defaults.

    Raises:
        SettingError: The recipe is of another version of the package.
    """
    recipe = parse_recipe(record["name"], record["recipe"])
    corpus = recipe.corpus.with_models(model_name(recipe.base_model), "the generator of this run")
    stages = {one.name: getattr(corpus, one.name) for one in fields(corpus) if one.name not in SILENT}
    shown = {
        "seeds": {"seeds": _seeds(recipe.seeds)},
        "generator": {"train the generator": recipe.generator},
        "corpus": {name: _plain(value) for name, value in stages.items() if value is not None},
        "follower": {"train the follower": recipe.follower},
    }
    done = [step for name, steps in shown.items() if name in record["steps"] for step in steps.items()]
    return [(step, ", ".join(flatten(settings))) for step, settings in done]


def folder_names(runs: Sequence[Path]) -> list[str]:
    """Return a name for each run, after its folder; a later one of the same name gets a number."""
    names: list[str] = []
    for run in runs:
        name, number = run.resolve().name, 2
        while name in names:
            name, number = f"{run.resolve().name}-{number}", number + 1
        names.append(name)
    return names


def describe_run(record: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return what a card shows about one run; ``folder`` is the folder of its recipe."""
    command = "run" if "generator" in record["steps"] else "corpus"
    return {
        "name": record["name"],
        "settings": settings_of(record),
        "versions": versions_of(record),
        "pairs_per_hour": pairs_per_hour(record),
        "seconds": sum(step.get("seconds", 0.0) for step in record["steps"].values()),
        "command": shlex.join(["davidgen", command, folder, "--output", f"runs/{Path(folder).name}"]),
        "folder": folder,
        "recipe": recipe_files(record["recipe"]),
    }


def versions_of(record: dict[str, Any]) -> str:
    """Return the versions of a record in one line."""
    return ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())


def model_name(name: str) -> str:
    """Return the Hub id of a model, also of ``embedded``."""
    return MODEL_NAME if name == EMBEDDED else name


def _seeds(settings: SeedSettings) -> dict[str, Any]:
    """Return the settings of the seeds, without those of layouts that were not used."""
    of_layouts = {"reverse": "reversed", "tasks": "tasks"}
    return {
        name: value
        for name, value in asdict(settings).items()
        if of_layouts.get(name, settings.layout) == settings.layout
    }


def _plain(settings: Any) -> Any:
    """Return settings as nested mappings; several sources are numbered."""
    if isinstance(settings, list | tuple):
        return [_plain(one) for one in settings]
    return asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else settings


def flatten(settings: Any, key: str = "") -> Iterator[str]:
    """Yield ``place.name = value`` of nested settings; a part without settings is named alone."""
    if isinstance(settings, list | tuple) and any(isinstance(one, Mapping) for one in settings):
        settings = dict(enumerate(settings, start=1))
    if isinstance(settings, Mapping):
        shown = {name: value for name, value in settings.items() if value not in (None, (), []) and name not in SILENT}
        if key and not shown:
            yield key
        for name, value in shown.items():
            yield from flatten(value, f"{key}.{name}" if key else str(name))
    else:
        value = " ".join(map(str, settings)) if isinstance(settings, list | tuple) else settings
        yield f"{key} = {value}" if key else str(value)
