"""Scored candidates to pairs: the instructions that best predict their output (section 3.1)."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from davidgen_hf import prompts
from davidgen_hf.engines.base import perplexity as engine_perplexity
from davidgen_hf.errors import MissingColumnsError, SettingError
from davidgen_hf.processors.base import Batch, draw, take
from davidgen_hf.processors.copied import copied_tokens
from davidgen_hf.processors.counting import STYLES
from davidgen_hf.processors.guard import candidate_text
from davidgen_hf.processors.near_duplicates import NearDuplicates
from davidgen_hf.schema import ELIMINATED, PAIR, Candidate
from davidgen_hf.storage.settings import UNLESS_DEFAULT, check_settings

# A candidate that copies more of the output's tokens than this leaves too few to judge it by.
MAX_MASKED_SHARE = 0.5
# The guards that come last: if one of them rejected a candidate, all the others had accepted it.
LAST_GUARDS = ("near_duplicate", "overlaps_evaluation")
MAX_KEPT = 100
Ranked = list[tuple[float, Candidate]]


@dataclass(frozen=True)
class SelectInstruction:
    """Choose the candidate with the lowest perplexity of the output; drop rows that have none left.

    All candidates of a row are compared on the same tokens, so the lowest perplexity is the lowest summed nll.

    Batch in:  ``output`` (n,) str, ``candidates`` (n, k) structs; ``unconditional_nll`` (n,) and ``token_ends``
    (n, n_tokens) where the settings need them.
    Batch out: all columns of the rows kept, with ``instruction``, ``input``, ``perplexity``, ``margin`` (nats per
    token), ``ifd``, ``prompt`` and ``completion`` (m,), m <= n * ``keep``. The first pair of a row has the row's
    ``id``, and the second has ``#pair-2`` after it.

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
        choose: Which candidate wins. ``best`` has the lowest perplexity, the paper's choice, and ``worst`` the
            highest. ``first`` and ``random`` need no scores: with them, a corpus is unfiltered (Tables 3 and 4).
        seed: Decides, together with the output, the order of ``random``.
        keep: Candidates of a row that become pairs, at most. They are taken in the order of the ranking, without
            those that nearly repeat an earlier one. The last of them must lead the one that follows it by
            ``min_margin``; if it does not, fewer are kept.
        near_duplicates: When two candidates of a row nearly repeat each other.

    Raises:
        SettingError: A setting is out of range, or one needs scores that ``choose`` does not look at.
    """

    reads: ClassVar[tuple[str, ...]] = ("output", "candidates")
    writes: ClassVar = PAIR
    changes_row_count: ClassVar[bool] = True

    min_margin: float = 0.0
    mask_copied_words: int | None = None
    min_ifd: float | None = None
    max_ifd: float | None = None
    version: int = 2
    choose: Literal["best", "first", "random", "worst"] = field(default="best", metadata=UNLESS_DEFAULT)
    seed: int = field(default=0, metadata=UNLESS_DEFAULT)
    keep: int = field(default=1, metadata=UNLESS_DEFAULT)
    near_duplicates: NearDuplicates = field(default_factory=NearDuplicates, metadata=UNLESS_DEFAULT)

    def __post_init__(self) -> None:
        check_settings(self)
        if not 0 <= self.min_margin < math.inf:
            raise SettingError(f"min_margin must be at least 0, got {self.min_margin}.")
        if self.mask_copied_words is not None and self.mask_copied_words < 1:
            raise SettingError(f"mask_copied_words must be at least 1, got {self.mask_copied_words}.")
        if not (self.min_ifd or 0) <= (math.inf if self.max_ifd is None else self.max_ifd):
            raise SettingError(f"min_ifd must be at most max_ifd, got {self.min_ifd} and {self.max_ifd}.")
        if not 1 <= self.keep <= MAX_KEPT:
            raise SettingError(f"keep must be 1 to {MAX_KEPT}, got {self.keep}.")
        if not self.compares and (self.min_margin or self.mask_copied_words is not None):
            raise SettingError(
                f"choose is {self.choose!r}, which compares no scores. min_margin and mask_copied_words compare them. "
                "Leave these out, or choose best or worst."
            )

    @property
    def compares(self) -> bool:
        """Whether the ranking depends on scores."""
        return self.choose in ("best", "worst")

    @property
    def needs(self) -> dict[str, str]:
        """The columns that the settings need, and the setting of ``ScoreCandidates`` that writes them."""
        by_ifd = self.min_ifd is not None or self.max_ifd is not None
        needed = {"unconditional_nll": "unconditional"} if by_ifd else {}
        return needed | ({"token_ends": "token_nll"} if self.mask_copied_words is not None else {})

    def __call__(self, batch: Batch) -> Batch:
        rows = _rows(batch)
        kept = [
            (number, place, pair)
            for number, row in enumerate(rows)
            for place, pair in enumerate(self.kept(row), start=1)
        ]
        columns = take(batch, [number for number, _, _ in kept])
        if "id" in columns:
            pairs = zip(columns["id"], kept, strict=True)
            columns["id"] = [_pair_id(identity, place) for identity, (_, place, _) in pairs]
        made = [pair_of(rows[number], *pair) for number, _, pair in kept]
        return columns | {name: [pair[name] for pair in made] for name in PAIR}

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of pairs, of rows without one by reason, and the outcomes of the candidates by style."""
        rows = _rows(given)
        reasons = (self._why_dropped(row) for row in rows)
        counts = Counter(pairs=len(made["output"])) + Counter(reason for reason in reasons if reason is not None)
        for row in rows:
            named = [one for one in row["candidates"] if one["style"] is not None]
            counts.update(f"{STYLES}{one['style']}.candidates" for one in named)
            counts.update(f"{STYLES}{one['style']}.accepted" for one in named if one["reject_reason"] is None)
            counts.update(f"{STYLES}{one['style']}.pairs" for one, _ in self.kept(row) if one["style"] is not None)
        return counts

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
        return self._judge(row)[1]

    def kept(self, row: dict[str, Any]) -> list[tuple[Candidate, float | None]]:
        """Return the candidates that become pairs, the first of the ranking first.

        Returns:
            Each with its lead over the candidate that follows the last of them, in nats per token; None without one,
            or without scores that were compared.

        Raises:
            MissingColumnsError: As ``drop_reason``.
        """
        return self._judge(row)[0]

    def _judge(self, row: dict[str, Any]) -> tuple[list[tuple[Candidate, float | None]], str | None]:
        ranked = self.rank(row)
        if not ranked:
            return [], "none_left"
        kept = self._distinct(ranked)
        leads = _leads(kept, ranked)
        while kept and leads[-1] is not None and leads[-1] < self.min_margin:
            kept.pop()
            leads = _leads(kept, ranked)
        if not kept:
            return [], "below_margin"
        pairs = [(one, lead) for (_, one), lead in zip(kept, leads, strict=True) if self._is_within_ifd(one, row)]
        return pairs, None if pairs else "outside_ifd"

    def _distinct(self, ranked: Ranked) -> Ranked:
        """Return the first ``keep`` candidates that do not nearly repeat an earlier one."""
        kept: Ranked = []
        for value, one in ranked:
            if len(kept) == self.keep:
                break
            if not any(self.near_duplicates.repeats(candidate_text(one), candidate_text(other)) for _, other in kept):
                kept.append((value, one))
        return kept

    def _is_within_ifd(self, candidate: Candidate, row: dict[str, Any]) -> bool:
        if self.min_ifd is None and self.max_ifd is None:
            return True
        difficulty = ifd(candidate, self._needed(row, "unconditional_nll"))
        low, high = self.min_ifd or 0.0, math.inf if self.max_ifd is None else self.max_ifd
        return difficulty is not None and low <= difficulty < high

    def rank(self, row: dict[str, Any]) -> Ranked:
        """Return the candidates that may win, the first choice first; ties keep their order.

        Returns:
            Each with the value by which it is ranked: its nats per token, negative where ``worst`` is chosen, and NaN
            where scores are not compared.

        Raises:
            MissingColumnsError: As ``drop_reason``.
        """
        if not self.compares:
            left = [one for one in row["candidates"] if one["reject_reason"] is None and _has_no_bad_score(one)]
            if self.choose == "random":
                order = {id(one): draw(2**64, self.seed, row["output"], place) for place, one in enumerate(left)}
                left.sort(key=lambda one: order[id(one)])
            return [(math.nan, one) for one in left]
        ranked = self._rank_by_score(row)
        if self.choose == "worst":
            return sorted(((-value, one) for value, one in ranked), key=lambda value: value[0])
        return ranked

    def _rank_by_score(self, row: dict[str, Any]) -> Ranked:
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


