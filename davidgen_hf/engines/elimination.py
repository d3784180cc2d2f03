"""Scoring by elimination: candidates for the same target that fall far behind are not scored to its end.

All candidates are scored on a target's first tokens. Those whose nll is more than a margin above the lowest leave, the
span doubles, and the others go on from their cache, until the target ends. Our own rule.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from davidgen_hf.errors import SettingError
from davidgen_hf.storage.settings import check_settings

if TYPE_CHECKING:
    from davidgen_hf.engines.tokens import TokenPair

# Given the rows that are left and where the span ends: the nll of the target tokens since the span before.
Advance = Callable[[list[int], int], Sequence[Sequence[float]]]


@dataclass(frozen=True)
class Elimination:
    """When a candidate is dropped before its target's end.

    Args:
        first_tokens: Target tokens after which candidates are compared first; then after twice as many, and so on.
        margin_nats: A candidate whose nll is so much above the lowest is dropped.

    Raises:
        SettingError: A setting is out of range.
    """

    first_tokens: int = 32
    margin_nats: float = 6.0

    def __post_init__(self) -> None:
        check_settings(self)
        if self.first_tokens < 1:
            raise SettingError(f"first_tokens must be at least 1, got {self.first_tokens}.")
        if not 0 <= self.margin_nats < math.inf:
            raise SettingError(f"margin_nats must be at least 0 and finite, got {self.margin_nats}.")


def eliminate(
    rule: Elimination, groups: Sequence[int], pairs: "Sequence[TokenPair]", advance: Advance
) -> list[list[float]]:
    """Return the nll of each row's target tokens, as many as were scored before the row was dropped.

    Args:
        rule: When a row is dropped.
        groups: The target of each row; rows of one target are compared.
        pairs: Context and target of each row; equal rows are scored once.
        advance: Scores the next span.
    """
    first: dict[tuple[int, TokenPair], int] = {}
    scored = [first.setdefault(key, row) for row, key in enumerate(zip(groups, pairs, strict=True))]
    nll: list[list[float]] = [[] for _ in groups]
    left, end = list(first.values()), rule.first_tokens
    while left:
        for row, span in zip(left, advance(left, end), strict=True):
            nll[row] += span
        sums = {row: total for row in left if math.isfinite(total := sum(nll[row]))}
        lowest: dict[int, float] = {}
        for row, total in sums.items():
            lowest[groups[row]] = min(total, lowest.get(groups[row], math.inf))
        left = [
            row
            for row, total in sums.items()
            if len(nll[row]) < len(pairs[row].target) and total <= lowest[groups[row]] + rule.margin_nats
        ]
        end *= 2
    return [nll[row] for row in scored]
