"""How often the selection chose what people choose: its accuracy against them, by its lead over the next best."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from davidgen_hf.corpus.facts import ranked_rows
from davidgen_hf.corpus.review.log import Entry, RowState, row_key
from davidgen_hf.corpus.review.state import read_reviews
from davidgen_hf.processors.select import margin
from davidgen_hf.storage.record import read_record

# Upper limits of the margins of each bucket, in nats per token.
BUCKETS = (0.02, 0.05, 0.1, 0.2, math.inf)
Z_95 = 1.959964


@dataclass
class Tally:
    """What people did with rows that left them a choice.

    Args:
        kept: They accepted the candidate that the selection put first.
        promoted: They preferred another candidate.
        edited: They kept the first candidate and rewrote it.
        rejected: They rejected the row.
        by_chance: Sum over ``kept`` and ``promoted`` of one divided by the number of candidates: how often a choice at
            random would have been right.
    """

    kept: int = 0
    promoted: int = 0
    edited: int = 0
    rejected: int = 0
    by_chance: float = 0.0

    def add(self, state: RowState, candidates: int) -> None:
        """Count a row that was accepted or rejected and had this many candidates to choose from."""
        if state.verdict == "rejected":
            self.rejected += 1
        elif state.candidate is None and state.instruction is not None:
            self.edited += 1
        else:
            self.kept += state.candidate is None
            self.promoted += state.candidate is not None
            self.by_chance += 1 / candidates

    @property
    def judged(self) -> int:
        """Rows for which a person chose among the candidates."""
        return self.kept + self.promoted

    @property
    def accuracy(self) -> float | None:
        """Share of the judged rows on which the selection was right; None without any."""
        return self.kept / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of ``accuracy`` at 95%."""
        return wilson(self.kept, self.judged)


@dataclass
class Accuracy:
    """What reviewers' choices say about the selection.

    Args:
        total: Over all rows with at least two candidates that could win.
        buckets: The same by margin: (lower limit, upper limit) in nats per token.
        without_choice: Reviewed rows that left no choice.
        without_row: The last decision about each row that the run no longer has.
    """

    total: Tally = field(default_factory=Tally)
    buckets: dict[tuple[float, float], Tally] = field(default_factory=dict)
    without_choice: int = 0
    without_row: list[Entry] = field(default_factory=list)


def measure_accuracy(run: Path) -> Accuracy:
    """Compare the choices of the selection with those of people, in one pass over the ranked rows.

    Raises:
        RunFolderError: It is not a run folder, or a shard or the log is damaged.
    """
    reviews, record = read_reviews(run), read_record(run)
    limits = list(zip((0.0, *BUCKETS), BUCKETS, strict=False))
    found = Accuracy(buckets={limit: Tally() for limit in limits})
    missing = dict.fromkeys(reviews.rows)
    for _, ranked, row in ranked_rows(run, record) if missing else ():
        key = row_key(row)
        state = reviews.state(key)
        if key in missing and state.verdict and len(ranked) < 2:
            found.without_choice += 1
        elif key in missing and state.verdict:
            lead = margin(ranked)
            within = [limit for limit in limits if lead is not None and limit[0] <= lead < limit[1]]
            for tally in (found.total, *(found.buckets[limit] for limit in within)):
                tally.add(state, len(ranked))
        missing.pop(key, None)  # of several rows that are the same in all, one counts
    found.without_row = [reviews.rows[key][-1] for key in missing]
    return found


def wilson(successes: int, total: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share at 95% (Wilson 1927); from 0 to 1 without any trial."""
    if not total:
        return 0.0, 1.0
    share = successes / total
    center = share + Z_95**2 / (2 * total)
    spread = Z_95 * math.sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    scale = 1 + Z_95**2 / total
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)
