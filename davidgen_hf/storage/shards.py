"""Shards: Parquet files that are there whole or not at all, and that know what they hold."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from datasets import Dataset, Features
from datasets.exceptions import DatasetGenerationError
from datasets.fingerprint import generate_random_fingerprint
from datasets.table import table_cast
from pydantic import TypeAdapter, ValidationError

from davidgen_hf import schema
from davidgen_hf.errors import RunFolderError, SettingError
from davidgen_hf.storage.files import as_pattern, replacing
from davidgen_hf.storage.validation import brief

METADATA_KEY = b"davidgen"
MAX_PARTS = 100_000
NEVER_NULL = frozenset(("text", "output", "strategy", "candidates"))
_TYPES = Features(
    schema.PASSAGE | schema.MADE_WITH | schema.SEED | schema.FRAGMENT | schema.WRITTEN_BY | schema.SCORED | schema.PAIR
).arrow_schema
# Columns that only some methods write: null in all rows of a shard without them.
ADDED = frozenset(schema.WRITTEN_BY) | frozenset(("unconditional_nll", "token_ends"))


@dataclass(frozen=True)
class Part:
    """Which shards a call makes, where several calls share a run: every ``count``-th from ``index`` on."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read ``i/n``, with i from 0 to n - 1.

        Raises:
            SettingError: It is something else.
        """
        index, _, count = text.partition("/")
        numbers = [int(one) for one in (index, count) if one.isascii() and one.isdecimal() and len(one) <= 6]
        if len(numbers) != 2 or not numbers[0] < numbers[1] <= MAX_PARTS:
            raise SettingError(
                f"--shard is {brief(text)}. It must be i/n with i from 0 to n - 1 and n up to {MAX_PARTS:,}. Pass a "
                "part such as 0/4 or 3/4."
            )
        return cls(*numbers)

    def __contains__(self, number: int) -> bool:
        return number % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


@dataclass(frozen=True)
class ShardMetadata:
    """Metadata of a shard, stored in the file.

    Args:
        counts: What the steps counted, such as rows by reject reason.
        seconds: How long the shard took to build.
        identity: Hash of its inputs; see ``identity.shard_identity``.
    """

    counts: Counter[str]
    seconds: float
    identity: str


_METADATA = TypeAdapter(ShardMetadata)


def make_rows(columns: dict[str, list[Any]], features: Features) -> Dataset:
    """Return columns as a dataset in memory.

    ``Dataset.from_dict`` hashes and encodes all of it, which took a third of the time of a run without a model.
    """
    return _dataset(pyarrow.Table.from_pydict(columns, schema=features.arrow_schema))


def write_shard(rows: Dataset, path: Path, counts: Counter[str], seconds: float, identity: str = "") -> None:
    """Write rows with their features and a note; a crash leaves no file of that name.

    Args:
        rows: The shard's rows.
        path: Where it is to lie.
        counts: See ``ShardMetadata``, as are the next two.
        seconds: How long the shard took to build.
        identity: Hash of its inputs.

    Raises:
        RunFolderError: The file cannot be written.
    """
    table = rows.with_format("arrow")[:].cast(rows.features.arrow_schema)
    content = json.dumps({"counts": counts, "seconds": seconds, "identity": identity})
    table = table.replace_schema_metadata({**table.schema.metadata, METADATA_KEY: content})
    with (
        replacing(path) as draft,
        draft.open("wb") as file,
        pyarrow.parquet.ParquetWriter(file, table.schema, write_page_checksum=True) as writer,
    ):
        if len(table):  # datasets cannot read a row group without rows
            writer.write_table(table)


def read_table(path: Path, columns: list[str] | None = None) -> pyarrow.Table:
    """Read a shard, or some columns of it, as an Arrow table.

    Raises:
        RunFolderError: The file is damaged.
    """
    return _open(path, pyarrow.parquet.read_table, columns=columns, page_checksum_verification=True)


def read_columns(path: Path, names: Iterable[str]) -> pyarrow.Table:
    """Read columns of a shard, with the types that ``schema`` declares for them.

    Raises:
        RunFolderError: The file is damaged, or another version of this package wrote it.
    """
    wanted, found = list(names), column_names(path)
    advice = "Another version of this package wrote it: read it with that version, or run the recipe again."
    if missing := [name for name in wanted if name not in found and name not in ADDED]:
        raise RunFolderError(f"{path} lacks the columns {missing}. {advice}")
    table = read_table(path, [name for name in wanted if name in found])
    types = pyarrow.schema([_TYPES.field(name) for name in wanted])
    for name in [name for name in wanted if name not in found]:
        table = table.append_column(name, pyarrow.nulls(len(table), types.field(name).type))
    table = table.select(wanted)
    try:
        table = table_cast(table, types)
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        other = [name for name in wanted if table.schema.field(name).type != types.field(name).type]
        raise RunFolderError(f"{path} holds values of other types in the columns {other}. {advice}") from error
    if empty := [name for name in wanted if name in NEVER_NULL and table[name].null_count]:
        raise RunFolderError(f"{path} lacks values in the columns {empty}. {advice}")
    return table


def column_names(path: Path) -> list[str]:
    """Return the names of a shard's columns.

    Raises:
        RunFolderError: The file is damaged.
    """
    names: list[str] = _open(path, pyarrow.parquet.read_schema).names
    return names


def read_shard(path: Path, columns: list[str] | None = None) -> Dataset:
    """Read the rows of a shard, or some columns of them, into memory.

    Raises:
        RunFolderError: The file is damaged.
    """
    table = read_table(path, columns)
    return _dataset(table.replace_schema_metadata(None) if columns else table)  # it tells of all columns


def read_metadata(path: Path) -> ShardMetadata:
    """Return the metadata of a shard, without reading its rows.

    Raises:
        RunFolderError: The file is damaged or is not a shard of a run.
    """
    found = (_open(path, pyarrow.parquet.read_schema).metadata or {}).get(METADATA_KEY)
    try:
        return _METADATA.validate_json(found or b"")
    except ValidationError as error:
        raise RunFolderError(
            f"{path} was not written by a run. A shard has metadata of its counts and inputs. Move it out of the run "
            "folder."
        ) from error


def is_intact(path: Path, *, rows: bool) -> bool:
    """Return whether a shard exists and is not damaged; with ``rows``, read all of it, else only its metadata."""
    try:
        read_table(path) if rows else read_metadata(path)
    except RunFolderError:
        return False
    return True


def shard_paths(folder: Path) -> list[Path]:
    """Return the finished shards of a folder, in their order.

    Raises:
        RunFolderError: One is not a regular file.
    """
    paths = sorted(folder.glob("*.parquet"), key=lambda path: (len(path.name), path.name))
    for path in paths:
        _require_file(path)
    return paths


def _require_file(path: Path) -> None:
    if path.exists() and not path.is_file():  # a pipe would block whoever opens it
        raise RunFolderError(
            f"{path} is not a file. A shard is a Parquet file. Delete it and run the same command again."
        )


def read_shards(folder: Path, columns: list[str] | None = None) -> Dataset:
    """Read all shards of a folder, or some columns of them, into memory.

    Raises:
        RunFolderError: There is none, or one is damaged.
    """
    tables = [read_table(path, columns) for path in shard_paths(folder)]
    if not tables:
        raise RunFolderError(f"{folder} holds no finished shard. Run the step that writes them first.")
    return _dataset(pyarrow.concat_tables([table.replace_schema_metadata(None) for table in tables]))


def iterate_shards(folder: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of all shards of a folder, or some columns of them, with one shard in memory at a time.

    Raises:
        RunFolderError: One is damaged.
    """
    for path in shard_paths(folder):
        yield from read_table(path, columns).to_pylist()


