"""A shard is there whole or not at all, and knows what it holds."""

from collections import Counter

import pyarrow
import pytest
from datasets import Dataset
from pyarrow import parquet

from davidgen_hf.errors import RunFolderError
from davidgen_hf.schema import PASSAGE
from davidgen_hf.storage.shards import (
    ShardMetadata,
    open_shards,
    read_metadata,
    read_shard,
    read_shards,
    shard_paths,
    write_shard,
)

ROW = dict.fromkeys(PASSAGE, "x") | {"supervised": False, "url": None, "document_start": 0, "document_end": 1}


@pytest.fixture
def rows() -> Dataset:
    return Dataset.from_list([ROW] * 3, features=PASSAGE)


def test_rows_counts_and_features_come_back(rows, tmp_path):
    path = tmp_path / "new" / "00000.parquet"
    write_shard(rows, path, Counter(pairs=3), 1.5, "made of this")
    assert read_metadata(path) == ShardMetadata(Counter(pairs=3), 1.5, "made of this")
    assert read_shard(path).features == PASSAGE
    assert read_shard(path)[:] == rows[:]
    assert shard_paths(path.parent) == [path]


def test_an_empty_shard_keeps_its_columns(rows, tmp_path):
    write_shard(rows.select([]), tmp_path / "0.parquet", Counter(), 0.0)
    assert read_shard(tmp_path / "0.parquet").features == PASSAGE


def test_load_dataset_reads_what_was_written(rows, tmp_path):
    write_shard(rows, tmp_path / "0.parquet", Counter(), 0.0)
    assert Dataset.from_parquet(str(tmp_path / "0.parquet"), cache_dir=tmp_path / "cache").features == PASSAGE


def test_load_dataset_reads_past_an_empty_shard(rows, tmp_path):
    for number, kept in enumerate((rows.select([]), rows)):
        write_shard(kept, tmp_path / f"{number}.parquet", Counter(), 0.0)
    paths = [str(path) for path in shard_paths(tmp_path)]
    assert len(Dataset.from_parquet(paths, cache_dir=tmp_path / "cache")) == len(rows)


def test_an_empty_row_group_is_passed_over(rows, tmp_path):
    parquet.write_table(pyarrow.table({"id": pyarrow.array([], pyarrow.string())}), tmp_path / "0.parquet")
    write_shard(rows, tmp_path / "1.parquet", Counter(), 0.0)
    assert open_shards(tmp_path, ["id"])["id"][:] == ["x"] * 3


def test_shards_are_joined_in_order_by_column(rows, tmp_path):
    for number in (1, 0):
        write_shard(rows.select(range(number + 1)), tmp_path / f"{number}.parquet", Counter(), 0.0)
    assert read_shards(tmp_path, ["id"]).column_names == ["id"]
    assert len(read_shards(tmp_path)) == 3


@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda content: b"", lambda _: b"no"]
)
def test_a_damaged_file_is_named_with_what_to_do(rows, tmp_path, damage):
    path = tmp_path / "0.parquet"
    write_shard(rows, path, Counter(), 0.0)
    path.write_bytes(damage(path.read_bytes()))
    for read in (read_shard, read_metadata):
        with pytest.raises(
            RunFolderError, match=r"0\.parquet is damaged .* Delete this one file and run the same command"
        ):
            read(path)


def test_a_foreign_file_is_named(rows, tmp_path):
    rows.to_parquet(tmp_path / "0.parquet")
    with pytest.raises(RunFolderError, match=r"0\.parquet was not written by a run"):
        read_metadata(tmp_path / "0.parquet")


def test_no_shard(tmp_path):
    with pytest.raises(RunFolderError, match="holds no finished shard"):
        read_shards(tmp_path)


def test_a_failed_write_leaves_nothing(rows, tmp_path):
    (tmp_path / "taken").write_text("a file where a folder is needed")
    with pytest.raises(RunFolderError, match=r"cannot be written: .*run the same command again"):
        write_shard(rows, tmp_path / "taken" / "0.parquet", Counter(), 0.0)
