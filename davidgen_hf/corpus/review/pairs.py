"""The pairs of a corpus as people decided: without those that they rejected, with the instructions that they chose."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pyarrow
from datasets import Features, Value

from davidgen_hf.corpus.review.log import RowState, log_path, row_key
from davidgen_hf.corpus.review.state import Reviews, read_reviews
from davidgen_hf.processors.select import SelectInstruction, pair_of
from davidgen_hf.recipe import parse_recipe, ranked_stage, selection_of
from davidgen_hf.schema import Candidate, empty_candidate
from davidgen_hf.storage.record import FILE_NAME, read_record
from davidgen_hf.storage.shards import column_names, read_columns

# The column that a reviewed corpus has in addition: ``person`` where a person wrote the instruction, else None.
WRITTEN_BY = Features({"instruction_written_by": Value("string")})
PERSON = "person"
KEY = ("id", "source", "strategy", "output")


@dataclass(frozen=True)
class ReviewsInUse:
    """Decisions that count for a corpus, and what is needed to apply them."""

    use: str
    reviews: Reviews
    select: SelectInstruction
    ranked: Path

    def counts(self, state: RowState) -> bool:
        """Return whether a row of this state may be in the corpus."""
        return state.verdict == "accepted" or (self.use == "not_rejected" and state.verdict is None)

    def concerns(self, path: Path) -> bool:
        """Return whether the decisions change the pairs of a shard."""
        if self.use == "accepted":
            return True
        names = read_columns(self.ranked / path.name, ("source", "id", "strategy"))
        return not self._decided.isdisjoint(
            zip(*(names[name].to_pylist() for name in names.column_names), strict=True)
        )

    @cached_property
    def _decided(self) -> set[tuple[str | None, ...]]:
        return {(rows[-1].source, rows[-1].record, rows[-1].strategy) for rows in self.reviews.rows.values()}

    def apply(self, path: Path, names: list[str]) -> pyarrow.Table:
        """Return columns of a shard of the corpus, and the column ``instruction_written_by``."""
        table = read_columns(path, dict.fromkeys((*names, *KEY)))
        by_hand = pyarrow.array([None] * len(table), pyarrow.string())
        table = table.append_column("instruction_written_by", by_hand)
        source = self.ranked / path.name
        if not source.is_file():  # a method without candidates, whose rows nobody can review
            return table.slice(0, 0 if self.use == "accepted" else None)
        if not self.concerns(path):
            return table
        copied = [name for name in table.column_names if name in column_names(source)]
        wanted = dict.fromkeys((*copied, *KEY, "candidates", "unconditional_nll", *self.select.needs))
        rows = read_columns(source, [name for name in wanted if name in column_names(source)]).to_pylist()
        groups = _groups(table)
        order: list[int] = []
        written: list[dict[str, Any]] = []
        for row in rows:
            state = self.reviews.state(row_key(row))
            places = next(iter(groups[_identity(row)]), [])
            if places:
                groups[_identity(row)].popleft()
            if not self.counts(state):
                continue
            if state.is_changed or (state.verdict == "accepted" and not places):
                pair = chosen_pair(row, state, self.select)
                places = [len(table) + len(written)] if pair else []
                written += [row | pair] if pair else []
            order += places
        if self.use == "not_rejected":  # rows of a last step that gives them ids of its own
            order += [place for left in groups.values() for places in left for place in places]
        added = pyarrow.Table.from_pylist(written, schema=table.schema)
        return pyarrow.concat_tables([table, added]).take(pyarrow.array(order, pyarrow.int64()))


def reviews_in_use(run: Path, use: str | None = None) -> ReviewsInUse | None:
    """Return the decisions that count for the corpus of a run; None if it is as the selection made it.

    Args:
        run: The run's folder.
        use: ``accepted``, ``not_rejected`` or ``ignore``; None takes what the recipe says.

    Raises:
        RunFolderError: The log or ``run.json`` is damaged.
    """
    if not (run / FILE_NAME).is_file():  # shards alone, copied elsewhere
        return None
    states = [path.stat() for path in (run / FILE_NAME, log_path(run)) if path.is_file()]
    return _in_use(run, use, tuple((one.st_size, one.st_mtime_ns) for one in states))


@lru_cache(maxsize=8)
def _in_use(run: Path, use: str | None, states: tuple[tuple[int, int], ...]) -> ReviewsInUse | None:
    """Read record and log once for each of their states, since every shard needs them."""
    record = read_record(run)
    use = use or parse_recipe(record["name"], record["recipe"]).corpus.review.use
    reviews = read_reviews(run)
    if use == "ignore" or (use == "not_rejected" and not reviews.rows):
        return None
    return ReviewsInUse(use, reviews, selection_of(record), run / ranked_stage(record))


def read_pairs(path: Path, names: Iterable[str], use: str | None = None) -> pyarrow.Table:
    """Read columns of a shard of a corpus as people decided about its rows.

    Rows that were rejected are left out, and with ``accepted`` all that were not accepted. A row for which a person
    chose or wrote an instruction is one pair with that instruction, also where the selection kept several or none;
    its ``perplexity`` and ``ifd`` are those of the candidate that was chosen, and None if a person wrote it, and its
    ``margin`` is None.

    Args:
        path: A shard in a run's folder ``corpus``.
        names: Columns of ``schema``, and ``instruction_written_by``.
        use: As for ``reviews_in_use``.

    Raises:
        RunFolderError: A shard or the log is damaged.
    """
    wanted = list(names)
    given = [name for name in wanted if name not in WRITTEN_BY]
    in_use = reviews_in_use(path.parent.parent, use)
    if in_use:
        return in_use.apply(path, given).select(wanted)
    table = read_columns(path, given)
    if len(given) < len(wanted):
        by_hand = pyarrow.array([None] * len(table), pyarrow.string())
        table = table.append_column("instruction_written_by", by_hand).select(wanted)
    return table


def chosen_candidate(row: dict[str, Any], state: RowState, select: SelectInstruction) -> Candidate | None:
    """Return the candidate that a person chose, or else the first of the selection; None if all were rejected."""
    if state.candidate is not None:
        found: Candidate = row["candidates"][state.candidate]
        return found
    ranked = select.rank(row)
    return ranked[0][1] if ranked else None


def chosen_pair(row: dict[str, Any], state: RowState, select: SelectInstruction) -> dict[str, Any] | None:
    """Return the columns of ``schema.PAIR`` and ``WRITTEN_BY`` of a row as a person decided; None without any."""
    one = chosen_candidate(row, state, select)
    if state.instruction is None:
        return pair_of(row, one, None) | {"instruction_written_by": None} if one else None
    by_hand = empty_candidate(instruction=state.instruction, input=(one["input"] if one else None) or "")
    return pair_of(row, by_hand, None) | {"instruction_written_by": PERSON}


def _identity(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _groups(table: pyarrow.Table) -> dict[tuple[Any, ...], deque[list[int]]]:
    """Return the places of the pairs of each ranked row, in their order; several rows may have the same identity."""
    groups: dict[tuple[Any, ...], deque[list[int]]] = defaultdict(deque)
    first: Any = None
    for place, pair in enumerate(table.select(KEY).to_pylist()):
        is_further = first is not None and str(pair["id"]).startswith(f"{first['id']}#pair-")
        if is_further:
            groups[_identity(first)][-1].append(place)
        else:
            first = pair
            groups[_identity(pair)].append([place])
    return groups