def iterate_columns(folder: Path, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield some columns of the rows of all shards of a folder, with one shard in memory at a time.

    Raises:
        RunFolderError: A shard is damaged, or another version of this package wrote it.
    """
    for path in shard_paths(folder):
        yield from read_columns(path, names).to_pylist()


def open_shards(folder: Path, columns: list[str]) -> Dataset:
    """Return some columns of all shards of a folder as a dataset on disk, in the cache of ``datasets``.

    Raises:
        RunFolderError: There is none, or one is damaged.
    """
    found = shard_paths(folder)
    # A shard without rows has a row group without rows in runs of version 0.1, which datasets cannot read.
    filled = [path for path in found if _open(path, pyarrow.parquet.read_metadata).num_rows]
    paths = [as_pattern(path) for path in filled or found]
    if not paths:
        raise RunFolderError(f"{folder} holds no finished shard. Run the step that writes them first.")
    try:
        return Dataset.from_parquet(paths, columns=columns)
    except (DatasetGenerationError, pyarrow.ArrowException, OSError) as error:
        raise RunFolderError(f"{folder} cannot be read: {error.__cause__ or error}.") from error


def _dataset(table: pyarrow.Table) -> Dataset:
    return Dataset(table, fingerprint=generate_random_fingerprint())


def _open(path: Path, read: Callable[..., Any], **options: Any) -> Any:
    _require_file(path)
    try:
        return read(path, **options)
    except (pyarrow.ArrowException, OSError) as error:
        raise RunFolderError(
            f"{path} is damaged ({error}). A shard is a whole Parquet file. Delete this one file and run the same "
            "command again: only it is rebuilt."
        ) from error
