"""Rows of a run of any size: found in an index, and read from their shards a page at a time."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Annotated, Any, Literal
from unicodedata import combining, normalize

import pyarrow
from pydantic import BaseModel, ConfigDict, Field

from davidgen_hf.corpus.facts import COLUMNS, ranked_rows
from davidgen_hf.corpus.review import row_key
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import draw
from davidgen_hf.recipe import ranked_stage, selection_of, target_of
from davidgen_hf.report.rows import row_of, search_text
from davidgen_hf.sources.words import is_unspaced, word_runs
from davidgen_hf.storage.files import replacing
from davidgen_hf.storage.progress import Bar, counted
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import read_columns, read_metadata, read_table, shard_paths
from davidgen_hf.storage.validation import validate

INDEX = "report.index"
INDEX_VERSION = 4  # raise it when an index holds something else for the same rows
PAGE_ROWS = 25
# More rows than this are not counted: counting them all would take longer than showing a page.
MOST_COUNTED = 10_000
SORTS = {
    "n": "rows.n",
    "perplexity": "perplexity IS NULL, perplexity, n",
    "-perplexity": "perplexity DESC, n",
    "margin": "margin IS NULL, margin, n",
    "-margin": "margin DESC, n",
}
_TABLES = """
    CREATE TABLE rows (n INTEGER PRIMARY KEY, shard INTEGER, place INTEGER, strategy TEXT, kept INTEGER,
                       perplexity REAL, margin REAL, reasons TEXT,
                       style TEXT, key TEXT, lot INTEGER);
    CREATE VIRTUAL TABLE words
        USING fts5 (text, content='', detail=none, tokenize="ascii tokenchars '_'", prefix='2 3');
"""
_INDEXES = """
    CREATE INDEX by_perplexity ON rows (perplexity, n);
    CREATE INDEX by_margin ON rows (margin, n);
    CREATE INDEX by_strategy ON rows (strategy, n);
    CREATE INDEX by_kept ON rows (kept > 0, n);
    CREATE INDEX by_style ON rows (style, n);
    CREATE INDEX by_key ON rows (key);
    CREATE INDEX by_lot ON rows (lot, n);
    CREATE TABLE made_of (state TEXT);
"""
Words = Annotated[str, Field(max_length=1000)]
Limit = Annotated[float | None, Field(allow_inf_nan=False)]


class RowQuery(BaseModel):
    """Which rows to show; the fields are those of the page's form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: Words = ""
    strategy: Words = ""
    reason: Words = ""
    kept: Literal["", "0", "1"] = ""
    margin: Limit = None
    perplexity: Limit = None
    sort: Literal["n", "perplexity", "-perplexity", "margin", "-margin"] = "n"
    page: int = Field(0, ge=0, le=10**9)

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> "RowQuery":
        """Read the fields of a query string.

        Raises:
            SettingError: A field is unknown, of the wrong type or out of its range.
        """
        advice = f"The fields are {', '.join(cls.model_fields)}. Correct the address, or open the page without them."
        return validate(cls, dict(fields), "The query", advice, error=SettingError)

    def where(self) -> tuple[str, str, list[Any]]:
        """Return the tables, the condition and its values."""
        words = " ".join(f'"{term}"*' for term in search_terms(self.search))
        conditions = {
            "words MATCH ?": words or None,
            "strategy = ?": self.strategy or None,
            "instr(reasons, ?)": f" {self.reason} " if self.reason else None,
            "(kept > 0) = ?": int(self.kept) if self.kept else None,
            "margin >= ?": self.margin,
            "perplexity <= ?": self.perplexity,
        }
        given = {condition: value for condition, value in conditions.items() if value is not None}
        tables = "words JOIN rows ON rows.n = words.rowid" if words else "rows"
        return tables, " AND ".join(given) or "1", list(given.values())

    def order(self) -> str:
        """Return what to sort by: found words come in the order of the rows without being sorted."""
        return "words.rowid" if self.sort == "n" and search_terms(self.search) else SORTS[self.sort]


