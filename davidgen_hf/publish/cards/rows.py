"""What the shards of runs hold, counted shard by shard: origins, languages, perplexities, and rows to show."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute

from davidgen_hf.corpus.review import read_pairs
from davidgen_hf.processors.base import draw
from davidgen_hf.sources.code import grammar_of
from davidgen_hf.sources.languages import language_code
from davidgen_hf.storage.shards import shard_paths

SHOWN = 10
_SHOWN = ("instruction", "input", "output", "perplexity")
_ORIGIN = ("source", "config", "revision", "license")


@dataclass
class RowFacts:
    """What is known of the pairs of runs.

    Args:
        origins: Rows by source, configuration, revision and license.
        languages: Rows by language.
        strategies: Rows by strategy of extraction.
        written_by: Rows by the model that wrote their output; those that people wrote are left out.
        samples: Rows drawn by their ids, the same in every call.
        restricted: Rows that are marked as restricted.
    """

    origins: Counter[tuple[str, ...]] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    strategies: Counter[str] = field(default_factory=Counter)
    written_by: Counter[str] = field(default_factory=Counter)
    samples: list[dict[str, Any]] = field(default_factory=list)
    restricted: int = 0

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return self.strategies.total()

    @property
    def iso_languages(self) -> list[str]:
        """Codes of ISO 639 of the languages, as the Hub expects them, and ``code`` for programming languages."""
        codes = ("code" if grammar_of(name or "") else language_code(name or "") for name in self.languages)
        return sorted({code for code in codes if code})


def count_rows(runs: Iterable[Path], *, reviewed: bool = False) -> RowFacts:
    """Count the pairs of runs.

    Args:
        runs: Run folders.
        reviewed: Whether the decisions of reviewers count, as they do in what is published.

    Raises:
        RunFolderError: A shard is damaged.
    """
    facts = RowFacts()
    use = None if reviewed else "ignore"
    drawn: list[tuple[int, Path, int]] = []
    for path in _shards(runs, "corpus"):
        names = [*_ORIGIN, "id", "language", "strategy", "restricted", "output_written_by"]
        rows = read_pairs(path, names, use)
        facts.restricted += pyarrow.compute.sum(rows["restricted"]).as_py() or 0
        facts.origins.update(zip(*(rows[name].to_pylist() for name in _ORIGIN), strict=True))
        facts.languages.update(rows["language"].to_pylist())
        facts.strategies.update(rows["strategy"].to_pylist())
        facts.written_by.update(rows["output_written_by"].drop_null().to_pylist())
        ids = zip(*(rows[name].to_pylist() for name in ("source", "id", "strategy")), strict=True)
        here = ((draw(2**64, *identity), path, number) for number, identity in enumerate(ids))
        drawn = heapq.nsmallest(SHOWN, [*drawn, *here])
    facts.samples = [read_pairs(path, _SHOWN, use).slice(number, 1).to_pylist()[0] for _, path, number in drawn]
    return facts


def _shards(runs: Iterable[Path], stage: str) -> Iterator[Path]:
    return (path for run in runs for path in shard_paths(run / stage))
