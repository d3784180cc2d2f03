"""Instructions that are too much like an earlier one, across a whole corpus: exact, and far from comparing all pairs.

ROUGE-L of two texts cannot exceed the F1 of the tokens that they share, whatever their order. Texts that share enough
of them are found through an index from tokens to texts, as in set-similarity joins (Bayardo et al. 2007, "Scaling up
all pairs similarity search"): two such texts must have one of their rarest tokens in common. Only what is left after
that is compared exactly.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy

from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch
from davidgen_hf.processors.counting import count_candidates
from davidgen_hf.schema import CANDIDATES
from davidgen_hf.sources.seeds import SeedSource, iterate_seeds
from davidgen_hf.sources.source import Skipped
from davidgen_hf.sources.subsequence import rouge_l
from davidgen_hf.storage.progress import Bar, counted
from davidgen_hf.storage.settings import check_settings

ROUNDING = 1e-9  # bounds are this much looser than the figure that decides


@dataclass(frozen=True)
class NovelInstructions:
    """Reject instructions whose ROUGE-L with an earlier one that stays, or with a seed, is ``threshold`` or more.

    This is Self-Instruct's rule, which Alpaca has kept: lower-cased words of ASCII letters and digits, without
    stemming. It sees the rows of one call, so pass ``batch_size=None`` to ``map``; a run passes all shards.

    Batch in:  ``candidates`` (n, k) structs.
    Batch out: ``candidates`` (n, k) with the reason ``too_similar`` where there was none.

    Args:
        threshold: ROUGE-L F1, above 0.0 up to 1.0.
        seeds: Instructions that come before all others; a run fills in its own seeds, held-out ones too.

    Raises:
        SettingError: ``threshold`` is out of range.
    """

    reads: ClassVar[tuple[str, ...]] = ("candidates",)
    writes: ClassVar = CANDIDATES
    changes_row_count: ClassVar[bool] = False

    threshold: float = 0.7
    seeds: tuple[SeedSource, ...] = ()
    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)
        if not 0 < self.threshold <= 1:
            raise SettingError(f"threshold must be in (0, 1], got {self.threshold}.")

    def __call__(self, batch: Batch) -> Batch:
        return next(self.over_corpus([batch], Path()))

    def over_corpus(self, shards: Iterable[Batch], workspace: Path) -> Iterator[Batch]:
        """Yield the candidates of each shard; those that are too much like an earlier instruction are rejected.

        Raises:
            InputError: The seeds cannot be read.
        """
        seeds = iterate_seeds(self.seeds, Skipped()) if self.seeds else iter(())
        known = list(dict.fromkeys(seed["instruction"] for seed in seeds))
        left = (one["instruction"] for columns in shards for one in _left(columns))
        similar = iter(self.find(left, known).tolist())
        for columns in shards:
            for one in _left(columns):
                if next(similar):
                    one["reject_reason"] = "too_similar"
            yield {"candidates": columns["candidates"]}

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of candidates, accepted ones, and rejected ones by reason."""
        return count_candidates(made)

    def find(self, texts: Iterable[str], known: Iterable[str] = ()) -> numpy.ndarray:
        """Return whether each text is too much like one of ``known``, or like an earlier text that is not.

        Memory is about 10 bytes per word and 100 bytes per text.

        Returns:
            ``(n,)`` bool: what comparing all pairs by rouge-score's ROUGE-L without stemming would give.
        """
        texts_of_tokens = _Tokens()
        for text in known:
            texts_of_tokens.add(text)
        n_known = len(texts_of_tokens)
        for text in texts:
            texts_of_tokens.add(text)
        n_texts = len(texts_of_tokens)
        index = _Index(texts_of_tokens, self.threshold)
        similar = numpy.zeros(n_texts - n_known, dtype=bool)
        for place in counted(range(n_texts), Bar("novelty", "instructions", n_texts)):
            if place >= n_known and index.has_similar(place):
                similar[place - n_known] = True
            else:
                index.add(place)
        return similar


