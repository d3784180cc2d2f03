"""What the decisions of a log amount to: the state of each row, and how far reviewers agree."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from pathlib import Path

from davidgen_hf.corpus.review.log import Entry, RowState, log_path, read_log

UNDECIDED = RowState()


@dataclass
class Reviews:
    """The decisions of a log that were not undone.

    Args:
        ids: Ids of all decisions, those that were undone and those that undid too.
        rows: The decisions about each row in their order, by ``row_key``; a row whose decisions were all undone is
            left out.
        undone: Ids of the decisions that were undone.
        totals: Sums over all rows of ``_tally``, kept up to date, since the page shows them after each decision.
    """

    ids: dict[str, Entry] = field(default_factory=dict)
    rows: dict[str, list[Entry]] = field(default_factory=dict)
    undone: set[str | None] = field(default_factory=set)
    totals: Counter[tuple[str, ...]] = field(default_factory=Counter)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Reviews":
        """Return what the decisions of a log amount to."""
        found = cls()
        for entry in entries:
            found.add(entry)
        return found

    def add(self, entry: Entry) -> None:
        """Take in the next decision; one whose id is known counts once."""
        if entry.id in self.ids:
            return
        self.ids[entry.id] = entry
        self.totals.subtract(self._tally(entry.row))
        if entry.action == "undo":
            self.undone.add(entry.undoes)
            left = [one for one in self.rows.get(entry.row, ()) if one.id != entry.undoes]
            self.rows[entry.row] = left
            if not left:
                del self.rows[entry.row]
        else:
            self.rows.setdefault(entry.row, []).append(entry)
        self.totals.update(self._tally(entry.row))

    def state(self, row: str) -> RowState:
        """Return the state of a row: that after the last decision about it."""
        return self.rows[row][-1].after if row in self.rows else UNDECIDED

    def opinions(self, row: str) -> dict[str, str]:
        """Return what each reviewer last said of a row: ``accepted`` or ``rejected``, by reviewer."""
        return {
            one.reviewer: one.after.verdict
            for one in self.rows.get(row, ())
            if one.action != "note" and one.after.verdict
        }

    def last_of(self, reviewer: str) -> Entry | None:
        """Return the last decision of a reviewer that was not undone."""
        mine = (one for one in reversed(self.ids.values()) if one.reviewer == reviewer and one.action != "undo")
        return next((one for one in mine if one.id not in self.undone), None)

    def verdicts(self) -> Iterator[tuple[str, RowState]]:
        """Yield the rows that were accepted or rejected, with their state."""
        for row in self.rows:
            state = self.state(row)
            if state.verdict:
                yield row, state

    def counts(self) -> Counter[str]:
        """Return how many rows were reviewed, by how many people, and with which result."""
        names = ("reviewed", "accepted", "rejected", "edited", "promoted", "disagreed")
        people = sum(bool(number) for (what, *_), number in self.totals.items() if what == "person")
        return Counter({"people": people} | {name: self.totals[name,] for name in names})

    def reasons(self) -> Counter[str]:
        """Return how many rows were rejected for each reason; empty for those without one."""
        return Counter(state.reason or "" for _, state in self.verdicts() if state.verdict == "rejected")

    def agreement(self) -> tuple[int, int, float | None]:
        """Return how far reviewers agree.

        Returns:
            Pairs of reviewers and rows that both of them saw; those of them where both said the same; and Cohen's
            kappa over all of these pairs, None where it is not defined.
        """
        table = {(pair[0], pair[1]): number for (what, *pair), number in self.totals.items() if what == "pair"}
        total, agreed = sum(table.values()), sum(number for (one, other), number in table.items() if one == other)
        if not total:
            return 0, 0, None
        sides: dict[str, Counter[str]] = defaultdict(Counter)
        for (one, other), number in table.items():
            sides["first"][one] += number
            sides["second"][other] += number
        chance = sum(sides["first"][one] * sides["second"][one] for one in ("accepted", "rejected")) / total**2
        return total, agreed, None if chance == 1 else (agreed / total - chance) / (1 - chance)

    def _tally(self, row: str) -> Counter[tuple[str, ...]]:
        """Return what the decisions about a row add to the totals."""
        state, opinions = self.state(row), self.opinions(row)
        found: Counter[tuple[str, ...]] = Counter()
        found.update({("person", one.reviewer): 1 for one in self.rows.get(row, ())})
        if state.verdict:
            found["reviewed",] = found[state.verdict,] = 1
        if state.verdict == "accepted":
            found["edited",] = int(state.instruction is not None)
            found["promoted",] = int(state.candidate is not None)
        found["disagreed",] = int(len(set(opinions.values())) > 1)
        for first, second in combinations(sorted(opinions), 2):
            found["pair", opinions[first], opinions[second]] += 1
        return found


def read_reviews(run: Path) -> Reviews:
    """Return the decisions about the rows of a run; none if nobody has reviewed it.

    Raises:
        RunFolderError: The log is damaged.
    """
    path = log_path(run)
    try:
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Reviews()
    return _read(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, size: int, changed: int) -> Reviews:
    """Read a log once for each of its states; callers do not change what is returned."""
    return Reviews.of(read_log(path))
