"""Rows to seeds: instructions and outputs written by people."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from datasets import Dataset

from davidgen_hf.errors import InputError
from davidgen_hf.schema import SEED, Row
from davidgen_hf.sources import embedded
from davidgen_hf.sources.source import ORIGIN_COLUMNS, Skipped, Source, identity_of, no_text
from davidgen_hf.storage.settings import check_settings


@dataclass(frozen=True)
class SeedColumns:
    """Names the columns of a seed.

    Args:
        instruction: Column of the instruction.
        output: Column of the answer.
        input: Column of the text that the instruction is about, often empty; ``None`` if there is none.
    """

    instruction: str = "instruction"
    output: str = "output"
    input: str | None = "input"

    def __post_init__(self) -> None:
        check_settings(self)

    def fit(self, row: Row) -> bool:
        """Return whether a row has columns of these names for instruction and output."""
        return self.instruction in row and self.output in row


# The first that fits a row is used.
KNOWN_COLUMNS = (
    SeedColumns(),  # Alpaca's form, and Self-Instruct's with its instances
    SeedColumns("instruction", "response", "context"),  # databricks/databricks-dolly-15k
    SeedColumns("definition", "targets", "inputs"),  # SuperNI, and its copy Muennighoff/natural-instructions
    SeedColumns("input", "output", None),  # akoksal/LongForm, whose input is the instruction
)


@dataclass(frozen=True)
class SeedSource(Source):
    """Names a source of seeds; ``embedded`` is a corpus of conversations.

    Self-Instruct's form is read too: each record in the list ``instances`` is a seed.

    Args:
        columns: Names of the columns; by default the first of ``KNOWN_COLUMNS`` that fits.
    """

    columns: SeedColumns | None = None

    def columns_read(self) -> frozenset[str]:
        """Return the names of the columns to read."""
        forms = (self.columns,) if self.columns else KNOWN_COLUMNS
        texts = {name for one in forms for name in (one.instruction, one.input, one.output) if name}
        return frozenset((*texts, "instances", "id", "task_name", *ORIGIN_COLUMNS))


def read_seeds(wanted: SeedSource | Iterable[SeedSource], skipped: Skipped) -> Dataset:
    """Return the seeds of ``iterate_seeds``, as rows of ``schema.SEED``."""
    return Dataset.from_list(list(iterate_seeds(wanted, skipped)), features=SEED)


def iterate_seeds(wanted: SeedSource | Iterable[SeedSource], skipped: Skipped) -> Iterator[Row]:
    """Yield seeds one by one, source after source; rows that are left out are counted in ``skipped``.

    They lack an instruction or an output, have a value that is not text, or a license that is not allowed.

    Yields:
        Rows of ``schema.SEED``.

    Raises:
        InputError: The source cannot be read, has no such columns, or has no whole seed.
    """
    for one in [wanted] if isinstance(wanted, SeedSource) else wanted:
        is_empty = True
        for seed in one.draw(_read(one.resolved(), skipped)):
            is_empty = False
            yield seed
        if is_empty:
            raise InputError(
                f"{one.source} has no row with an instruction and an output: {skipped.counts}. Seeds need both, as "
                "texts. Name other data, or the columns that hold them with `columns`."
            )


def _read(wanted: SeedSource, skipped: Skipped) -> Iterator[Row]:
    is_embedded = wanted.source == embedded.EMBEDDED
    seeds = ((row["id"], row) for row in embedded.seeds()) if is_embedded else _seeds(wanted, skipped)
    for place, seed in seeds:
        if reason := no_text(seed["instruction"]) or no_text(seed["output"]) or wanted.refuses(seed):
            skipped.add(reason, place)
        else:
            yield seed


def _seeds(wanted: SeedSource, skipped: Skipped) -> Iterator[tuple[str, Row]]:
    for place, row in wanted.rows(skipped):
        for number, pair in enumerate(_pairs(place, row, wanted.columns)):
            if pair["input"] is None:
                skipped.add("not_text", place)
                continue
            identity = identity_of(row, place) + (f"-{number}" if number else "")
            yield place, {"id": identity} | pair | wanted.origin(row)


def _pairs(place: str, row: Row, columns: SeedColumns | None) -> list[Row]:
    """Return instruction, input and output of each seed in a row; an input that is a list or record is None."""
    instances = row.get("instances")
    is_nested = isinstance(instances, list) and instances and all(isinstance(one, dict) for one in instances)
    rows = [row | one for one in instances or []] if is_nested else [row]
    names = next((one for one in ((columns,) if columns else KNOWN_COLUMNS) if one.fit(rows[0])), None)
    if names is None:
        needed = columns or SeedColumns()
        raise InputError(
            f"{place} is not a seed: it has the columns {list(row)}. A seed needs {needed.instruction!r} and "
            f"{needed.output!r}, and may have {needed.input!r}; `instances` would be a list of records that have "
            "them. Rename yours, or name them with `columns`."
        )
    return [
        {
            "instruction": one.get(names.instruction),
            "input": _input(one.get(names.input) if names.input else None),
            "output": one.get(names.output),
        }
        for one in rows
    ]


def _input(value: object) -> str | None:
    return None if value and isinstance(value, dict | list | tuple) else str(value or "")
