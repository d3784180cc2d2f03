"""What a benchmark says of itself, and the benchmarks that exist: one folder each under ``davidgen_hf/tasks``."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from davidgen_hf.errors import SettingError
from davidgen_hf.plugins import Table

logger = logging.getLogger(__name__)
# The names of our tasks and groups begin with this and the name of their folder.
PREFIX = "davidgen_"


@dataclass(frozen=True)
class Benchmark:
    """One benchmark; ``davidgen_hf/tasks/NAME/__init__.py`` defines it as ``BENCHMARK``.

    Args:
        dataset: Id of the test data on the Hub.
        headline: The metric that tables show for the benchmark.
        id_column: Column of a document that names it; predictions of other systems refer to it.
        title: Name of its column in tables; ``None`` uses the folder's name.
        titles: Titles of its variants, by the name of their group without ``PREFIX``.
        position: Place of its column in tables, from left to right.
        runs_by_default: Whether ``davidgen eval`` runs it if no tasks are named.
        is_scored: Whether the headline compares models. If not, tables and cards leave it out: a judge reads the
            answers.
        percent_factor: What turns the headline into percent.
        dataset_title: What a model card calls the test data; ``None`` uses the id.
        category_metrics: Metric that tables show for a category, if not the headline.
        versions: Given the metrics that were computed, returns versions of packages and data that they depend on,
            besides lm-eval's.
        check_data: Called with the task of a group's member and the local data; raises ``InputError`` if that data
            is absent or broken. ``None`` if the local data is one file or folder for all tasks.
        instructions: Returns instructions, inputs and outputs of the test data on the Hub, ``(n,)`` each, for
            ``davidgen diversity NAME``.
    """

    dataset: str
    headline: str
    id_column: str
    title: str | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    position: int = 100
    runs_by_default: bool = False
    is_scored: bool = True
    percent_factor: float = 1.0
    dataset_title: str | None = None
    category_metrics: Mapping[str, str] = field(default_factory=dict)
    versions: Callable[[Collection[str]], Mapping[str, str]] | None = None
    check_data: Callable[[str, Path], object] | None = None
    instructions: Callable[[], tuple[list[str], list[str], list[str]]] | None = None


def tasks_path() -> Path:
    """Return the folder of the benchmarks, which lm-eval takes as ``--include_path``."""
    return Path(str(files("davidgen_hf.tasks")))


@cache
def benchmark_table() -> Table:
    """Return where each benchmark is defined: a folder under ``davidgen_hf/tasks``, or a plugin."""
    names = sorted(path.parent.name for path in tasks_path().glob("*/__init__.py"))
    return Table("benchmarks", {name: f"davidgen_hf.tasks.{name}:BENCHMARK" for name in names}, _check_benchmark)


def _check_benchmark(name: str, found: Any) -> None:
    if not isinstance(found, Benchmark):
        raise SettingError(
            f"{found!r} is not a davidgen_hf.evaluation.benchmark.Benchmark. A benchmark is an instance of that "
            "class, defined in the __init__.py of the folder that holds its tasks. See docs/add_a_benchmark.md."
        )


@cache
def task_folders() -> dict[str, Path]:
    """Return the folder of the tasks of each benchmark, those of plugins too."""
    table = benchmark_table()
    return {name: Path(str(files(table[name].partition(":")[0]))) for name in benchmarks()}


@cache
def benchmarks() -> dict[str, Benchmark]:
    """Return the benchmarks by the name of their folder, in the order of their columns."""
    table, found = benchmark_table(), {}
    for name in table:
        try:
            found[name] = table.load(name)
        except SettingError as error:  # of a plugin, which must not keep the others from running
            logger.warning("%s", error)
    return dict(sorted(found.items(), key=lambda item: item[1].position))


def family(name: str) -> str | None:
    """Return the benchmark that a task, a group or a result belongs to; ``None`` if it is not one of ours.

    Args:
        name: With or without ``PREFIX``: ``davidgen_superni_tk_instruct`` and ``superni_tk_instruct`` are of
            ``superni``.
    """
    bare = name.removeprefix(PREFIX)
    return next((one for one in benchmarks() if bare == one or bare.startswith(f"{one}_")), None)


def is_ours(name: str) -> bool:
    """Return whether a task or a group is one of our benchmarks', and not of lm-eval or the user."""
    return name.startswith(PREFIX) and family(name) is not None


def title_of(name: str) -> str:
    """Return the title of a result's column."""
    benchmark = benchmarks().get(family(name) or "")
    if benchmark is None:
        return name
    return benchmark.titles.get(name) or (benchmark.title if name in benchmarks() else None) or name


def default_tasks() -> tuple[str, ...]:
    """Return the groups and tasks that ``davidgen eval`` runs if none are named."""
    return tuple(f"{PREFIX}{name}" for name, one in benchmarks().items() if one.runs_by_default)
