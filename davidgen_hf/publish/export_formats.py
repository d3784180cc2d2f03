"""The formats in which trainers read pairs and preferences."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow

from davidgen_hf import schema
from davidgen_hf.schema import Row

_TEXT = pyarrow.string()
PAIR = pyarrow.schema({"instruction": _TEXT, "input": _TEXT, "output": _TEXT})
PREFERENCE = schema.PREFERENCE.arrow_schema.remove_metadata()


@dataclass(frozen=True)
class Format:
    """A format of rows, and how the rows of a run become its rows.

    Args:
        reads: The columns that it replaces: those of ``PAIR`` or of ``PREFERENCE``.
        writes: The columns that take their place.
        convert: Yields the rows that one row becomes; None leaves rows as they are.
    """

    reads: pyarrow.Schema
    writes: pyarrow.Schema
    convert: Callable[[Row], Iterator[Row]] | None = None

    def apply(self, table: pyarrow.Table) -> pyarrow.Table:
        """Return rows in this format; columns that it does not concern are kept after its own."""
        if self.convert is None:
            return table
        kept = [field for field in table.schema.remove_metadata() if field.name not in self.reads.names]
        rows = [
            one | {field.name: row[field.name] for field in kept}
            for row in table.to_pylist()
            for one in self.convert(row)
        ]
        return pyarrow.Table.from_pylist(rows, schema=pyarrow.schema([*self.writes, *kept]))


def _turns(speaker: str, text: str) -> pyarrow.DataType:
    return pyarrow.list_(pyarrow.struct({speaker: _TEXT, text: _TEXT}))


def _question(row: Row) -> str:
    """Return the instruction with its input, if it has one, after a blank line."""
    return "\n\n".join(filter(None, (row["instruction"], row["input"])))


def _messages(row: Row) -> Iterator[Row]:
    turns = (("user", _question(row)), ("assistant", row["output"]))
    yield {"messages": [{"role": role, "content": text} for role, text in turns]}


def _sharegpt(row: Row) -> Iterator[Row]:
    turns = (("human", _question(row)), ("gpt", row["output"]))
    yield {"conversations": [{"from": speaker, "value": text} for speaker, text in turns]}


def _kto(row: Row) -> Iterator[Row]:
    for name, label in (("chosen", True), ("rejected", False)):
        yield {"prompt": row["prompt"], "completion": row[name], "label": label}


# The first format of pairs and the first of preferences are those that are written unless another one is named.
FORMATS = {
    "alpaca": Format(PAIR, PAIR),
    "messages": Format(PAIR, pyarrow.schema({"messages": _turns("role", "content")}), _messages),
    "sharegpt": Format(PAIR, pyarrow.schema({"conversations": _turns("from", "value")}), _sharegpt),
    "dpo": Format(PREFERENCE, PREFERENCE),
    "kto": Format(PREFERENCE, pyarrow.schema({"prompt": _TEXT, "completion": _TEXT, "label": pyarrow.bool_()}), _kto),
}


def formats_of(rows: pyarrow.Schema) -> list[str]:
    """Return the names of the formats of pairs (``PAIR``) or of preferences (``PREFERENCE``)."""
    return [name for name, one in FORMATS.items() if one.reads is rows]
