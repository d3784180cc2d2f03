"""Settings of executors, and the one that is this process."""

from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset

from davidgen_hf.corpus import executors
from davidgen_hf.corpus.executors import ExecutorSettings, open_executor
from davidgen_hf.errors import ExecutorError, SettingError


def double(rows: Dataset, settings: int) -> tuple[Dataset, Counter]:
    return Dataset.from_dict({"n": [settings * n for n in rows["n"]]}), Counter(rows=len(rows))


def test_local_builds_each_shard_when_it_is_requested():
    read = []

    def work():
        for number in range(3):
            read.append(number)
            yield Path(f"{number}.parquet"), Dataset.from_dict({"n": [number]})

    with open_executor(ExecutorSettings()) as executor:
        made = executor.map(double, 2, work())
        assert read == []
        first = next(made)
        assert (first.path, first.rows["n"][:], first.counts) == (Path("0.parquet"), [0], Counter(rows=1))
        assert read == [0]
        assert [one.rows["n"][0] for one in made] == [2, 4]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kind": "slurm"}, r"executor must be one of \('local', 'ray'\), got 'slurm'"),
        ({"workers": 2}, "--workers: only with --executor ray; the local one is this process"),
        ({"address": "auto", "gpus_per_worker": 1}, "--address, --gpus-per-worker: only with --executor ray"),
        ({"kind": "ray", "workers": 0}, "workers must be at least 1, got 0"),
        ({"kind": "ray", "gpus_per_worker": -1}, "gpus_per_worker must be at least 0, got -1"),
    ],
)
def test_settings_out_of_range_are_named(settings, told):
    with pytest.raises(SettingError, match=told):
        ExecutorSettings(**settings)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(executors, "find_spec", lambda _: None)
    with pytest.raises(SettingError, match=r"pip install 'davidgen-hf\[ray\]'"):
        open_executor(ExecutorSettings("ray"))


def test_a_missing_cluster_is_reported_at_once():
    pytest.importorskip("ray")
    with (
        pytest.raises(ExecutorError, match=r"No Ray cluster can be reached at 127\.0\.0\.1:1: .* refused"),
        open_executor(ExecutorSettings("ray", address="127.0.0.1:1")) as opened,
    ):
        pytest.fail(f"{opened} was opened")