class Rows:
    """The rows of a run, through an index that is built once and stored in the run's folder.

    If that folder cannot be written to, the index is a temporary file of this process.

    Args:
        run: The run's folder.

    Raises:
        RunFolderError: It is not a run folder, or a shard is damaged.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.record = run, read_record(run)
        self.select, self.folder = selection_of(self.record), run / ranked_stage(self.record)
        self._temporary = None if os.access(run, os.W_OK) else TemporaryDirectory(prefix="davidgen_")
        self.path = (Path(self._temporary.name) if self._temporary else run) / INDEX
        self._index()
        self._lock, self._read = Lock(), lru_cache(maxsize=8)(self._read_shard)

    def find(self, query: RowQuery) -> dict[str, Any]:
        """Return the rows of one page, and how many there are, as the page's script reads them."""
        tables, condition, values = query.where()
        with closing(self._connect()) as database:
            if values:
                some = f"SELECT 1 FROM {tables} WHERE {condition} LIMIT {MOST_COUNTED + 1}"
                (total,) = database.execute(f"SELECT count(*) FROM ({some})", values).fetchone()
            else:
                total = database.execute("SELECT max(n) + 1 FROM rows").fetchone()[0] or 0
            chosen = (
                f"SELECT rows.n, shard, place, kept FROM {tables} WHERE {condition} "
                f"ORDER BY {query.order()} LIMIT {PAGE_ROWS} OFFSET {query.page * PAGE_ROWS}"
            )
            places = database.execute(chosen, values).fetchall()
        more = bool(values) and total > MOST_COUNTED
        return {"total": min(total, MOST_COUNTED) if more else total, "more": more, "rows": list(self._rows(places))}

    def stored(self, shard: int, place: int) -> dict[str, Any]:
        """Return a row as its shard has it.

        Raises:
            RunFolderError: The shard is damaged.
        """
        with self._lock:  # so that several requests read a shard once
            table = self._read(shard)
        row: dict[str, Any] = table.slice(place, 1).to_pylist()[0]
        return row

    def _rows(self, places: list[tuple[int, int, int, int]]) -> Iterator[dict[str, Any]]:
        for n, shard, place, kept in places:
            row = self.stored(shard, place)
            pairs = [one for one, _ in self.select.kept(row)][:kept]
            yield row_of(n, pairs, self.select.rank(row), row)

    def _read_shard(self, number: int) -> pyarrow.Table:
        return read_columns(shard_paths(self.folder)[number], (*COLUMNS, *self.select.needs))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)

    def _index(self) -> None:
        """Build the index, unless there is one of the current shards and selection."""
        shards = shard_paths(self.folder)
        settings = [str(self.select), target_of(self.record)]
        state = json.dumps([INDEX_VERSION, *settings, [read_metadata(path).identity for path in shards]])
        if self._has_index(state):
            return
        lengths = [read_table(path, []).num_rows for path in shards]
        with replacing(self.path) as draft, closing(sqlite3.connect(draft)) as database, database:
            database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_TABLES}")
            places = ((shard, place) for shard, length in enumerate(lengths) for place in range(length))
            rows = counted(ranked_rows(self.run, self.record), Bar("index", "rows", sum(lengths)))
            for number, ((kept, ranked, row), at) in enumerate(zip(rows, places, strict=True)):
                shown = row_of(number, kept, ranked, row)
                reasons = f" {' '.join(shown['reasons'])} "
                values = [number, *at, shown["strategy"], len(kept), shown["perplexity"], shown["margin"], reasons]
                style = ranked[0][1]["style"] if ranked else None
                values += [style, row_key(row), draw(2**32, number)]  # the lot orders random samples
                database.execute(f"INSERT INTO rows VALUES ({', '.join('?' * len(values))})", values)
                terms = " ".join(search_terms(search_text(shown)))
                database.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (number, terms))
            database.executescript(_INDEXES)
            database.execute("INSERT INTO made_of VALUES (?)", (state,))

    def _has_index(self, state: str) -> bool:
        if not self.path.is_file():
            return False
        try:
            with closing(self._connect()) as database:
                return bool(database.execute("SELECT state FROM made_of").fetchone() == (state,))
        except sqlite3.Error:  # damaged, or of an earlier version
            return False


def search_terms(text: str) -> list[str]:
    """Return what the index holds of a text, and what a search of it looks for: words without case or accents.

    In scripts without spaces these are pairs of neighboring characters, so that a search finds a word inside a clause
    however the clause is cut into words. The index also finds what a term starts with, and so single characters.
    """
    terms: list[str] = []
    for run in word_runs(text):
        if run.isascii():  # most are, and the rest of the loop is most of the time of building an index
            terms.append(run)
            continue
        plain = "".join(one for one in normalize("NFD", run) if not combining(one))
        terms += [plain[place : place + 2] for place in range(len(plain))] if is_unspaced(plain) else [plain]
    return terms
