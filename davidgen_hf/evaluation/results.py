"""Scored answers to ``evaluation/results.json``: means, bootstrapped errors, by category and by task.

The file::

    {"model": {"name", "commit", "parameters"},
     "method", "restricted", "size",
     "benchmarks": {"superni": {"metric": "rougeL", "n": 11810, "scores": {"rougeL": SCORE, "exact_match": SCORE},
                                "categories": {"Title Generation": {"metric": "rougeL", "n": 1800, "scores": ...}},
                                "tasks": {"task219_...": {"n": 100, "rougeL": 12.3, "exact_match": 0.0}},
                                "data", "settings", "left_out", "versions"},
                    "longform": {"metric": "meteor", ...}}}

with ``SCORE = {"value", "stderr", "interval": [low, high]}``. SuperNI's figures are percent, METEOR is from 0 to 1.
Next to it is one ``.jsonl`` file per benchmark, with the answer to every instance and its scores.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from davidgen_hf.errors import EvaluationError, RunFolderError
from davidgen_hf.evaluation.benchmark import Benchmark
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.validation import Text, read_json

FOLDER, FILE_NAME = "evaluation", "results.json"
N_RESAMPLES = 2000
_DECIMALS = 6
_TOLERANCE = 1e-6  # of a mean that was summed in another order
_STRICT = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Score(BaseModel):
    model_config = _STRICT

    value: float
    stderr: float | None
    interval: list[float] | None  # None where the figure is not the mean of the instances

    @field_validator("interval")
    @classmethod
    def _has_two_ends(cls, ends: list[float] | None) -> list[float] | None:
        if ends is not None and len(ends) != 2:
            raise ValueError(f"must have two ends, got {ends}")
        return ends


class _Benchmark(BaseModel):
    model_config = _STRICT

    metric: Text
    n: int
    higher_is_better: bool = True
    scores: dict[str, _Score]

    @field_validator("scores")
    @classmethod
    def _has_the_headline(cls, scores: dict[str, _Score], info: ValidationInfo) -> dict[str, _Score]:
        metric = info.data.get("metric")
        if metric is not None and metric not in scores:
            raise ValueError(f"must have the metric {metric!r}, got {sorted(scores)}")
        return scores


class _Model(BaseModel):
    model_config = _STRICT

    name: Text
    commit: Text | None = None


class _Results(BaseModel):
    model_config = _STRICT

    model: _Model
    method: Text | None = None
    # Version 0.1 called it by the title of the paper's column.
    restricted: bool | None = Field(default=None, validation_alias=AliasChoices("restricted", "potential_risks"))
    size: int | None = None
    benchmarks: dict[str, _Benchmark]


_NO_SCORES = frozenset(("task", "category", "id", "prompt", "answer", "references"))


def summarize(
    rows: list[dict[str, Any]], benchmark: Benchmark | None = None, figures: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return the figures of a benchmark.

    Args:
        rows: As ``harness.answer_task`` gives them.
        benchmark: Names the metrics that stand for it and for its categories; ``None`` takes the first metric.
        figures: Overall value of each metric, as the task itself computes it. ``None`` takes the means. A value that
            is not the mean of the instances has no interval.

    Raises:
        EvaluationError: No instance has a metric that is a number.
    """
    figures = figures or {}
    metrics = [name for name in rows[0] if name not in _NO_SCORES] if rows else []
    scored = [*metrics, *(name for name in figures if name not in metrics)]
    if not scored:
        raise EvaluationError(
            f"There is no figure of {len(rows)} answers. A task needs instances and a metric that is a number. Choose "
            "another task or split."
        )
    headline = benchmark.headline if benchmark and benchmark.headline in scored else scored[0]
    summary: dict[str, Any] = {"metric": headline, "n": len(rows)}
    summary["empty_answers"] = sum(not row["answer"] for row in rows)
    summary["scores"] = _scores(rows, metrics)
    for name, value in figures.items():
        if name not in metrics or abs(summary["scores"][name]["value"] - value) > _TOLERANCE:
            summary["scores"][name] = {"value": round(value, _DECIMALS), "stderr": None, "interval": None}
    categories = _grouped(rows, "category")
    if None not in categories:
        of_category = benchmark.category_metrics if benchmark else {}
        summary["categories"] = {
            name: {"metric": of_category.get(name, headline), "n": len(members), "scores": _scores(members, metrics)}
            for name, members in categories.items()
        }
    tasks = _grouped(rows, "task")
    if "categories" in summary or len(tasks) > 1:
        summary["tasks"] = {
            name: {"n": len(members)} | {metric: _mean(row[metric] for row in members) for metric in metrics}
            for name, members in tasks.items()
        }
    return summary


def bootstrap(values: Iterable[float], resamples: int = N_RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Return the mean of ``values``, its bootstrapped standard error, and the interval that holds 95 % of the means.

    Instances are drawn with replacement, all tasks together; the same values give the same figures.
    """
    drawn_from = np.fromiter(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    means = [generator.choice(drawn_from, drawn_from.size).mean() for _ in range(resamples)]
    return {
        "value": _mean(drawn_from.tolist()),
        "stderr": round(float(np.std(means, ddof=1)), _DECIMALS),
        "interval": [round(float(end), _DECIMALS) for end in np.quantile(means, (0.025, 0.975))],
    }


def write_results(
    folder: Path,
    facts: Mapping[str, Any],
    benchmarks: Mapping[str, dict[str, Any]],
    rows: Mapping[str, list[dict[str, Any]]],
) -> Path:
    """Write answers and figures; benchmarks of an earlier call on the same model stay.

    Args:
        folder: The run's folder, or any other.
        facts: ``model``, ``method``, ``restricted`` and ``size``.
        benchmarks: Figures by benchmark.
        rows: The answers by benchmark.

    Returns:
        The path of ``results.json``.

    Raises:
        RunFolderError: The folder holds the results of another model, or cannot be written to.
    """
    path = folder / FOLDER / FILE_NAME
    earlier = read_results(folder) if path.is_file() else {"model": facts["model"], "benchmarks": {}}
    if any(earlier["model"].get(key) != facts["model"].get(key) for key in ("name", "commit")):
        raise RunFolderError(
            f"{path} holds the results of another model: {earlier['model']}, not {facts['model']}. Pass another "
            "folder with --output."
        )
    content = {**facts, "benchmarks": earlier["benchmarks"] | dict(benchmarks)}
    try:
        for name, answers in rows.items():
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in answers)
            write_whole(path.with_name(f"{name}.jsonl"), "".join(lines))
        write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise RunFolderError(f"{path.parent} cannot be written to: {error}. Name a folder with --output.") from error
    return path


def read_results(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's ``results.json``.

    Raises:
        RunFolderError: It is absent or damaged.
    """
    path = folder / FOLDER / FILE_NAME
    if not path.is_file():
        raise RunFolderError(f"{folder} holds no {FOLDER}/{FILE_NAME}. Run `davidgen eval {folder}` first.")
    advice = "The file is damaged: it needs what `davidgen eval` writes. Delete it and run `davidgen eval` again."
    return read_json(path, _Results, advice, error=RunFolderError).model_dump(exclude_unset=True)


def _scores(rows: list[dict[str, Any]], metrics: list[str]) -> dict[str, Any]:
    return {metric: bootstrap(row[metric] for row in rows) for metric in metrics}


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return round(sum(values) / len(values), _DECIMALS)


def _grouped(rows: list[dict[str, Any]], key: str) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups
