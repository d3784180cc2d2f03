"""Tasks for lm-eval, one folder per benchmark: ``lm_eval run --include_path "$(davidgen eval --tasks-path)"``.

The files there read the Hub. ``local_tasks`` writes a folder of files that include these and read local data instead;
a group there lists only the tasks whose data exists, because lm-eval itself cannot leave one out. ``other_tasks``
finds the tasks of lm-eval and of the user.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from huggingface_hub.constants import HF_HOME

from davidgen_hf.errors import EvaluationError, InputError, SettingError
from davidgen_hf.evaluation.benchmark import (
    benchmark_table,
    benchmarks,
    default_tasks,
    family,
    is_ours,
    task_folders,
    tasks_path,
)

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager


def task_folder(data: Mapping[str, str | Path], names: Sequence[str], partial: bool = False) -> Path:
    """Return the folder for lm-eval's ``--include_path``: this one, or one for local data and plugins.

    Raises:
        DavidgenError: As ``local_tasks``.
    """
    plugged = any(benchmark_table().plugin(family(name) or "") for name in names)
    return local_tasks(data, names, partial)[0] if data or plugged else tasks_path()


def parse_data(named: Sequence[str], tasks: Sequence[str]) -> dict[str, Path]:
    """Return folder or file by benchmark from ``superni=PATH``, or ``PATH`` if all tasks are of one benchmark.

    Raises:
        SettingError: A bare path could belong to several benchmarks.
    """
    used = [name for name in benchmarks() if name in {family(task) for task in tasks if is_ours(task)}]
    data = {}
    for text in named:
        name, _, path = text.partition("=")
        if name in benchmarks() and path:
            data[name] = Path(path)
        elif len(used) == 1:
            data[used[0]] = Path(text)
        else:
            choices = " or ".join(f"{one}={text}" for one in used or benchmarks())
            raise SettingError(f"--data {text} does not say whose data it is. Write {choices}.")
    return data


def local_tasks(
    data: Mapping[str, str | Path], names: Sequence[str] | None = None, partial: bool = False
) -> tuple[Path, dict[str, str]]:
    """Write tasks that read local data.

    Args:
        data: Folder or file by benchmark, some of ``benchmarks``; a benchmark that is not named reads the Hub.
        names: The groups and tasks to write, with all that they consist of; ``None`` takes the default ones.
        partial: Leave out tasks whose data is absent or broken, instead of giving up.

    Returns:
        The folder for ``--include_path``, and the reason of each task that was left out.

    Raises:
        EvaluationError: Data of tasks is absent or broken and ``partial`` is not set, or no task is left.
        InputError: There is nothing at a path of ``data``.
        SettingError: A benchmark or task is not known.
    """
    names = default_tasks() if names is None else names
    _check_names(data, names)
    writer = _Writer({name: Path(path).resolve() for name, path in data.items()}, _index())
    for name in names:
        writer.write(name)
    if writer.problems and not partial:
        raise EvaluationError(
            "\n  ".join([f"{len(writer.problems)} tasks cannot be read:", *writer.problems.values()])
            + "\nFix them, or leave them out with --partial; the scores are then those of the tasks that are there."
        )
    empty = [name for name in names if name not in writer.files]
    if empty:
        folders = ", ".join(str(path) for own, path in data.items() if own in map(family, empty))
        raise EvaluationError(f"{folders} holds no task of {', '.join(empty)}. Pass another folder.")
    return _save(writer.files), writer.problems


@dataclass
class _Writer:
    """Collects the YAML texts of tasks and groups by name, and what is wrong with their data."""

    data: dict[str, Path]
    index: Mapping[str, Any]
    files: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def write(self, name: str) -> None:
        if name in self.files:
            return
        path, content = self.index[name].yaml_path, self.index[name].cfg
        own = next(one for one, folder in task_folders().items() if path.is_relative_to(folder))
        changes: dict[str, Any] = {"include": str(path)}
        if "group" not in content:
            changes |= {"dataset_kwargs": {f"{own}_data": str(self.data[own])}} if own in self.data else {}
        else:
            changes["task"] = [kept for member in content["task"] if (kept := self._member(member, own))]
        if changes.get("task") != []:
            self.files[name] = yaml.safe_dump(changes, sort_keys=False)

    def _member(self, member: str | dict[str, Any], own: str) -> str | dict[str, Any] | None:
        """Return a member of a group of the benchmark ``own`` as it is listed; ``None`` if its data does not exist."""
        if isinstance(member, str):
            self.write(member)
            return member if member in self.files else None
        check = benchmarks()[own].check_data
        if own not in self.data or check is None:
            return member
        try:
            check(member["task"], self.data[own])
        except InputError as error:
            self.problems[member["task"]] = str(error)
            return None
        return member | {"dataset_kwargs": member["dataset_kwargs"] | {f"{own}_data": str(self.data[own])}}


def other_tasks(names: Sequence[str], include: Path | None = None) -> "TaskManager":
    """Return lm-eval's manager of tasks that are not our benchmarks.

    Args:
        names: Tasks, groups or tags of lm-eval, or of the user.
        include: Folder of the user's own tasks, as lm-eval's ``--include_path``.

    Raises:
        InputError: The folder does not exist.
        SettingError: The task does not exist.
    """
    from lm_eval.tasks import TaskManager

    if include is not None and not include.is_dir():
        raise InputError(f"There is no folder {include}. Pass the folder of your lm-eval tasks with --include-path.")
    manager = TaskManager(include_path=str(include) if include else None, include_defaults=False)
    if any(name not in manager.task_index for name in names):  # reading lm-eval's own takes seconds
        manager = TaskManager(include_path=str(include) if include else None)
    for name in names:
        if name not in manager.task_index:
            known = [*(one for one in _index() if isinstance(one, str)), *manager.task_index]
            near = get_close_matches(name, known, 3)
            raise SettingError(
                f"There is no task {name!r} in lm-eval or among {', '.join(default_tasks())} and their parts. "
                + (f"Did you mean {' or '.join(near)}? " if near else "")
                + "List lm-eval's tasks with `lm_eval ls tasks`; pass the folder of your own with --include-path."
            )
    return manager


def _index() -> Mapping[str, Any]:
    from lm_eval.tasks import TaskManager

    plugged = [str(folder) for name, folder in task_folders().items() if benchmark_table().plugin(name)]
    folders = [str(tasks_path()), *plugged]
    index: Mapping[str, Any] = TaskManager(include_path=folders, include_defaults=False).task_index
    return index


def _check_names(data: Mapping[str, str | Path], names: Sequence[str]) -> None:
    unknown = [name for name in data if name not in benchmarks()]
    if unknown:
        raise SettingError(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(benchmarks())}.")
    unknown = [name for name in names if name not in _index()]
    if unknown:
        raise SettingError(f"There is no task {', '.join(unknown)}; there are {', '.join(_index())}.")
    absent = [str(path) for path in data.values() if not Path(path).exists()]
    if absent:
        raise InputError(f"There is no file or folder {', '.join(absent)}. Pass the path of the test data.")


def _save(files: dict[str, str]) -> Path:
    """Write the files into a folder of the cache that is named by what they hold."""
    digest = hashlib.sha256("\0".join(f"{name}\0{text}" for name, text in sorted(files.items())).encode()).hexdigest()
    folder = Path(HF_HOME) / "davidgen" / "tasks" / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return folder
