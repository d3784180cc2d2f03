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
    """

    ids: dict[str, Entry] = field(default_factory=dict)
    rows: dict[str, list[Entry]] = field(default_factory=dict)
    undone: set[str | None] = field(default_factory=set)

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
        if entry.action == "undo":
            self.undone.add(entry.undoes)
            left = [one for one in self.rows.get(entry.row, ()) if one.id != entry.undoes]
            self.rows[entry.row] = left
            if not left:
                del self.rows[entry.row]
        else:
            self.rows.setdefault(entry.row, []).append(entry)

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
        found = Counter(reviewed=0, people=len({one.reviewer for rows in self.rows.values() for one in rows}))
        for _, state in self.verdicts():
            found["reviewed"] += 1
            found[state.verdict or ""] += 1
            if state.verdict == "accepted":
                found["edited"] += state.instruction is not None
                found["promoted"] += state.candidate is not None
        found["disagreed"] = sum(len(set(self.opinions(row).values())) > 1 for row in self.rows)
        return found

    def reasons(self) -> Counter[str]:
        """Return how many rows were rejected for each reason; empty for those without one."""
        return Counter(state.reason or "" for _, state in self.verdicts() if state.verdict == "rejected")

    def agreement(self) -> tuple[int, int, float | None]:
        """Return how far reviewers agree.

        Returns:
            Pairs of reviewers and rows that both of them saw; those of them where both said the same; and Cohen's
            kappa over all of these pairs, None where it is not defined.
        """
        table: Counter[tuple[str, str]] = Counter()
        for row in self.rows:
            opinions = self.opinions(row)
            for first, second in combinations(sorted(opinions), 2):
                table[opinions[first], opinions[second]] += 1
        total, agreed = table.total(), sum(number for (one, other), number in table.items() if one == other)
        if not total:
            return 0, 0, None
        sides: dict[str, Counter[str]] = defaultdict(Counter)
        for (one, other), number in table.items():
            sides["first"][one] += number
            sides["second"][other] += number
        chance = sum(sides["first"][one] * sides["second"][one] for one in ("accepted", "rejected")) / total**2
        return total, agreed, None if chance == 1 else (agreed / total - chance) / (1 - chance)


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
