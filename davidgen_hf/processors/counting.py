"""Counts of the rows and candidates before and after a step, for the record, cards and report of a run."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from davidgen_hf.processors.base import Batch, Processor

TOKENS = "tokens."  # prefix of the counts that are not rows
STYLES = "style."  # prefix of the outcomes of candidates, by the style of their prompt: style.chatbot.pairs


def count(step: Processor | Any, given: Batch, made: Batch) -> Counter[str]:
    """Return what a step reports with its ``counts(given, made)``, or its candidates by what became of them.

    Args:
        step: A processor. ``counts`` is optional in one of a user's own.
        given: The columns before the step.
        made: The columns after it.
    """
    if hasattr(step, "counts"):
        counted: Counter[str] = step.counts(given, made)
        return counted
    if "candidates" in made:
        return count_candidates(made)
    dropped = n_rows(given) - n_rows(made)
    return Counter({f"dropped.{type(step).__name__}": dropped}) if dropped > 0 else Counter()


def count_candidates(columns: Batch) -> Counter[str]:
    """Return the number of candidates, of accepted ones, and of rejected ones by reason."""
    reasons = Counter(one["reject_reason"] for candidates in columns["candidates"] for one in candidates)
    rejected = {f"rejected.{reason}": number for reason, number in reasons.items() if reason is not None}
    return Counter(candidates=reasons.total(), accepted=reasons[None], **rejected)


def shown_counts(counts: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    """Return the counts of each stage that a reader sees, in the order of the stages.

    Every stage from the one that writes candidates on counts all candidates by what became of them so far, so only the
    last of these counts is shown, under the name of the first such stage.
    """
    with_candidates = [stage for stage, found in counts.items() if "candidates" in found]
    hidden = set(with_candidates[1:])
    latest = counts[with_candidates[-1]] if with_candidates else {}
    return {
        stage: {**_others(found), **latest} if with_candidates and stage == with_candidates[0] else found
        for stage, found in counts.items()
        if stage not in hidden
    }


def _others(found: Mapping[str, int]) -> dict[str, int]:
    """Return the counts that are not of candidates."""
    of_candidates = ("candidates", "accepted", "rejected")
    return {what: number for what, number in found.items() if what.partition(".")[0] not in of_candidates}


def rows_read(counts: Mapping[str, int]) -> int:
    """Return how many rows the first stage was given, from its counts: passages or prompts."""
    return counts.get("passages") or counts.get("prompts") or 0


def n_rows(columns: Batch) -> int:
    """Return the number of rows of a batch."""
    return len(next(iter(columns.values()), []))
