"""Marked candidates to marked candidates: what overlaps an evaluation set must not be trained on."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy

from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch
from davidgen_hf.processors.counting import count_candidates
from davidgen_hf.processors.guard import candidate_text
from davidgen_hf.schema import CANDIDATES
from davidgen_hf.sources.source import Source
from davidgen_hf.sources.words import words
from davidgen_hf.storage.progress import Bar, counted
from davidgen_hf.storage.settings import check_settings

REASON = "overlaps_evaluation"


@dataclass(frozen=True)
class Decontaminate:
    """Mark candidates that share a run of words with an evaluation set, after GPT-3 (Brown et al. 2020, appendix C).

    Words are compared without case and punctuation. An output that overlaps rejects all candidates of its row; an
    instruction (with its input) that overlaps rejects only its own candidate. A run counts only if all of it is there.
    An evaluation text shorter than ``ngram_words`` is a run itself if it has at least ``min_words`` words. With fewer
    words it does not count, because "yes" or "a new paragraph" can be found everywhere.

    Batch in:  ``output`` (n,) str, ``candidates`` (n, k) structs.
    Batch out: ``candidates`` (n, k) with the reason ``overlaps_evaluation`` where there was none.

    Args:
        sources: Evaluation sets: files, folders, SuperNI's repository or Hub datasets, e.g. ``{source:
            akoksal/LongForm, split: test}``. All texts of a row count, whether instruction, input or reference.
        ngram_words: Length of the runs, in words.
        min_words: Shortest evaluation text that counts, in words; GPT-3's own bound.

    Raises:
        SettingError: No source is named, or the lengths are not 1 <= ``min_words`` <= ``ngram_words``.
    """

    reads: ClassVar[tuple[str, ...]] = ("output", "candidates")
    writes: ClassVar = CANDIDATES
    changes_row_count: ClassVar[bool] = False

    sources: tuple[Source, ...] = ()
    ngram_words: int = 13
    min_words: int = 8
    version: int = 2

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.sources:
            raise SettingError(
                "decontaminate names no evaluation set. Name some, e.g. sources: [{source: akoksal/LongForm, split: "
                "test}], or leave decontaminate out."
            )
        if not 1 <= self.min_words <= self.ngram_words:
            raise SettingError(
                f"min_words must be at least 1 and at most ngram_words, got {self.min_words} and {self.ngram_words}."
            )

    def __call__(self, batch: Batch) -> Batch:
        known = evaluation_runs(self.sources, self.ngram_words, self.min_words)
        rows = []
        for output, candidates in zip(batch["output"], batch["candidates"], strict=True):
            row_overlaps = overlaps(output, known)
            rows.append(
                [
                    one | {"reject_reason": REASON}
                    if one["reject_reason"] is None and (row_overlaps or overlaps(candidate_text(one), known))
                    else one
                    for one in candidates
                ]
            )
        return {"candidates": rows}

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of candidates, accepted ones, and rejected ones by reason."""
        return count_candidates(made)


def overlaps(text: str, known: dict[int, numpy.ndarray]) -> bool:
    """Return whether a text contains one of the runs that ``evaluation_runs`` returned."""
    own = words(text)
    for length, sorted_hashes in known.items():
        hashes = _run_hashes(own, length)
        places = numpy.minimum(numpy.searchsorted(sorted_hashes, hashes), len(sorted_hashes) - 1)
        if (sorted_hashes[places] == hashes).any():
            return True
    return False


@lru_cache(maxsize=2)
def evaluation_runs(sources: tuple[Source, ...], ngram_words: int, min_words: int) -> dict[int, numpy.ndarray]:
    """Return hashes of all runs of evaluation sets by their length in words, each sorted, read once a process.

    Raises:
        InputError: A source cannot be read.
    """
    found: dict[int, list[numpy.ndarray]] = {}
    for source in sources:
        for _, row in counted(source.resolved().rows(), Bar("reading evaluation sets", "rows")):
            for text in _texts(row):
                own = words(text)
                if len(own) >= min_words:
                    length = min(len(own), ngram_words)
                    found.setdefault(length, []).append(_run_hashes(own, length))
    return {length: numpy.unique(numpy.concatenate(found[length])) for length in sorted(found, reverse=True)}


def _texts(row: dict[str, Any]) -> Iterator[str]:
    """Yield all strings in a row, including those in its lists and records, however deep."""
    waiting: list[object] = [row]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value


def _run_hashes(own: list[str], length: int) -> numpy.ndarray:
    """Return a hash of each run of ``length`` words: 64 bits, the same within a process only."""
    hashes = [hash(tuple(own[start : start + length])) for start in range(len(own) - length + 1)]
    return numpy.array(hashes, dtype=numpy.int64)
