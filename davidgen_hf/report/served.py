"""The page of a run of any size: rows are found in an index and read from their shards a page at a time."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unicodedata import combining, normalize
from urllib.parse import parse_qsl, urlsplit

import pyarrow.parquet
from tqdm.auto import tqdm

from davidgen_hf.errors import DavidgenError, SettingError
from davidgen_hf.processors.select import SelectInstruction
from davidgen_hf.report.facts import COLUMNS, ranked_rows, read_facts
from davidgen_hf.report.page import render
from davidgen_hf.report.rows import row_of, search_text
from davidgen_hf.sources.words import is_unspaced, word_runs
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import read_note, shard_paths

INDEX = "report.index"
INDEX_VERSION = 2  # raise it when an index holds something else for the same rows
PAGE_ROWS = 25
# Rows beyond so many are not counted: to count all would take longer than to show a page.
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
                       perplexity REAL, margin REAL, reasons TEXT);
    CREATE VIRTUAL TABLE words
        USING fts5 (text, content='', detail=none, tokenize="ascii tokenchars '_'", prefix='2 3');
"""
_INDEXES = """
    CREATE INDEX by_perplexity ON rows (perplexity, n);
    CREATE INDEX by_margin ON rows (margin, n);
    CREATE INDEX by_strategy ON rows (strategy, n);
    CREATE INDEX by_kept ON rows (kept, n);
    CREATE TABLE made_of (state TEXT);
"""


@dataclass(frozen=True)
class Asked:
    """What the page asks for; the fields are those of its form.

    Raises:
        SettingError: A value is of the wrong kind.
    """

    search: str = ""
    strategy: str = ""
    reason: str = ""
    kept: str = ""
    margin: str = ""
    perplexity: str = ""
    sort: str = "n"
    page: str = "0"

    def __post_init__(self) -> None:
        try:
            for number in (self.margin, self.perplexity, self.kept, self.page):
                float(number or 0)
        except ValueError as error:
            raise SettingError(f"margin, perplexity, kept and page are numbers, got {self}.") from error
        if self.sort not in SORTS:
            raise SettingError(f"sort is one of {list(SORTS)}, got {self.sort!r}.")

    def where(self) -> tuple[str, str, list]:
        """Return the tables, the condition and its values."""
        words = " ".join(f'"{term}"*' for term in search_terms(self.search))
        conditions = {
            "words MATCH ?": words,
            "strategy = ?": self.strategy,
            "instr(reasons, ?)": self.reason and f" {self.reason} ",
            "kept = ?": self.kept and int(self.kept),
            "margin >= ?": self.margin and float(self.margin),
            "perplexity <= ?": self.perplexity and float(self.perplexity),
        }
        asked = {condition: value for condition, value in conditions.items() if value != ""}
        tables = "words JOIN rows ON rows.n = words.rowid" if words else "rows"
        return tables, " AND ".join(asked) or "1", list(asked.values())

    def order(self) -> str:
        """Return what to sort by: found words come in the order of the rows without being sorted."""
        return "words.rowid" if self.sort == "n" and search_terms(self.search) else SORTS[self.sort]


