"""What a judge wrote about pairs of answers, and the figures from it: relative quality, failures, agreement.

A review without two scores is a failure. It is counted and shown, and no number replaces it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from davidgen_hf.errors import EvaluationError, InputError
from davidgen_hf.sources.rows import read_rows
from davidgen_hf.storage.validation import Number, Text, validate

# In which order the judge saw the two answers: the model's before the reference's, or after it.
ORDERS = ("model_first", "reference_first")

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_SCORES = re.compile(rf"{_NUMBER}[ \t]+{_NUMBER}")
# How models that think aloud mark their thoughts: Qwen, DeepSeek, SmolLM and others; Magistral; OpenThinker.
_THOUGHTS_BEGIN = re.compile(
    r"<(?:seed:)?think(?:ing)?>|<(?:thought|reasoning)>|\[THINK\]|<\|begin_of_thought\|>", re.I
)
_THOUGHTS_END = re.compile(
    r"</(?:seed:)?think(?:ing)?>|</(?:thought|reasoning)>|\[/THINK\]|<\|end_of_thought\|>", re.I
)

# Why a review has no scores, and what helps.
FAILURES = {
    "prompt_too_long": "Question, answers and review do not fit the judge's context. Take a judge with a longer one.",
    "no_answer": "The judge's engine returned nothing. Look at its server or its memory, and run the command again.",
    "unfinished_thoughts": (
        "The judge thinks aloud and reached the limit before its scores. Raise --max-review-tokens, or switch the "
        "judge's thinking off in its chat template."
    ),
    "no_scores": "The judge's review does not begin with two numbers. Take another judge, or one that is larger.",
}


@dataclass(frozen=True)
class Review:
    """One reading of one pair of answers.

    Args:
        question_id: Number of the question.
        order: One of ``ORDERS``.
        text: What the judge wrote, its thoughts included; empty where it did not answer.
        failure: One of ``FAILURES``; ``None`` where the scores can be read.
    """

    question_id: int
    order: str
    text: str
    failure: str | None = None

    @classmethod
    def from_text(cls, question_id: int, order: str, text: str, failure: str = "no_scores") -> "Review":
        """Return a review of ``text``, marked with ``failure`` where no scores can be read from it."""
        if parse_scores(text):
            return cls(question_id, order, text)
        unfinished = failure == "no_scores" and thoughts_are_open(text)
        return cls(question_id, order, text, "unfinished_thoughts" if unfinished else failure)

    @property
    def scores(self) -> tuple[float, float] | None:
        """Scores of the model and of the reference, whatever the order; ``None`` for a failure."""
        shown = parse_scores(self.text)
        return shown if shown is None or self.order == ORDERS[0] else shown[::-1]


def parse_scores(review: str) -> tuple[float, float] | None:
    """Return the scores of the answers shown first and second, or ``None`` where the review does not give them.

    The format is that of the Vicuna evaluation: the first line holds two numbers up to 10 and nothing else, separated
    by a space; a comma counts as a space. The scale begins at 1, yet its judges gave 0 to an empty answer: that is
    read unchanged. Our own rules: blank lines before the scores are skipped, since a model that continues a prompt
    often begins with one; and so are thoughts, up to the last mark that ends them.
    """
    after_thoughts = _THOUGHTS_END.split(review)[-1]
    first_line = after_thoughts.strip().split("\n", 1)[0]
    match = _SCORES.fullmatch(first_line.replace(",", " ").strip())
    if not match:
        return None
    first, second = map(float, match.groups())
    return (first, second) if first <= 10 and second <= 10 else None


def thoughts_are_open(text: str) -> bool:
    """Return whether a text ends within a model's thoughts: they begin in it, and do not end."""
    return bool(_THOUGHTS_BEGIN.search(_THOUGHTS_END.split(text)[-1]))


def read_reviews(*paths: str | Path) -> list[Review]:
    """Read reviews from JSON Lines with ``question_id`` and ``text``, as FastChat stored them in 2023 or as we write.

    Args:
        paths: The file; or two, of which the second holds the reviews that saw the reference's answer first. A row's
            own field ``order`` comes before that.

    Raises:
        InputError: There are more than two files, a row lacks a field or names an unknown order, or a question is
            reviewed twice in one order.
    """
    if len(paths) > len(ORDERS):
        raise InputError(f"Reviews come in one file or in two, one an order; {len(paths)} were named.")
    reviews: dict[tuple[int, str], Review] = {}
    for path, order in zip(paths, ORDERS, strict=False):
        for place, row in read_rows(str(path)):
            review = _review_of(row, order, place)
            if (review.question_id, review.order) in reviews:
                raise InputError(
                    f"{place} is the second review of question {review.question_id} in the order "
                    f"{review.order!r}. Give the two orders as two files, the one that shows the model's answer first "
                    "before the other."
                )
            reviews[review.question_id, review.order] = review
    return list(reviews.values())


class _Row(BaseModel):
    """A line of reviews, ours or FastChat's of 2023; a null text is a review that never came."""

    question_id: Number
    text: Text | None
    order: Literal["model_first", "reference_first"] | None = None
    failure: Text | None = None