def perplexity(candidate: Candidate) -> float | None:
    """Return exp(nll / n_tokens) of a candidate, as ``Score.perplexity`` does; None if it was not scored in full."""
    return engine_perplexity(candidate["nll"] / candidate["n_tokens"]) if _is_scored(candidate) else None


def ifd(candidate: Candidate, unconditional_nll: float | None) -> float | None:
    """Return the perplexity given the candidate divided by the one without; None unless both were scored in full."""
    if unconditional_nll is None or not _is_scored(candidate):
        return None
    return engine_perplexity((candidate["nll"] - unconditional_nll) / candidate["n_tokens"])


def _is_scored(candidate: Candidate) -> bool:
    return candidate["nll"] is not None and candidate["reject_reason"] != ELIMINATED


def margin(ranked: Ranked) -> float | None:
    """Return the lead of the first of ``ranked`` over the second, in nats per token; None without one or scores."""
    return _leads(ranked[:1], ranked)[0] if ranked else None


def _leads(kept: Ranked, ranked: Ranked) -> list[float | None]:
    """Return the lead of each candidate over the one that follows the last of them; None without one, or no values."""
    order = [id(one) for _, one in ranked]
    following = ranked[order.index(id(kept[-1][1])) + 1 :] if kept else []
    rival = following[0][0] if following else math.nan
    return [None if math.isnan(rival - value) else rival - value for value, _ in kept]


def _rows(batch: Batch) -> list[dict[str, Any]]:
    return [{name: batch[name][row] for name in batch} for row in range(len(batch["output"]))]


def _has_no_bad_score(candidate: Candidate) -> bool:
    return candidate["nll"] is None or math.isfinite(candidate["nll"])


def _pair_id(identity: Any, place: int) -> Any:
    return f"{identity}#pair-{place}" if place > 1 and isinstance(identity, str) else identity


def pair_of(row: dict[str, Any], one: Candidate, lead: float | None) -> dict[str, Any]:
    """Return the columns of ``schema.PAIR`` of a row and one of its candidates, which leads by ``lead``."""
    return {
        "instruction": one["instruction"],
        "input": one["input"] or "",
        "perplexity": perplexity(one),
        "margin": lead,
        "ifd": ifd(one, row.get("unconditional_nll")),
        "prompt": prompts.render_follower(one["instruction"], one["input"] or ""),
        "completion": row["output"],
    }