class Rows:
    """The rows of a run, through an index that is made once and lies in the run's folder.

    Args:
        run: The run's folder.

    Raises:
        RunFolderError: It is no run's folder, or a shard is damaged.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.record = run, read_record(run)
        self.select = SelectInstruction(**(self.record["recipe"].get("corpus", {}).get("select") or {}))
        self.path = run / INDEX
        self._index()
        self.read_shard = lru_cache(maxsize=8)(self._read_shard)

    def find(self, asked: Asked) -> dict:
        """Return the rows of one page, and how many there are, as the page's script takes them."""
        tables, condition, values = asked.where()
        if not values:
            total = self.count()
        with self._connect() as database:
            if values:
                some = f"SELECT 1 FROM {tables} WHERE {condition} LIMIT {MOST_COUNTED + 1}"
                (total,) = database.execute(f"SELECT count(*) FROM ({some})", values).fetchone()
            chosen = (
                f"SELECT rows.n, shard, place, kept FROM {tables} WHERE {condition} "
                f"ORDER BY {asked.order()} LIMIT {PAGE_ROWS} OFFSET {int(asked.page) * PAGE_ROWS}"
            )
            places = database.execute(chosen, values).fetchall()
        more = bool(values) and total > MOST_COUNTED
        return {"total": min(total, MOST_COUNTED) if more else total, "more": more, "rows": list(self._rows(places))}

    def count(self) -> int:
        """Return the number of rows."""
        with self._connect() as database:
            return database.execute("SELECT max(n) + 1 FROM rows").fetchone()[0] or 0

    def _rows(self, places: list[tuple]) -> Iterator[dict]:
        for n, shard, place, kept in places:
            row = self.read_shard(shard).slice(place, 1).to_pylist()[0]
            yield row_of(n, bool(kept), [one for _, one in self.select.rank(row)], row)

    def _read_shard(self, number: int) -> pyarrow.Table:
        return pyarrow.parquet.read_table(shard_paths(self.run / "scored")[number], columns=list(COLUMNS))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)

    def _index(self) -> None:
        """Make the index, unless it is there and of the shards and the selection that there are now."""
        shards = shard_paths(self.run / "scored")
        state = json.dumps([INDEX_VERSION, str(self.select), [read_note(path).identity for path in shards]])
        if self.path.is_file():
            with self._connect() as database:
                if database.execute("SELECT state FROM made_of").fetchone() == (state,):
                    return
        draft = self.path.with_suffix(".part")
        draft.unlink(missing_ok=True)
        lengths = [pyarrow.parquet.read_metadata(path).num_rows for path in shards]
        with sqlite3.connect(draft) as database:
            database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_TABLES}")
            places = ((shard, place) for shard, length in enumerate(lengths) for place in range(length))
            rows = tqdm(ranked_rows(self.run, self.record), total=sum(lengths), desc="index", unit=" rows")
            for number, ((kept, ranked, row), at) in enumerate(zip(rows, places, strict=True)):
                made = row_of(number, kept, ranked, row)
                reasons = f" {' '.join(made['reasons'])} "
                values = (number, *at, made["strategy"], kept, made["perplexity"], made["margin"], reasons)
                database.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
                database.execute(
                    "INSERT INTO words (rowid, text) VALUES (?, ?)",
                    (number, " ".join(search_terms(search_text(made)))),
                )
            database.executescript(_INDEXES)
            database.execute("INSERT INTO made_of VALUES (?)", (state,))
        database.close()
        draft.replace(self.path)


def serve_report(run: Path, port: int = 8321) -> ThreadingHTTPServer:
    """Return a server of the page on this machine's own address; ``serve_forever`` starts it.

    Args:
        run: The run's folder.
        port: 0 takes a free one.

    Raises:
        RunFolderError: It is no run's folder, or a file of it is damaged.
        SettingError: The port is taken.
    """
    page = render(run, read_facts(run)).encode()
    handler = type("Handler", (_Handler,), {"rows": Rows(run), "page": page})
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise SettingError(
            f"Port {port} is taken ({error.strerror}). Name another with --port, or 0 for any."
        ) from error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rows: Rows
    page: bytes

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        # A page of another origin that gets a name of its own for this address must not read what is here.
        if self.headers.get("Host", "").rpartition(":")[0] not in ("127.0.0.1", "localhost"):
            self._answer(403, "text/plain", b"ask 127.0.0.1")
        elif asked.path == "/":
            self._answer(200, "text/html", self.page)
        elif asked.path == "/rows":
            self._find(dict(parse_qsl(asked.query)))
        else:
            self._answer(404, "text/plain", b"there is / and /rows")

    def _find(self, given: dict[str, str]) -> None:
        try:
            found = self.rows.find(Asked(**given))
        except (DavidgenError, TypeError, ValueError, sqlite3.Error) as error:
            self._answer(400, "text/plain", str(error).encode())
            return
        self._answer(200, "application/json", json.dumps(found).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def search_terms(text: str) -> list[str]:
    """Return what the index holds of a text, and what a search of it looks for: words without case or accents.

    In scripts without spaces these are pairs of neighboring characters, so that a search finds a word inside a clause
    however the clause is cut into words. The index also finds what a term starts with, and so single characters.
    """
    terms: list[str] = []
    for run in word_runs(text):
        plain = "".join(one for one in normalize("NFD", run) if not combining(one))
        terms += [plain[place : place + 2] for place in range(len(plain))] if is_unspaced(plain) else [plain]
    return terms
