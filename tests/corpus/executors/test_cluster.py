"""Shards on a real Ray cluster of two workers on this machine, some of which are killed."""

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from datasets import Dataset

from davidgen_hf.corpus.build import build_corpus
from davidgen_hf.corpus.executors import ExecutorSettings, open_executor
from davidgen_hf.engines import EngineSettings
from davidgen_hf.errors import ExecutorError, ModelError
from davidgen_hf.methods import BackTranslation
from davidgen_hf.processors import GenerateInstructions, LimitPassages, ScoreCandidates
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages
from davidgen_hf.storage.shards import read_shards, shard_paths

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def executor():
    with open_executor(ExecutorSettings("ray", workers=2)) as opened:
        yield opened


def workers() -> list[psutil.Process]:
    """Return the processes of the workers that this process has started."""
    return [one for one in psutil.Process().children(recursive=True) if one.name().startswith("ray::Worker")]


def len_of(rows: Dataset, _: object) -> tuple[Dataset, Counter]:
    return rows, Counter(rows=len(rows))


def shards(*numbers: int):
    return ((Path(f"stage/{number:05d}.parquet"), Dataset.from_dict({"n": [number]})) for number in numbers)


def test_a_cluster_of_its_own_listens_on_this_machine_alone(executor):
    list(executor.map(len_of, None, shards(0)))
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [
        (one.name(), connection.laddr.ip)
        for one in family
        for connection in one.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {"gcs_server", "raylet"} <= {name for name, _ in listening}
    assert {address.removeprefix("::ffff:") for _, address in listening} <= {"127.0.0.1", "::1"}


def test_a_killed_worker_leaves_no_trace_in_the_corpus(executor, tmp_path):
    echo = EngineSettings(kind="echo", model="echo")
    settings = BackTranslation(
        passages=PassageSource(max_rows=200),
        limit=LimitPassages(echo),
        generate=GenerateInstructions(echo),
        score=ScoreCandidates(echo),
        shard_rows=3,
    )
    killed, before = [], []

    def kill_one():
        while len(shard_paths(tmp_path / "ray" / "candidates")) < 5:
            time.sleep(0.01)
        before.extend(executor.workers)
        killed.append(workers()[0].pid)
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    for name, options in (("local", {}), ("ray", {"executor": executor})):
        skipped = Skipped()
        passages = read_passages(settings.passages, skipped)
        assert build_corpus(passages, skipped, settings, tmp_path / name, **options) == {}
    killer.join(timeout=60)
    assert len(set(before) - executor.workers) == 1
    assert killed[0] not in [one.pid for one in workers()]
    for stage in [one.name for one in settings.stages()]:
        local, ray = tmp_path / "local" / stage, tmp_path / "ray" / stage
        assert [path.name for path in shard_paths(ray)] == [path.name for path in shard_paths(local)]
        assert read_shards(ray)[:] == read_shards(local)[:]
        assert read_shards(ray).features == read_shards(local).features


def test_a_target_gives_the_pairs_of_one_process(executor, tmp_path):
    echo = EngineSettings(kind="echo", model="echo")
    settings = BackTranslation(
        passages=PassageSource(max_rows=200),
        limit=LimitPassages(echo),
        generate=GenerateInstructions(echo, n=1),
        score=ScoreCandidates(echo),
        shard_rows=3,
        target_pairs=20,
    )
    said: dict[str, list[str]] = {"local": [], "ray": []}
    for name, options in (("local", {}), ("ray", {"executor": executor})):
        skipped = Skipped()
        passages = read_passages(settings.passages, skipped)
        assert build_corpus(passages, skipped, settings, tmp_path / name, announce=said[name].append, **options) == {}
    assert said["local"] == said["ray"] != []
    for stage in [one.name for one in settings.stages()]:
        local, ray = tmp_path / "local" / stage, tmp_path / "ray" / stage
        assert [path.name for path in shard_paths(ray)] == [path.name for path in shard_paths(local)]
        assert read_shards(ray)[:] == read_shards(local)[:]
    assert len(read_shards(tmp_path / "ray" / "corpus")) == 20


def test_a_shard_of_which_every_worker_dies_is_named(executor):
    def step(rows: Dataset, _: None) -> tuple[Dataset, Counter]:
        if rows["n"][0] == 1:
            os._exit(1)
        return rows, Counter()

    message = r"Shard stage/00001\.parquet: 3 workers died of it, .* the same command resumes there"
    made = []
    with pytest.raises(ExecutorError, match=message):
        made.extend(executor.map(step, None, shards(0, 1, 2, 3)))
    assert {one.path.stem for one in executor.map(step, None, shards(4, 5))} == {"00004", "00005"}


def test_an_error_of_a_step_keeps_its_kind_and_text(executor):
    def step(rows: Dataset, _: None) -> tuple[Dataset, Counter]:
        raise ModelError("There is no such model.")

    with pytest.raises(ModelError) as raised:
        list(executor.map(step, None, shards(0)))
    assert str(raised.value) == "There is no such model."


def test_work_is_read_as_it_can_be_taken_up(executor):
    read = []

    def work():
        for path, rows in shards(*range(20)):
            read.append(path)
            yield path, rows

    def step(rows: Dataset, _: None) -> tuple[Dataset, Counter]:
        return rows, Counter()

    for number, _ in enumerate(executor.map(step, None, work())):
        assert len(read) <= number + 3  # one in each of two workers, and the one that is handed over
