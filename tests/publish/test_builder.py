"""Run folders as a dataset: each kind has its rows and no others, in every way that ``datasets`` reads."""

import shutil
from collections import Counter

import pyarrow.parquet
import pytest
from datasets import Dataset, Features

from davidgen_hf import schema
from davidgen_hf.errors import RunFolderError
from davidgen_hf.publish.builder import KINDS, PAIRS, SCORED, SEEDS, DavidGen, kinds_of
from davidgen_hf.storage.shards import read_shard, read_shards, shard_paths


@pytest.fixture
def build(tmp_path):
    def build(kind: str, *runs) -> DavidGen:
        return DavidGen(cache_dir=str(tmp_path / "cache"), config_name=kind, runs=runs)

    return build


def rows_of(builder: DavidGen, split: str = "train") -> list[dict]:
    builder.download_and_prepare()
    return builder.as_dataset(split=split)[:]["id"]


def test_no_column_of_a_run_is_lost(tiny_run):
    features = dict(PAIRS | schema.SCORED)
    del features["output_written_by"]  # people wrote the outputs
    assert read_shards(tiny_run / "corpus").features == Features(features)
    assert read_shards(tiny_run / "scored").features == SCORED
    assert read_shard(tiny_run / "seeds" / "train.parquet").features == SEEDS


def test_every_pair_is_in_one_of_three_kinds(tiny_run, build):
    pairs = read_shards(tiny_run / "corpus")
    expected = Counter(
        "extracted" if row["strategy"] != "whole" else "supervised" if row["supervised"] else "unsupervised"
        for row in pairs
    )
    assert set(expected) == {"extracted", "supervised", "unsupervised"}
    assert {kind: len(rows_of(build(kind, tiny_run))) for kind in expected} == expected
    assert rows_of(build("combined", tiny_run)) == pairs["id"][:]


def test_scored_holds_every_candidate(tiny_run, build):
    builder = build("scored", tiny_run)
    builder.download_and_prepare()
    assert builder.as_dataset(split="train")[:] == read_shards(tiny_run / "scored")[:]


def test_only_seeds_that_may_be_passed_on(tiny_run, build):
    builder = build("seeds", tiny_run)
    builder.download_and_prepare()
    given = [*read_shard(tiny_run / "seeds" / "train.parquet"), *read_shard(tiny_run / "seeds" / "held_out.parquet")]
    made = builder.as_dataset()
    assert [*made["train"], *made["test"]] == [row for row in given if row["license"] == "MIT"]
    assert len(given) == 1 + len(made["train"]) + len(made["test"])


def test_streaming_gives_the_same_rows_a_shard_at_a_time(tiny_run, build):
    stream = build("combined", tiny_run).as_streaming_dataset(split="train")
    assert stream.num_shards == len(shard_paths(tiny_run / "corpus"))
    expected = [{name: row.get(name) for name in PAIRS} for row in read_shards(tiny_run / "corpus")]
    assert list(stream) == expected
    assert {row["output_written_by"] for row in expected} == {None}


def test_two_processes_write_the_same_rows(tiny_run, build, tmp_path):
    builder = build("combined", tiny_run)
    builder.download_and_prepare(str(tmp_path / "out"), file_format="parquet", num_proc=2)
    files = sorted((tmp_path / "out").glob("*.parquet"))
    assert len(files) == 2
    rows = Dataset.from_parquet([str(path) for path in files], cache_dir=str(tmp_path))
    assert rows["id"][:] == read_shards(tiny_run / "corpus")["id"][:]
    assert rows.features == PAIRS


def test_small_shards_become_large_row_groups(tiny_run, build, tmp_path):
    build("combined", tiny_run).download_and_prepare(str(tmp_path / "out"), file_format="parquet")
    (path,) = (tmp_path / "out").glob("*.parquet")
    assert pyarrow.parquet.read_metadata(path).num_row_groups == 1


def test_runs_follow_one_another(tiny_run, build):
    assert rows_of(build("combined", tiny_run, tiny_run)) == 2 * rows_of(build("combined", tiny_run))


def test_a_run_that_continued_is_read_again(tiny_run, build, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    last = shard_paths(run / "corpus")[-1].rename(tmp_path / "later.parquet")
    before = rows_of(build("combined", run))
    shutil.copy(last, run / "corpus" / "00009.parquet")
    assert len(rows_of(build("combined", run))) > len(before)


def test_a_kind_that_a_run_does_not_hold(tiny_run, build, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("seeds", "scored"))
    assert kinds_of([run]) == ["unsupervised", "supervised", "extracted", "combined"]
    with pytest.raises(RunFolderError, match=r"run holds no rows of the kind 'seeds'; it has \['unsupervised', "):
        build("seeds", run).download_and_prepare()


def test_what_is_not_a_run_is_named(tmp_path, build):
    with pytest.raises(RunFolderError, match=r"is not a run folder: it has no run\.json"):
        build("combined", tmp_path).download_and_prepare()


def test_each_kind_is_a_configuration():
    assert list(DavidGen.builder_configs) == list(KINDS)


def test_a_shard_of_another_version_is_named(tiny_run, build, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    path = shard_paths(tmp_path / "run" / "corpus")[1]
    table = pyarrow.parquet.read_table(path).drop_columns("supervised")
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(RunFolderError, match=r"00001\.parquet lacks the columns \['supervised'\]\. Another version"):
        build("unsupervised", tmp_path / "run").download_and_prepare()
