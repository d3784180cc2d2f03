"""Scored answers to ``evaluation/results.json``: means, bootstrapped errors, by category and by task.

The file::

    {"model": {"name", "commit", "parameters"},
     "method", "potential_risks", "size",
     "benchmarks": {"superni": {"metric": "rougeL", "n": 11900, "scores": {"rougeL": SCORE, "exact_match": SCORE},
                                "categories": {"Title Generation": {"metric": "rougeL", "n": 1800, "scores": ...}},
                                "tasks": {"task219_...": {"n": 100, "rougeL": 12.3, "exact_match": 0.0}},
                                "data", "settings", "left_out", "versions"},
                    "longform": {"metric": "meteor", ...}}}

with ``SCORE = {"value", "stderr", "interval": [low, high]}``. SuperNI's figures are percent, METEOR is from 0 to 1.
Beside it lies the answer to every instance, with its scores, in one ``.jsonl`` a benchmark.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.validation import Text, read_json

FOLDER, FILE_NAME = "evaluation", "results.json"
# The figure that stands for a benchmark, by the metrics that it has.
HEADLINES = ("rougeL", "meteor", "answer_words")
# What the official script reports of these categories; of the others, ROUGE-L.
EXACT_MATCH_CATEGORIES = frozenset(
    (
        "Textual Entailment",
        "Cause Effect Classification",
        "Coreference Resolution",
        "Dialogue Act Recognition",
        "Answerability Classification",
        "Word Analogy",
    )
)
N_RESAMPLES = 2000
_DECIMALS = 6
_STRICT = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Score(BaseModel):
    model_config = _STRICT

    value: float
    stderr: float
    interval: list[float]

    @field_validator("interval")
    @classmethod
    def _has_two_ends(cls, ends: list[float]) -> list[float]:
        if len(ends) != 2:
            raise ValueError(f"must have two ends, got {ends}")
        return ends


class _Benchmark(BaseModel):
    model_config = _STRICT

    metric: Text
    n: int
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
    potential_risks: bool | None = None
    size: int | None = None
    benchmarks: dict[str, _Benchmark]


_NO_SCORES = frozenset(("task", "category", "id", "prompt", "answer", "references"))


def summarize(rows: list[dict]) -> dict:
    """Return the figures of a benchmark, from rows as ``harness.answer_task`` gives them."""
    metrics = [name for name in rows[0] if name not in _NO_SCORES]
    headline = next(metric for metric in HEADLINES if metric in metrics)
    summary = {"metric": headline, "n": len(rows), "empty_answers": sum(not row["answer"] for row in rows)}
    summary["scores"] = _scores(rows, metrics)
    if rows[0]["category"] is None:
        return summary
    summary["categories"] = {
        name: {
            "metric": "exact_match" if name in EXACT_MATCH_CATEGORIES else headline,
            "n": len(members),
            "scores": _scores(members, metrics),
        }
        for name, members in _grouped(rows, "category").items()
    }
    summary["tasks"] = {
        name: {"n": len(members)} | {metric: _mean(row[metric] for row in members) for metric in metrics}
        for name, members in _grouped(rows, "task").items()
    }
    return summary


def bootstrap(values: Iterable[float], resamples: int = N_RESAMPLES, seed: int = 0) -> dict:
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
    folder: Path, facts: Mapping, benchmarks: Mapping[str, dict], rows: Mapping[str, list[dict]]
) -> Path:
    """Write answers and figures; benchmarks of an earlier call on the same model stay.

    Args:
        folder: The run's folder, or any other.
        facts: ``model``, ``method``, ``potential_risks`` and ``size``.
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
            f"{path} holds the results of another model: {earlier['model']}, not {facts['model']}. Name another "
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


def _scores(rows: list[dict], metrics: list[str]) -> dict[str, dict]:
    return {metric: bootstrap(row[metric] for row in rows) for metric in metrics}


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return round(sum(values) / len(values), _DECIMALS)


def _grouped(rows: list[dict], key: str) -> dict[str, list[dict]]:
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups
