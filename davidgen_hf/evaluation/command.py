"""What ``davidgen eval`` does: find the models, run the benchmarks, write the figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager
from pydantic import BaseModel

from davidgen_hf.errors import RunFolderError, SettingError
from davidgen_hf.evaluation.answers import Answers, answer_task, task_manager
from davidgen_hf.evaluation.benchmark import PREFIX, benchmarks, default_tasks, family, is_ours
from davidgen_hf.evaluation.data import describe_source
from davidgen_hf.evaluation.harness import HarnessSettings, open_model
from davidgen_hf.evaluation.predictions import score_predictions
from davidgen_hf.evaluation.results import FILE_NAME, FOLDER, summarize, write_results
from davidgen_hf.evaluation.tasks import local_tasks, other_tasks
from davidgen_hf.provenance import find_provenance
from davidgen_hf.storage.files import make_folder
from davidgen_hf.storage.record import FILE_NAME as RUN_FILE
from davidgen_hf.storage.record import is_run, read_record
from davidgen_hf.storage.validation import Text, validate


@dataclass(frozen=True)
class Evaluation:
    """Which benchmarks to run, on which data, and what to call the method.

    Args:
        tasks: Names of tasks and groups, ours, lm-eval's or the user's; ``None`` takes the default ones of ours.
        data: Folder or file by benchmark; others read the Hub.
        include: Folder of the user's own lm-eval tasks.
        partial: Continue without task files and predictions that are absent or broken.
        output: Folder for the results; ``None`` takes the run's own.
        method: Name in the table; ``None`` takes the recipe's name, or the model's.
        size: Number of pairs that the follower was trained on; ``None`` takes the run's.
        restricted: Whether a closed model contributed to the data; ``None`` takes it from the run.
    """

    tasks: Sequence[str] | None = None
    data: Mapping[str, Path] = field(default_factory=dict)
    partial: bool = False
    output: Path | None = None
    method: str | None = None
    size: int | None = None
    restricted: bool | None = None
    include: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks and groups to run."""
        return tuple(default_tasks() if self.tasks is None else self.tasks)

    def managers(self) -> tuple[dict[str, TaskManager], dict[str, str]]:
        """Return lm-eval's manager of each task, and the reason of each part of a task that was left out.

        Raises:
            DavidgenError: A task or its data does not exist.
        """
        ours = [name for name in self.names if is_ours(name)]
        others = [name for name in self.names if not is_ours(name)]
        found: dict[str, TaskManager] = {}
        left_out: dict[str, str] = {}
        if others:
            found |= dict.fromkeys(others, other_tasks(others, self.include))
        if ours:
            folder, left_out = local_tasks(self.data, ours, self.partial)
            found |= dict.fromkeys(ours, task_manager(folder))
        return found, left_out


def evaluate_all(
    targets: Sequence[str], predictions: Path | None, evaluation: Evaluation, settings: HarnessSettings
) -> Iterator[Path]:
    """Evaluate each target, or a file of predictions; yield the path of each ``results.json``.

    Raises:
        SettingError: Neither or both are named, or several targets share one output folder.
        DavidgenError: A model, the data or a folder cannot be used.
    """
    if bool(targets) == bool(predictions):
        raise SettingError("Name what to evaluate: run folders or models, or else a file with --predictions.")
    if len(targets) > 1 and evaluation.output is not None:
        raise SettingError("--output is one folder; evaluate one target at a time into it.")
    if predictions:
        yield evaluate_predictions(predictions, evaluation)
    for target in targets:
        yield evaluate_model(target, evaluation, settings)


def evaluate_model(target: str, evaluation: Evaluation, settings: HarnessSettings) -> Path:
    """Run a run folder's follower, or any model, on the benchmarks; return the path of ``results.json``.

    Raises:
        DavidgenError: The model, the data or the folder cannot be used.
    """
    folder = _output(target, evaluation)
    run = Path(target) if is_run(Path(target)) else None
    managers, left_out = evaluation.managers()
    lm, model = open_model(str(run / "follower") if run else target, settings)
    kept = ("backend", "dtype", "limit", "max_gen_toks", "chat_template")  # what changes the figures
    used = {name: getattr(settings, name) for name in kept}
    facts = _facts(evaluation, run, Path(target).name if Path(target).exists() else target)
    facts["model"] |= model
    results, rows = {}, {}
    for name in evaluation.names:
        answers, key = answer_task(lm, name, managers[name], settings), _key(name)
        rows[key] = answers.rows
        results[key] = _summary(name, answers, evaluation, left_out) | {"settings": used}
    return write_results(folder, facts, results, rows)


def evaluate_predictions(path: Path, evaluation: Evaluation) -> Path:
    """Score a file of predictions on one benchmark; return the path of ``results.json``.

    Raises:
        DavidgenError: The predictions, the data or the folder cannot be used.
    """
    if len(evaluation.names) != 1 or evaluation.output is None:
        raise SettingError("Predictions are scored on one task or group, into a folder: give --tasks and --output.")
    (name,) = evaluation.names
    make_folder(evaluation.output)
    managers, left_out = evaluation.managers()
    rows, ids = score_predictions(path, name, managers[name], evaluation.partial)
    facts, key = _facts(evaluation, None, path.stem), _key(name)
    summary = _summary(name, Answers(rows), evaluation, left_out) | {"ids": ids}
    return write_results(evaluation.output, facts, {key: summary}, {key: rows})


def _key(name: str) -> str:
    """Return the name of a task's results, which is a file's name too."""
    return name.removeprefix(PREFIX).replace("/", "_")


def _output(target: str, evaluation: Evaluation) -> Path:
    """Return the folder to write into, before anything expensive is done."""
    folder = Path(target)
    if is_run(folder):
        if not (folder / "follower").is_dir():
            raise RunFolderError(f"{folder} has no follower yet. Finish it with `davidgen run`, then evaluate it.")
        return make_folder(evaluation.output or folder)
    if evaluation.output is None:
        raise RunFolderError(f"{target} is not a run folder. Say with --output where to write {FOLDER}/{FILE_NAME}.")
    return make_folder(evaluation.output)


class _Pairs(BaseModel):
    pairs: int | None = None


class _Counts(BaseModel):
    corpus: _Pairs = _Pairs()


class _CorpusStep(BaseModel):
    counts: _Counts = _Counts()


class _Steps(BaseModel):
    corpus: _CorpusStep = _CorpusStep()


class _Record(BaseModel):
    """The parts of a run's record that the table shows."""

    name: Text | None = None
    steps: _Steps = _Steps()


def _facts(evaluation: Evaluation, run: Path | None, name: str) -> dict[str, Any]:
    """Return what the table shows of a method besides its scores; ``run.json`` fills in what is not given."""
    record = _Record()
    if run:
        record = validate(
            _Record,
            read_record(run),
            str(run / RUN_FILE),
            "The file is damaged: it needs the name of the recipe and its steps. Put back a copy of it.",
            error=RunFolderError,
        )
    found = find_provenance(run) if run else None
    known = {"restricted": True, "clean": False}.get(found.answer) if found else None
    declared = evaluation.restricted
    return {
        "model": {"name": name},
        "method": evaluation.method or record.name or name,
        "restricted": known if declared is None else declared,
        "size": evaluation.size if evaluation.size is not None else record.steps.corpus.counts.corpus.pairs,
    }


def _summary(name: str, answers: Answers, evaluation: Evaluation, left_out: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures of a task, and what they depend on besides the model: data, versions, parts left out."""
    versions = {package: version(package) for package in ("davidgen-hf", "lm-eval")}
    own = family(name) if is_ours(name) else None
    if own is None:
        summary = summarize(answers.rows, figures=answers.figures)
        if not answers.higher_is_better.get(summary["metric"], True):
            summary["higher_is_better"] = False
        return summary | {"data": ", ".join(answers.datasets), "versions": versions, "left_out": []}
    benchmark = benchmarks()[own]
    summary = summarize(answers.rows, benchmark)
    return summary | {
        "data": describe_source(benchmark.dataset, evaluation.data.get(own)),
        "versions": versions | dict(benchmark.versions(summary["scores"]) if benchmark.versions else {}),
        "left_out": sorted(left_out) if benchmark.check_data else [],
    }
