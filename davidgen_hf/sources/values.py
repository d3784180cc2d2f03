"""Parquet files and Arrow columns to Python values; a value that Python cannot hold does not cost its row."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from davidgen_hf.errors import InputError
from davidgen_hf.schema import Row
from davidgen_hf.sources.lines import READ_BYTES
from davidgen_hf.sources.paths import file_name

BATCH_ROWS, BATCH_BYTES = 1024, 2**24
# What pyarrow raises for a value that Python has no counterpart of: bytes that are not UTF-8, times out of range,
# unknown time zones.
_NO_VALUE = (pyarrow.ArrowException, ValueError, OverflowError, LookupError)


def read_parquet(path: Path, columns: Collection[str] | None) -> Iterator[Row]:
    """Yield the rows of a Parquet file; a column that is not read is None in each row.

    Args:
        path: The file.
        columns: Names of the columns to read, as far as the file has them; None reads all that may hold text.

    Raises:
        InputError: The file cannot be read to its end.
    """
    done = 0
    try:
        with (
            pyarrow.OSFile(str(path)) as opened,
            pyarrow.parquet.ParquetFile(opened, pre_buffer=False, buffer_size=READ_BYTES) as file,
        ):
            schema = file.schema_arrow
            names = schema.names
            read = [
                name for name in dict.fromkeys(names) if reads(schema.field(names.index(name)).type, name, columns)
            ]
            labels = _label_names(schema)
            for batch in file.iter_batches(batch_size=_batch_rows(file.metadata), columns=read):
                found = {name: _named(values_of(_last(batch, name)), labels.get(name)) for name in read}
                for row in range(batch.num_rows):
                    yield dict.fromkeys(names) | {name: values[row] for name, values in found.items()}
                done += batch.num_rows
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError, RuntimeError, LookupError) as error:
        raise InputError(
            f"{file_name(path)} is not a readable Parquet file: {error} (after row {done}). It must be a whole file "
            "of one version of Parquet. Download or write the file again."
        ) from error


def _last(batch: pyarrow.RecordBatch, name: str) -> pyarrow.Array:
    """Return the column of a name; of several of one name, the last, as a dictionary of a row would."""
    return batch.column(batch.schema.get_all_field_indices(name)[-1])


def reads(kind: pyarrow.DataType, name: str, columns: Collection[str] | None) -> bool:
    """Return whether a column is read: one of ``columns``, or, without them, any but bytes, media and times."""
    return name in columns if columns is not None else not _is_opaque(kind)


def values_of(column: pyarrow.Array | pyarrow.ChunkedArray) -> list[Any]:
    """Return a column's values; a text that is not UTF-8 has lone surrogates, any other impossible value is None."""
    try:
        values: list[Any] = column.to_pylist()
    except _NO_VALUE:
        values = [_value(one) for one in column]
    return values


def _value(scalar: pyarrow.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        is_text = pyarrow.types.is_string(scalar.type) or pyarrow.types.is_large_string(scalar.type)
        return scalar.as_buffer().to_pybytes().decode("utf-8", "surrogateescape") if is_text else None
    except _NO_VALUE:
        return None


def _is_opaque(kind: pyarrow.DataType) -> bool:
    """Return whether a type holds bytes (so do sounds and pictures) or times, at any depth."""
    if any(_is_opaque(kind.field(number).type) for number in range(kind.num_fields)):
        return True
    return pyarrow.types.is_temporal(kind) or kind.id in _BYTES


_BYTES = {one.id for one in (pyarrow.binary(), pyarrow.large_binary(), pyarrow.binary_view(), pyarrow.binary(1))}


def _label_names(schema: pyarrow.Schema) -> dict[str, list[str]]:
    """Return the names of the class labels of each column, which ``datasets`` writes into a file's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: list(one["names"]) for name, one in features.items() if one.get("_type") == "ClassLabel"}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _named(values: list[Any], names: list[str] | None) -> list[Any]:
    """Return the names of class labels instead of their numbers; -1 means none."""
    if names is None:
        return values
    return [names[one] if isinstance(one, int) and 0 <= one < len(names) else None for one in values]


def _batch_rows(metadata: pyarrow.parquet.FileMetaData) -> int:
    """Return how many rows are read at once, fewer if they are long.

    The sizes of single columns are not looked at: pyarrow ends the process if a damaged file lacks them.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    size = sum(max(group.total_byte_size, 0) for group in groups)
    return int(max(1, min(BATCH_ROWS, BATCH_BYTES * max(metadata.num_rows, 1) // max(size, 1))))