def _review_of(row: dict[str, Any], order: str, place: str) -> Review:
    advice = "A review has the number of its question as question_id, and a text. Fix that line."
    read = validate(_Row, row, place, advice)
    return Review.from_text(read.question_id, read.order or order, read.text or "", read.failure or "no_scores")


def write_reviews(path: str | Path, reviews: Iterable[Review]) -> list[Review]:
    """Write reviews one by one as ``read_reviews`` reads them, and return them all."""
    written = []
    with Path(path).open("w", encoding="utf-8") as file:
        for review in reviews:
            file.write(json.dumps(asdict(review), ensure_ascii=False) + "\n")
            file.flush()
            written.append(review)
    return written


def summarize_reviews(
    reviews: list[Review], n_resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> dict[str, Any]:
    """Return what the reviews say, ready for JSON.

    Relative quality is the sum of the model's scores over the sum of the reference's, over every review that could be
    read (the Vicuna evaluation; the paper's Figure 4). Its interval resamples questions, with both orders of a
    question kept together. Two orders agree where both prefer the same answer, or both none.

    Args:
        reviews: Reviews of one pair of models.
        n_resamples: Draws of the bootstrap.
        confidence: Share of the draws that the interval holds.
        seed: Seed of the bootstrap.

    Returns:
        Counts, ``relative_quality`` and ``interval`` (``None`` where there is nothing to compute them from),
        ``orders``, ``agreement``, ``wins`` and the ``failures`` one by one.
    """
    failed = [review for review in reviews if review.failure]
    sums = _sums_by_question(reviews)
    return {
        "n_questions": len({review.question_id for review in reviews}),
        "n_reviews": len(reviews),
        "n_failures": len(failed),
        "relative_quality": _ratio(sums.sum(axis=0)),
        "interval": _bootstrap(sums, n_resamples, confidence, seed),
        "confidence": confidence,
        "orders": {order: _summarize_order(reviews, order) for order in ORDERS},
        "agreement": _agreement(reviews),
        "failures": [{"question_id": r.question_id, "order": r.order, "failure": r.failure} for r in failed],
    }


def explain_failures(summary: dict[str, Any]) -> list[str]:
    """Return a line for each reason that reviews have no scores: how many, why, and what to do.

    Args:
        summary: What ``summarize_reviews`` returned.

    Raises:
        EvaluationError: No review has scores because the judge could not finish one. A judge that finished all of
            them and gave no scores is a result: it cannot judge.
    """
    counts = Counter(failure["failure"] for failure in summary["failures"])
    lines = [
        f"{count} reviews ({name}): {FAILURES.get(name, FAILURES['no_scores'])}" for name, count in counts.items()
    ]
    if summary["n_failures"] == summary["n_reviews"] and set(counts) != {"no_scores"}:
        raise EvaluationError("\n  ".join([f"None of the {summary['n_reviews']} reviews has scores.", *lines]))
    return lines


def _sums_by_question(reviews: list[Review]) -> np.ndarray:
    """Return the scores of model and reference, summed over a question's readable reviews, ``(n_questions, 2)``."""
    sums: dict[int, np.ndarray] = {}
    for review in reviews:
        if review.scores:
            sums[review.question_id] = sums.get(review.question_id, np.zeros(2)) + review.scores
    return np.array(list(sums.values())).reshape(-1, 2)


def _ratio(sums: np.ndarray) -> float | None:
    return float(sums[0] / sums[1]) if sums[1] else None


def _bootstrap(sums: np.ndarray, n_resamples: int, confidence: float, seed: int) -> list[float] | None:
    """Return the percentile interval of the ratio of sums over questions drawn again; ``None`` below 2 questions."""
    if len(sums) < 2 or not sums[:, 1].any():
        return None
    draws = np.random.default_rng(seed).integers(len(sums), size=(n_resamples, len(sums)))
    model, reference = sums[draws].sum(axis=1).T
    defined = reference > 0
    tail = (1 - confidence) / 2
    return [float(bound) for bound in np.quantile(model[defined] / reference[defined], [tail, 1 - tail])]


def _summarize_order(reviews: list[Review], order: str) -> dict[str, Any]:
    shown = [review for review in reviews if review.order == order]
    scores = [review.scores for review in shown if review.scores]
    model, reference = np.array(scores).reshape(-1, 2).sum(axis=0)
    return {
        "n_reviews": len(shown),
        "n_failures": len(shown) - len(scores),
        "relative_quality": _ratio(np.array([model, reference])),
        "wins": sum(a > b for a, b in scores),
        "ties": sum(a == b for a, b in scores),
        "losses": sum(a < b for a, b in scores),
    }


def _agreement(reviews: list[Review]) -> dict[str, Any]:
    """Return in how many of the questions read in both orders the two readings prefer the same answer."""
    verdicts: dict[int, list[int]] = {}  # 1 for the model, -1 for the reference, 0 for none
    for review in reviews:
        if review.scores:
            model, reference = review.scores
            verdicts.setdefault(review.question_id, []).append((model > reference) - (model < reference))
    pairs = [pair for pair in verdicts.values() if len(pair) == 2]
    agreeing = sum(a == b for a, b in pairs)
    return {
        "n_questions": len(pairs),
        "same_preference": agreeing,
        "opposite_preference": sum(a * b < 0 for a, b in pairs),
        "share": agreeing / len(pairs) if pairs else None,
    }