class _Tokens:
    """Texts as numbers of their tokens, one text after the other; the second "the" of a text has another number."""

    def __init__(self) -> None:
        self.tokens, self.starts = array("i"), array("q", [0])
        self._numbers: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self.starts) - 1

    def add(self, text: str) -> None:
        from rouge_score import tokenize  # imports nltk, which takes long, and a recipe only names this step

        seen: Counter[str] = Counter()
        for token in tokenize.tokenize(text, None):
            seen[token] += 1
            self.tokens.append(self._numbers.setdefault((token, seen[token]), len(self._numbers)))
        self.starts.append(len(self.tokens))

    def words(self) -> numpy.ndarray:
        """Return the number of the word of each numbered token: the same for the first and the second "the"."""
        first = {token: number for (token, occurrence), number in self._numbers.items() if occurrence == 1}
        return numpy.array([first[token] for token, _ in self._numbers], dtype=numpy.int32)


class _Index:
    """The texts that stay, by their rarest tokens.

    Two texts of m and n tokens reach the threshold t only if they share at least t * (m + n) / 2 of them. So n is at
    least ``self.least * m``, with t / (2 - t) for ``self.least``, and they share at least that many; and of a text's
    tokens in a fixed order, the first m - ``self.least`` * m + 1 hold one that they share. With the rarest tokens
    first, few texts have it.
    """

    def __init__(self, texts: _Tokens, threshold: float) -> None:
        self.threshold, self.least = threshold, threshold / (2 - threshold)
        self.starts = numpy.array(texts.starts)
        self.lengths = numpy.diff(self.starts)
        tokens = numpy.array(texts.tokens, dtype=numpy.int32)
        self.words = texts.words()[tokens]
        rarity = numpy.empty(int(tokens.max(initial=-1)) + 1, dtype=numpy.int32)
        rarity[numpy.argsort(numpy.bincount(tokens), kind="stable")] = numpy.arange(len(rarity))
        by_rarity = rarity[tokens]
        self.tokens = by_rarity[numpy.lexsort((by_rarity, numpy.repeat(numpy.arange(len(texts)), self.lengths)))]
        self.holders: dict[int, array[int]] = {}
        self.is_own = numpy.zeros(len(rarity), dtype=bool)

    def add(self, place: int) -> None:
        """Add a text that stays."""
        for token in self._rarest(place):
            self.holders.setdefault(token, array("i")).append(place)

    def has_similar(self, place: int) -> bool:
        """Return whether a text reaches the threshold with one that was added."""
        holders = [
            numpy.frombuffer(self.holders[token], "i") for token in self._rarest(place) if token in self.holders
        ]
        if not holders:
            return False
        others, own = numpy.unique(numpy.concatenate(holders)), self._text(self.tokens, place)
        lengths = self.lengths[others]
        others = others[(lengths >= self.least * len(own) - ROUNDING) & (len(own) >= self.least * lengths - ROUNDING)]
        if not len(others):
            return False
        shared = self._count_shared(own, others)
        bounds = 2 * shared / (len(own) + self.lengths[others])
        others, bounds = others[bounds >= self.threshold - ROUNDING], bounds[bounds >= self.threshold - ROUNDING]
        words = self._text(self.words, place).tolist()
        nearest_first = others[numpy.argsort(-bounds, kind="stable")].tolist()
        return any(rouge_l(words, self._text(self.words, other).tolist()) >= self.threshold for other in nearest_first)

    def _count_shared(self, own: numpy.ndarray, others: numpy.ndarray) -> numpy.ndarray:
        """Return how many tokens each of the other texts shares with the own one."""
        self.is_own[own] = True
        lengths = self.lengths[others]
        ends = numpy.cumsum(lengths)
        places = numpy.arange(ends[-1]) + numpy.repeat(self.starts[others] - (ends - lengths), lengths)
        shared = numpy.add.reduceat(self.is_own[self.tokens[places]], ends - lengths, dtype=numpy.int64)
        self.is_own[own] = False
        return shared

    def _rarest(self, place: int) -> list[int]:
        tokens: list[int] = self._text(self.tokens, place).tolist()
        return tokens[: len(tokens) - math.ceil(self.least * len(tokens) - ROUNDING) + 1]

    def _text(self, numbers: numpy.ndarray, place: int) -> numpy.ndarray:
        return numbers[self.starts[place] : self.starts[place + 1]]


def _left(columns: Batch) -> Iterator[dict[str, Any]]:
    """Yield the candidates that nothing has rejected."""
    return (one for many in columns["candidates"] for one in many if one["reject_reason"] is None)
