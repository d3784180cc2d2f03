"""The rows of a run with what people decided about them: which come next, and what a decision changes."""

import math
import sqlite3
from collections import defaultdict, deque
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Literal

from davidgen_hf.corpus.review import Entry, Log, Reviews, row_key
from davidgen_hf.report.index import Rows
from davidgen_hf.report.review.outcome import state_after
from davidgen_hf.report.review.requests import Decision, Queue, Refusal
from davidgen_hf.report.rows import row_of

MOST_QUEUED = 100  # of one answer; the page asks again
MOST_COUNTED = 10_000
PAUSE_SECONDS = 300  # a longer pause between two decisions is not work
_ORDERS = {
    "random": ("rows.lot", ">", ""),
    "margin": ("rows.margin", ">", "rows.margin IS NOT NULL"),
    "-perplexity": ("rows.perplexity", "<", "rows.perplexity IS NOT NULL"),
    "n": ("rows.n", ">", ""),
}
_STATE = """
    CREATE TABLE decided (n INTEGER PRIMARY KEY, verdict TEXT, has_note INTEGER, disagree INTEGER);
    CREATE TABLE opinions (n INTEGER, reviewer TEXT, PRIMARY KEY (n, reviewer)) WITHOUT ROWID;
"""


class Desk:
    """The rows of a run, its log, and what the log amounts to; several threads may use it.

    Args:
        run: The run's folder, which this process has locked.

    Raises:
        RunFolderError: It is not a run folder, or a shard or the log is damaged.
    """

    def __init__(self, run: Path) -> None:
        self.rows, self.log = Rows(run), Log(run)
        self.reviews = Reviews.of(self.log.entries)
        self._open: dict[str, tuple[str, float]] = {}  # who saw a row last, and when
        self._times: dict[str, deque[datetime]] = defaultdict(lambda: deque(maxlen=100))
        self._lock = Lock()
        self._database = sqlite3.connect("file::memory:", uri=True, check_same_thread=False)
        self._database.execute("ATTACH ? AS stored", (f"{self.rows.path.resolve().as_uri()}?mode=ro",))
        self._database.executescript(_STATE)
        self.without_row = [row for row in self.reviews.rows if not self._put(row)]
        for entry in self.log.entries:
            self._times[entry.reviewer].append(datetime.fromisoformat(entry.time))
        (self.total,) = self._one("SELECT coalesce(max(n) + 1, 0) FROM rows")

    def names(self, column: Literal["strategy", "style"]) -> list[str]:
        """Return the strategies or styles of the run."""
        with self._lock:
            return [name for (name,) in self._database.execute(f"SELECT DISTINCT {column} FROM rows") if name]

    def queue(self, query: Queue) -> dict[str, Any]:
        """Return the numbers of the next rows, how many rows the queue has, and how many of these are reviewed."""
        column, sign, needs = _ORDERS[query.order]
        conditions = {"rows.strategy = ?": query.strategy, "rows.style = ?": query.style}
        given = {condition: value for condition, value in conditions.items() if value}
        values = list(given.values())
        where = " AND ".join([*given, *([needs] if needs else [])]) or "1"
        with self._lock:
            some = f"SELECT 1 FROM rows WHERE {where} LIMIT {MOST_COUNTED + 1}"
            (total,) = self._one(f"SELECT count(*) FROM ({some})", values) if where != "1" else (self.total,)
        if total > MOST_COUNTED:  # walking along the order is faster than sorting; a plus hides the other indexes
            where = " AND ".join([*(f"+{one}" for one in given), *([needs] if needs else [])]) or "1"
        order = f"{column} DESC, rows.n DESC" if sign == "<" else f"{column}, rows.n"
        limit = -1 if query.sample is None else query.sample
        sampled = f"SELECT rows.n FROM rows WHERE {where} ORDER BY {order} LIMIT {limit}"
        within = f"rows.n IN ({sampled})" if query.sample is not None else where
        new = {
            "": "1",
            "unreviewed": "NOT EXISTS (SELECT 1 FROM decided WHERE decided.n = rows.n AND verdict != '')",
            "accepted": "rows.n IN (SELECT n FROM decided WHERE verdict = 'accepted')",
            "rejected": "rows.n IN (SELECT n FROM decided WHERE verdict = 'rejected')",
            "note": "rows.n IN (SELECT n FROM decided WHERE has_note)",
            "disagree": "rows.n IN (SELECT n FROM decided WHERE disagree)",
            "not_mine": "NOT EXISTS (SELECT 1 FROM opinions WHERE opinions.n = rows.n AND reviewer = ?)",
        }[query.only]
        later, begin = "1", []
        if query.after >= 0:
            later = f"({column}, rows.n) {sign} (SELECT {column}, rows.n FROM rows WHERE rows.n = ?)"
            begin = [query.after]
        mine = [query.reviewer] if query.only == "not_mine" else []
        with self._lock:
            found = self._database.execute(
                f"SELECT rows.n FROM rows WHERE {within} AND {new} AND {later} ORDER BY {order} LIMIT {MOST_QUEUED}",
                [*values, *mine, *begin],
            ).fetchall()
            joined = f"SELECT count(*) FROM decided CROSS JOIN rows USING (n) WHERE verdict != '' AND {within}"
            (reviewed,) = self._one(joined, values)
        more = where != "1" and query.sample is None and total > MOST_COUNTED
        total = min(total, query.sample or total)
        return {"rows": [n for (n,) in found], "total": total, "more": more, "reviewed": reviewed}

    def row(self, n: int, reviewer: str) -> dict[str, Any]:
        """Return a row as the page shows it to a reviewer.

        What others said of a row is not shown to those who have yet to judge it; what they made of its instruction is.
        A row is ``busy`` if another reviewer has it on the screen, or has had it in the last minutes.

        Raises:
            Refusal: The row does not exist.
        """
        with self._lock:
            return self._row(n, reviewer)

    def decide(self, decision: Decision) -> dict[str, Any]:
        """Carry out a decision, and return the row as it is then, once the log is on the disk.

        Raises:
            Refusal: The row is not there, or someone else has changed it, or it has no such candidate.
            RunFolderError: The log cannot be written.
        """
        with self._lock:
            if known := self.reviews.ids.get(decision.id):
                if (known.reviewer, known.action) != (decision.reviewer, decision.action):
                    raise Refusal(409, "This id belongs to another decision. Each needs its own. Reload the page.")
                return self._shown(known.row, decision.reviewer)
            entry = self._entry(decision)
            self.log.append(entry)
            self.reviews.add(entry)
            self._times[entry.reviewer].append(datetime.fromisoformat(entry.time))
            self._put(entry.row)
            return self._shown(entry.row, decision.reviewer)

    def progress(self, reviewer: str) -> dict[str, Any]:
        """Return how far the review is: rows by result, rows per hour of a reviewer, and how far reviewers agree."""
        with self._lock:
            shared, agreed, kappa = self.reviews.agreement()
            times = list(self._times.get(reviewer, ()))
            (mine,) = self._one("SELECT count(*) FROM opinions WHERE reviewer = ?", [reviewer])
            counts = dict(self.reviews.counts())
        worked = sum(min((later - earlier).total_seconds(), PAUSE_SECONDS) for earlier, later in pairwise(times))
        per_hour = round((len(times) - 1) / worked * 3600) if worked else None
        agreement = {"shared": shared, "agreed": agreed, "kappa": None if kappa is None else round(kappa, 3)}
        return counts | {"rows": self.total, "mine": mine, "per_hour": per_hour} | agreement

    def close(self) -> None:
        """Close the log and the index."""
        self.log.close()
        self._database.close()

    def _entry(self, decision: Decision) -> Entry:
        undone = None
        if decision.action == "undo":
            undone = self.reviews.last_of(decision.reviewer)
            if undone is None:
                raise Refusal(409, "There is nothing to undo. You have made no decision that still counts.")
        key = undone.row if undone else decision.row
        places = self._places(key)
        if not places:
            raise Refusal(404, "There is no such row. The run may have been built again. Reload the page.")
        stored, before = self.rows.stored(*places[0][1:]), self.reviews.state(key)
        if undone:
            after = undone.before
            is_newer = self.reviews.rows[key][-1].id != undone.id
        else:
            after = state_after(decision, before, stored, self.rows.select)
            is_newer = before.version != decision.version
        if is_newer:
            raise Refusal(
                409,
                "Another reviewer has changed this row since you saw it, and nothing was changed now. This is the row "
                "as it is. Decide again if you still want to.",
                self._row(places[0][0], decision.reviewer),
            )
        return Entry(
            id=decision.id,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            reviewer=decision.reviewer,
            row=key,
            source=stored["source"],
            record=stored["id"],
            strategy=stored["strategy"],
            action=decision.action,
            before=before,
            after=after,
            undoes=undone.id if undone else None,
        )

    def _shown(self, key: str, reviewer: str) -> dict[str, Any]:
        places = self._places(key)
        if not places:
            raise Refusal(404, "There is no such row any more. The run was built again. Reload the page.")
        return self._row(places[0][0], reviewer)

    def _row(self, n: int, reviewer: str) -> dict[str, Any]:
        found = self._one("SELECT shard, place FROM rows WHERE n = ?", [n])
        if not found:
            raise Refusal(404, f"There is no row {n}. The run has {self.total} rows. Reload the page.")
        stored, select = self.rows.stored(*found), self.rows.select
        key = row_key(stored)
        state, opinions = self.reviews.state(key), self.reviews.opinions(key)
        mine = opinions.pop(reviewer, None)
        holder, since = self._open.get(key, ("", -math.inf))
        busy = holder != reviewer and monotonic() - since < PAUSE_SECONDS
        if not busy:
            self._open[key] = (reviewer, monotonic())
        hidden = {} if mine or not opinions else {"verdict": None, "reason": None, "note": None}
        shown = row_of(n, [one for one, _ in select.kept(stored)], select.rank(stored), stored)
        seen = {"mine": mine, "others": len(opinions), "busy": busy}
        return shown | {"key": key, "state": state.model_dump() | hidden} | seen

    def _places(self, key: str) -> list[tuple[int, int, int]]:
        return self._database.execute("SELECT n, shard, place FROM rows WHERE key = ? ORDER BY n", [key]).fetchall()

    def _put(self, key: str) -> bool:
        """Bring the tables up to the decisions about a row, and return whether the run has that row."""
        numbers = [(n,) for n, *_ in self._places(key)]
        self._database.executemany("DELETE FROM decided WHERE n = ?", numbers)
        self._database.executemany("DELETE FROM opinions WHERE n = ?", numbers)
        state, opinions = self.reviews.state(key), self.reviews.opinions(key)
        if key in self.reviews.rows:
            values = (state.verdict or "", bool(state.note), len(set(opinions.values())) > 1)
            self._database.executemany("INSERT INTO decided VALUES (?, ?, ?, ?)", [(n, *values) for (n,) in numbers])
        self._database.executemany(
            "INSERT INTO opinions VALUES (?, ?)", [(n, reviewer) for (n,) in numbers for reviewer in opinions]
        )
        return bool(numbers)

    def _one(self, query: str, values: list[Any] | tuple[()] = ()) -> Any:
        with closing(self._database.execute(query, values)) as found:
            return found.fetchone()
