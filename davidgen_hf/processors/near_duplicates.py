"""Near-duplicates across a whole corpus, in memory that hardly grows with it.

MinHash signatures (Broder 1997) are cut into bands; texts that share a band are compared by the Jaccard index of their
shingles. Texts and keys are on disk; in memory are the keys of one band and a flag per text.
"""

import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy

from davidgen_hf.errors import RunFolderError, SettingError
from davidgen_hf.processors.base import Batch
from davidgen_hf.processors.counting import count_candidates
from davidgen_hf.processors.guard import candidate_text
from davidgen_hf.schema import CANDIDATES
from davidgen_hf.sources.words import words
from davidgen_hf.storage.progress import Bar, counted
from davidgen_hf.storage.settings import check_settings

# 12 bands of 7 values bring two texts together in 65 % of cases at a Jaccard index of 0.7, 94 % at 0.8, 99.9 % at 0.9,
# and in one of 800,000 at 0.1, the index of unrelated texts.
BANDS, BAND_VALUES = 12, 7
KEY_COLUMNS = [f"key{band}" for band in range(BANDS)]
CHUNK_TEXTS = 4096
FILE_NAME = "near_duplicates.part"


@dataclass(frozen=True)
class NearDuplicates:
    """Find texts that nearly repeat an earlier one of another passage. Our own rule.

    Texts are compared by their words without case and punctuation, as sets of runs of characters. The defaults always
    find a text that differs in case and punctuation only, usually one with a word more or less, and one with another
    word only if it is long: a short question with another word is another question (benchmarks/README.md has figures).

    Args:
        threshold: Jaccard index of two texts from which the later one is a near-duplicate, above 0.0 up to 1.0.
        shingle_chars: Length of the runs, in characters.

    Raises:
        SettingError: A setting is out of range.
    """

    reads: ClassVar[tuple[str, ...]] = ("source", "id", "text", "strategy", "candidates")
    writes: ClassVar = CANDIDATES

    threshold: float = 0.8
    shingle_chars: int = 3
    version: int = 2

    def __post_init__(self) -> None:
        check_settings(self)
        if not 0 < self.threshold <= 1 or self.shingle_chars < 1:
            raise SettingError(
                f"threshold must be in (0, 1] and shingle_chars at least 1, got {self.threshold} and "
                f"{self.shingle_chars}."
            )

    def find(self, texts: Iterable[tuple[str, str]], workspace: Path) -> numpy.ndarray:
        """Return whether each text is a near-duplicate; the first of several never is.

        Args:
            texts: Id of the passage, and text. Texts of the same passage are not compared.
            workspace: Folder for a temporary file of about 100 bytes per text plus the texts themselves.

        Returns:
            ``(n,)`` bool: the same for the same texts in the same order.

        Raises:
            RunFolderError: The file cannot be written.
        """
        path = workspace / FILE_NAME
        try:
            workspace.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # of a call that was killed
            with closing(sqlite3.connect(path)) as store:
                repeated = numpy.zeros(self._fill(store, texts), dtype=bool)
                for column in counted(KEY_COLUMNS, Bar("near-duplicates", "bands", len(KEY_COLUMNS))):
                    for group in _groups(_keys(store, column, len(repeated)), ~repeated):
                        self._mark(group.tolist(), store, repeated)
        except (OSError, sqlite3.Error) as error:
            raise RunFolderError(
                f"{path} cannot be written: {error}. Finished steps are safe. Make room or allow writing, and run the "
                "same command again; `near_duplicates: none` skips the comparison."
            ) from error
        finally:
            with suppress(OSError):
                path.unlink()
        return repeated

    def over_corpus(self, shards: Iterable[Batch], workspace: Path) -> Iterator[Batch]:
        """Yield the candidates of each shard; those that repeat one of an earlier passage are rejected.

        Raises:
            RunFolderError: As ``find``.
        """
        texts = (
            (passage, candidate_text(one))
            for number, columns in enumerate(shards)
            for passage, many in zip(_passages(number, columns), columns["candidates"], strict=True)
            for one in many
            if one["reject_reason"] is None
        )
        repeated = iter(self.find(texts, workspace).tolist())
        for columns in shards:
            for one in (one for many in columns["candidates"] for one in many if one["reject_reason"] is None):
                if next(repeated):
                    one["reject_reason"] = "near_duplicate"
            yield {"candidates": columns["candidates"]}

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of candidates, accepted ones, and rejected ones by reason."""
        return count_candidates(made)

    def similarity(self, one: str, other: str) -> float:
        """Return the Jaccard index of two texts, 0.0 to 1.0."""
        return _jaccard(self._shingles(one), self._shingles(other))

    def repeats(self, one: str, other: str) -> bool:
        """Return whether two texts nearly repeat each other."""
        return self.similarity(one, other) >= self.threshold

    def _fill(self, store: sqlite3.Connection, texts: Iterable[tuple[str, str]]) -> int:
        """Store texts and their keys; return how many there are."""
        from datasketch import MinHash  # takes long to import, and a recipe only names this step

        columns = ("passage", "text", *KEY_COLUMNS)
        store.execute("PRAGMA journal_mode = OFF")
        store.execute(f"CREATE TABLE texts (place INTEGER PRIMARY KEY, {', '.join(columns)})")
        insert = f"INSERT INTO texts ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        pairs = counted(texts, Bar("near-duplicates", "candidates"))
        while chunk := list(islice(pairs, CHUNK_TEXTS)):
            signatures = MinHash.generator(
                ([shingle.encode() for shingle in self._shingles(text)] for _, text in chunk),
                num_perm=BANDS * BAND_VALUES,
                seed=1,
                hashfunc=zlib.crc32,
            )
            bands = (one.hashvalues.reshape(BANDS, BAND_VALUES) for one in signatures)
            keys = ([zlib.crc32(values.tobytes()) for values in one] for one in bands)  # 32 bits per band
            store.executemany(insert, [(*pair, *own) for pair, own in zip(chunk, keys, strict=True)])
        return int(store.execute("SELECT count(*) FROM texts").fetchone()[0])

    def _mark(self, group: list[int], store: sqlite3.Connection, repeated: numpy.ndarray) -> None:
        """Mark the texts of a group that repeat an earlier one; ``group`` holds their places, in order."""
        kept: list[tuple[str, frozenset[str]]] = []
        for place in group:
            read = store.execute("SELECT passage, text FROM texts WHERE place = ?", (place + 1,))
            passage, text = read.fetchone()
            shingles = self._shingles(text)
            if any(other != passage and _jaccard(shingles, known) >= self.threshold for other, known in kept):
                repeated[place] = True
            else:
                kept.append((passage, shingles))

    def _shingles(self, text: str) -> frozenset[str]:
        plain = " ".join(words(text))
        starts = range(max(1, len(plain) - self.shingle_chars + 1))
        return frozenset(plain[start : start + self.shingle_chars] for start in starts)


def _passages(shard: int, columns: Batch) -> Iterator[str]:
    """Yield of each row what tells its passage from all others, even from those that have the same id.

    A passage is in one shard, and has one row for each strategy there.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    for row in zip(*(columns[name] for name in ("source", "id", "text", "strategy")), strict=True):
        source, identity, text, _ = row
        yield f"{shard} {seen[row]} {zlib.crc32(text.encode())} {source} {identity}"
        seen[row] += 1


def _keys(store: sqlite3.Connection, column: str, count: int) -> numpy.ndarray:
    rows = store.execute(f"SELECT {column} FROM texts ORDER BY place")
    return numpy.fromiter((key for (key,) in rows), dtype=numpy.uint32, count=count)


def _groups(keys: numpy.ndarray, selected: numpy.ndarray) -> Iterator[numpy.ndarray]:
    """Yield, for each key that several of the selected texts have, their places in order."""
    places = numpy.flatnonzero(selected)
    order = numpy.argsort(keys[places], kind="stable")
    places, keys = places[order], keys[places[order]]
    ends = numpy.flatnonzero(numpy.append(keys[1:] != keys[:-1], True)) + 1  # after each key's last place
    starts = numpy.concatenate(([0], ends[:-1]))
    several = ends - starts > 1
    for start, end in zip(starts[several], ends[several], strict=True):
        yield places[start:end]


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
