"""Scored candidates to a pair: the instruction that best predicts its output (section 3.1)."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

from davidgen_hf import prompts
from davidgen_hf.engines.base import perplexity as engine_perplexity
from davidgen_hf.errors import MissingColumnsError, SettingError
from davidgen_hf.processors.base import Batch, take
from davidgen_hf.processors.copied import copied_tokens
from davidgen_hf.processors.guard import candidate_text
from davidgen_hf.schema import PAIR, Candidate
from davidgen_hf.storage.settings import check_settings

# A candidate that copies more of the output's tokens than this leaves too few to judge it by.
MAX_MASKED_SHARE = 0.5
# The guards that come last: if one of them rejected a candidate, all the others had accepted it.
LAST_GUARDS = ("near_duplicate", "overlaps_evaluation")
Ranked = list[tuple[float, Candidate]]


@dataclass(frozen=True)
class SelectInstruction:
    """Choose the candidate with the lowest perplexity of the output; drop rows that have none left.

    All candidates of a row are compared on the same tokens, so the lowest perplexity is the lowest summed nll.

    Batch in:  ``output`` (n,) str, ``candidates`` (n, k) structs with scores; ``unconditional_nll`` (n,) and
    ``token_ends`` (n, n_tokens) where the settings need them.
    Batch out: all columns of the rows kept, with ``instruction``, ``input``, ``perplexity``, ``margin`` (nats per
    token), ``ifd``, ``prompt`` and ``completion`` (m,), m <= n.

    Args:
        min_margin: Smallest lead of the winner over the next best, in nats per token; a row whose winner leads by less
            is dropped. 0.0 keeps all, the paper's choice. A winner without a rival is always kept.
        mask_copied_words: Leave out of the comparison the tokens of the output in runs of at least this many words
            that one of the candidates has too, so that copying gains nothing. A candidate that has more than half of
            the tokens cannot win. None compares all tokens, the paper's choice. Needs ``token_nll`` of the scores.
        min_ifd: Lowest instruction-following difficulty (Li et al. 2024, Superfiltering) of a row: the perplexity of
            the output given the instruction, divided by that without any. Near 0, the instruction contains the output.
            Needs ``unconditional`` of the scores. Within a row it ranks as perplexity does, since the divisor is the
            same.
        max_ifd: Upper limit; from 1.0 on, the instruction does not help to predict the output.

    Raises:
        SettingError: A setting is out of range.
    """

    reads: ClassVar[tuple[str, ...]] = ("output", "candidates")
    writes: ClassVar = PAIR
    changes_row_count: ClassVar[bool] = True

    min_margin: float = 0.0
    mask_copied_words: int | None = None
    min_ifd: float | None = None
    max_ifd: float | None = None
    version: int = 2

    def __post_init__(self) -> None:
        check_settings(self)
        if not 0 <= self.min_margin < math.inf:
            raise SettingError(f"min_margin must be at least 0, got {self.min_margin}.")
        if self.mask_copied_words is not None and self.mask_copied_words < 1:
            raise SettingError(f"mask_copied_words must be at least 1, got {self.mask_copied_words}.")
        if not (self.min_ifd or 0) <= (math.inf if self.max_ifd is None else self.max_ifd):
            raise SettingError(f"min_ifd must be at most max_ifd, got {self.min_ifd} and {self.max_ifd}.")

    @property
    def needs(self) -> dict[str, str]:
        """The columns that the settings need, and the setting of ``ScoreCandidates`` that writes them."""
        by_ifd = self.min_ifd is not None or self.max_ifd is not None
        needed = {"unconditional_nll": "unconditional"} if by_ifd else {}
        return needed | ({"token_ends": "token_nll"} if self.mask_copied_words is not None else {})

    def __call__(self, batch: Batch) -> Batch:
        n_rows = len(batch["output"])
        rows = [{name: batch[name][row] for name in batch} for row in range(n_rows)]
        kept = [row for row in range(n_rows) if self.drop_reason(rows[row]) is None]
        pairs = [_pair(rows[row], self.rank(rows[row])) for row in kept]
        return take(batch, kept) | {name: [pair[name] for pair in pairs] for name in PAIR}

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of pairs, and of rows without one by reason."""
        rows = ({name: given[name][row] for name in given} for row in range(len(given["output"])))
        reasons = (self._why_dropped(row) for row in rows)
        return Counter(pairs=len(made["output"])) + Counter(reason for reason in reasons if reason is not None)

    def _why_dropped(self, row: dict[str, Any]) -> str | None:
        """Return ``drop_reason``, with the guard that rejected the last candidate if it was one of ``LAST_GUARDS``."""
        reason = self.drop_reason(row)
        if reason == "none_left":
            found = {one["reject_reason"] for one in row["candidates"]}
            return next((f"{reason}.{last}" for last in LAST_GUARDS if last in found), reason)
        return reason

    def drop_reason(self, row: dict[str, Any]) -> str | None:
        """Return why a row yields no pair: ``none_left``, ``below_margin`` or ``outside_ifd``; None if it yields one.

        Raises:
            MissingColumnsError: The settings need scores that the row does not have.
        """
        ranked = self.rank(row)
        if not ranked:
            return "none_left"
        lead = margin(ranked)
        if lead is not None and lead < self.min_margin:
            return "below_margin"
        if self.min_ifd is None and self.max_ifd is None:
            return None
        difficulty = ifd(ranked[0][1], self._needed(row, "unconditional_nll"))
        low, high = self.min_ifd or 0.0, math.inf if self.max_ifd is None else self.max_ifd
        return None if difficulty is not None and low <= difficulty < high else "outside_ifd"

    def rank(self, row: dict[str, Any]) -> Ranked:
        """Return the candidates that may win with their nats per token, the best first; ties keep their order.

        Raises:
            MissingColumnsError: As ``drop_reason``.
        """
        scored = rank(row["candidates"])
        if self.mask_copied_words is None or not scored:
            return [(one["nll"] / one["n_tokens"], one) for one in scored]
        ends = self._needed(row, "token_ends")
        copied = [
            (one, copied_tokens(row["output"], ends, candidate_text(one), self.mask_copied_words)) for one in scored
        ]
        eligible = [(one, tokens) for one, tokens in copied if len(tokens) <= MAX_MASKED_SHARE * len(ends)]
        masked = set().union(*(tokens for _, tokens in eligible))
        places = [place for place in range(len(ends)) if place not in masked]
        if not places:  # one candidate copies what the other does not
            return []
        values = [(math.fsum(one["token_nll"][place] for place in places) / len(places), one) for one, _ in eligible]
        return sorted(values, key=lambda value: value[0])

    def _needed(self, row: dict[str, Any], column: str) -> Any:
        if row.get(column) is None:
            setting = self.needs[column]
            raise MissingColumnsError(
                f"SelectInstruction needs {column!r} with these settings, and a row of the scores does not have it. "
                f"Score with {setting}: true (score.{setting} of the recipe)."
            )
        return row[column]


