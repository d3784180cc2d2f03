"""Tasks for lm-eval, one folder a benchmark: ``lm_eval run --include_path "$(davidgen eval --tasks-path)"``.

The files here read the Hub. ``local_tasks`` writes a folder of files that include these and read local data instead;
a group there lists the tasks whose data is at hand, because lm-eval itself cannot leave one out.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import yaml
from huggingface_hub.constants import HF_HOME

from davidgen_hf.errors import EvaluationError, InputError, SettingError
from davidgen_hf.evaluation.data import superni_file, task_file

BENCHMARKS = ("superni", "longform", "vicuna")
# Named by their group or task, as lm-eval takes them.
DEFAULT_TASKS = ("davidgen_superni", "davidgen_longform")
PREFIX = "davidgen_"


def tasks_path() -> Path:
    """Return the folder for lm-eval's ``--include_path``."""
    return Path(str(files("davidgen_hf.tasks")))


def task_folder(data: Mapping[str, str | Path], names: Sequence[str], partial: bool = False) -> Path:
    """Return the folder for lm-eval's ``--include_path``: this one, or one for local data.

    Raises:
        DavidgenError: As ``local_tasks``.
    """
    return local_tasks(data, names, partial)[0] if data else tasks_path()


def parse_data(named: Sequence[str], tasks: Sequence[str]) -> dict[str, Path]:
    """Return folder or file by benchmark from ``superni=PATH``, or ``PATH`` where all tasks are of one benchmark.

    Raises:
        SettingError: A bare path could belong to several benchmarks.
    """
    used = [name for name in BENCHMARKS if any(task.startswith(f"{PREFIX}{name}") for task in tasks)]
    data = {}
    for text in named:
        name, _, path = text.partition("=")
        if name in BENCHMARKS and path:
            data[name] = Path(path)
        elif len(used) == 1:
            data[used[0]] = Path(text)
        else:
            raise SettingError(
                f"--data {text} does not say whose data it is. Write {' or '.join(f'{one}={text}' for one in used)}."
            )
    return data


def local_tasks(
    data: Mapping[str, str | Path], names: Sequence[str] = DEFAULT_TASKS, partial: bool = False
) -> tuple[Path, dict[str, str]]:
    """Write tasks that read local data.

    Args:
        data: Folder or file by benchmark, some of ``BENCHMARKS``; a benchmark that is not named reads the Hub.
        names: The groups and tasks to write; what they consist of is written with them.
        partial: Leave out SuperNI tasks whose file is absent or broken, instead of giving up.

    Returns:
        The folder for ``--include_path``, and why each SuperNI task that was left out was.

    Raises:
        EvaluationError: Task files are absent or broken and ``partial`` is not set, or none is left.
        InputError: There is nothing at a path of ``data``.
        SettingError: A benchmark or task is not known.
    """
    _check_names(data, names)
    writer = _Writer({name: Path(path).resolve() for name, path in data.items()}, _index())
    for name in names:
        writer.write(name)
    if writer.problems and not partial:
        raise EvaluationError(
            "\n  ".join([f"{len(writer.problems)} SuperNI tasks cannot be read:", *writer.problems.values()])
            + "\nMend them, or leave them out with --partial; the scores are then those of the tasks that are there."
        )
    empty = [name for name in names if name not in writer.files]
    if empty:
        raise EvaluationError(f"{data['superni']} holds no task of {', '.join(empty)}. Name another folder.")
    return _save(writer.files), writer.problems


@dataclass
class _Writer:
    """Collects the YAML texts of tasks and groups by name, and what is wrong with their data."""

    data: dict[str, Path]
    index: Mapping
    files: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def write(self, name: str) -> None:
        if name in self.files:
            return
        path, content = self.index[name].yaml_path, self.index[name].cfg
        source = self.data.get(path.relative_to(tasks_path()).parts[0])
        changes: dict = {"include": str(path)}
        if "group" not in content:
            changes["dataset_kwargs"] = {f"{path.parent.name}_data": str(source)} if source else {}
        else:
            changes["task"] = [kept for member in content["task"] if (kept := self._member(member, source))]
        if changes.get("task") != []:
            self.files[name] = yaml.safe_dump(changes, sort_keys=False)

    def _member(self, member: str | dict, source: Path | None) -> str | dict | None:
        """Return a group's member as it is to be listed; ``None`` where its data is not there."""
        if isinstance(member, str):
            self.write(member)
            return member if member in self.files else None
        if source is None:
            return member
        path = task_file(member["task"], source)
        try:
            superni_file(path)
        except InputError as error:
            self.problems[member["task"]] = str(error) if path.exists() else f"{path} is not there."
            return None
        return member | {"dataset_kwargs": member["dataset_kwargs"] | {"superni_data": str(source)}}


def _index() -> Mapping:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(tasks_path()), include_defaults=False).task_index


def _check_names(data: Mapping[str, str | Path], names: Sequence[str]) -> None:
    unknown = [name for name in data if name not in BENCHMARKS]
    if unknown:
        raise SettingError(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}.")
    unknown = [name for name in names if name not in _index()]
    if unknown:
        raise SettingError(f"There is no task {', '.join(unknown)}; there are {', '.join(_index())}.")
    absent = [str(path) for path in data.values() if not Path(path).exists()]
    if absent:
        raise InputError(f"There is no file or folder {', '.join(absent)}. Name where the test data lies.")


def _save(files: dict[str, str]) -> Path:
    """Write the files into a folder of the cache that is named by what they hold."""
    digest = hashlib.sha256("\0".join(f"{name}\0{text}" for name, text in sorted(files.items())).encode()).hexdigest()
    folder = Path(HF_HOME) / "davidgen" / "tasks" / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return folder
