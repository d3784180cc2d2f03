"""Exact match and ROUGE-L of Super-NaturalInstructions, figure for figure as its official script computes them.

The rules are those of allenai/natural-instructions ``eval/automatic`` and yizhongw/Tk-Instruct
``src/compute_metrics.py``; ``rouge`` has what the two tracks compare.
"""

import string
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any

from davidgen_hf.errors import EvaluationError, SettingError
from davidgen_hf.evaluation.rouge import rouge_1, tokens
from davidgen_hf.sources.subsequence import rouge_l

TRACKS = ("default", "xlingual")
METRICS = ("exact_match", "rougeL")
# The official script also computes rouge1, which nobody reports.
ALL_METRICS = (*METRICS, "rouge1")

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DECIMALS = 4


def superni_scores(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    track: str = "default",
    metrics: Sequence[str] = METRICS,
) -> dict[str, float]:
    """Score predictions as the official script does.

    Args:
        predictions: One answer per instance, ``(n,)``; a missing answer is ``""``.
        references: The right answers of each instance, ``(n, at least 1)``; each metric takes its own best.
        track: One of ``TRACKS``; the two tokenize differently and are never averaged.
        metrics: Some of ``ALL_METRICS``.

    Returns:
        The mean of each metric over the instances, in percent, rounded to 4 decimals.

    Raises:
        EvaluationError: The two lists differ in length or are empty, or an instance has no reference.
        SettingError: A track or metric is not known, or GPT-2's tokenizer is not available.
    """
    return _mean(instance_scores(predictions, references, track, metrics), metrics)


def grouped_superni_scores(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    groups: Sequence[Hashable],
    track: str = "default",
    metrics: Sequence[str] = METRICS,
) -> dict[Hashable, dict[str, float]]:
    """Score each group of instances separately: by task name, or by category.

    Args:
        predictions: As for ``superni_scores``.
        references: As for ``superni_scores``.
        groups: The group of each instance, ``(n,)``.
        track: As for ``superni_scores``.
        metrics: As for ``superni_scores``.

    Returns:
        The scores of each group, in the order in which the groups first occur.

    Raises:
        EvaluationError: As ``superni_scores``, or there is not one group per instance.
        SettingError: As ``superni_scores``.
    """
    if len(groups) != len(predictions):
        raise EvaluationError(f"There are {len(predictions)} predictions and {len(groups)} groups; each needs one.")
    members: dict[Hashable, list[dict[str, Any]]] = {}
    for group, scores in zip(groups, instance_scores(predictions, references, track, metrics), strict=True):
        members.setdefault(group, []).append(scores)
    return {group: _mean(rows, metrics) for group, rows in members.items()}


def instance_scores(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    track: str = "default",
    metrics: Sequence[str] = METRICS,
) -> list[dict[str, float]]:
    """Score each instance by itself, from 0 to 1, ``(n,)``; arguments and errors as for ``superni_scores``."""
    unknown = [metric for metric in metrics if metric not in ALL_METRICS]
    if unknown or track not in TRACKS:
        raise SettingError(
            f"SuperNI has the tracks {', '.join(TRACKS)} and the metrics {', '.join(ALL_METRICS)}, not "
            f"{', '.join(unknown) or repr(track)}."
        )
    _check(predictions, references)
    measures: dict[str, Callable[[str, str], float]] = {
        "exact_match": lambda prediction, reference: float(normalize(prediction) == normalize(reference)),
        "rougeL": lambda prediction, reference: rouge_l(tokens(prediction, track), tokens(reference, track)),
        "rouge1": lambda prediction, reference: rouge_1(tokens(prediction, track), tokens(reference, track)),
    }
    return [
        {metric: max(measures[metric](prediction, reference) for reference in answers) for metric in metrics}
        for prediction, answers in zip(predictions, references, strict=True)
    ]


@lru_cache(maxsize=65536)
def normalize(text: str) -> str:
    """Return ``text`` in lower case, without ASCII punctuation and surplus white space; articles stay."""
    return " ".join(text.lower().translate(_PUNCTUATION).split())


def _check(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not len(predictions):
        raise EvaluationError("There are no predictions to score; SuperNI needs one per instance.")
    if len(predictions) != len(references):
        raise EvaluationError(
            f"There are {len(predictions)} predictions and {len(references)} lists of references; each needs one."
        )
    for place, answers in enumerate(references):
        if isinstance(answers, str) or not len(answers):
            raise EvaluationError(
                f"Instance {place} has {answers!r} for references; it needs a list of at least one text."
            )


def _mean(rows: list[dict[str, float]], metrics: Sequence[str]) -> dict[str, float]:
    """Micro-mean in percent; summed in order and divided once, as the official script does."""
    return {metric: round(100.0 * sum(row[metric] for row in rows) / len(rows), _DECIMALS) for metric in metrics}