def rank(candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates that were scored and not rejected, by their nll; equal ones keep their order.

    A score that is not a finite number is none: in a comparison, NaN would win against any other.
    """
    eligible = [
        one
        for one in candidates
        if one["reject_reason"] is None and one["nll"] is not None and math.isfinite(one["nll"])
    ]
    return sorted(eligible, key=lambda one: one["nll"])


def perplexity(candidate: Candidate) -> float:
    """Return exp(nll / n_tokens) of a scored candidate, as ``Score.perplexity`` does."""
    return engine_perplexity(candidate["nll"] / candidate["n_tokens"])


def ifd(candidate: Candidate, unconditional_nll: float | None) -> float | None:
    """Return the perplexity given the candidate divided by the one without; None if that was not scored."""
    if unconditional_nll is None:
        return None
    return engine_perplexity((candidate["nll"] - unconditional_nll) / candidate["n_tokens"])


def margin(ranked: Ranked) -> float | None:
    """Return the lead of the first of ``ranked`` over the second, in nats per token; None without a second."""
    return ranked[1][0] - ranked[0][0] if len(ranked) > 1 else None


def _pair(row: dict[str, Any], ranked: Ranked) -> dict[str, Any]:
    best = ranked[0][1]
    return {
        "instruction": best["instruction"],
        "input": best["input"] or "",
        "perplexity": perplexity(best),
        "margin": margin(ranked),
        "ifd": ifd(best, row.get("unconditional_nll")),
        "prompt": prompts.render_follower(best["instruction"], best["input"] or ""),
        "completion": row["output"],
    }
