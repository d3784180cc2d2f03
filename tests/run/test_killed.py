"""A run that is killed at any moment, in a process of its own: the next call resumes, and the corpus is the same."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from davidgen_hf.cli.running import _sigterm_interrupts
from davidgen_hf.methods import BackTranslation
from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.run import run_recipe
from davidgen_hf.storage.lock import LOCK
from davidgen_hf.storage.shards import read_metadata, read_shards, shard_paths

SHARDS = 20
ECHO = [f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")]
ASKED = [*ECHO, "corpus.generate.engine.model=echo", "corpus.guards.rules.language=en"]

STAGES = tuple(stage.name for stage in BackTranslation().stages())


def write_passages(path: Path, count: int) -> list[str]:
    texts = [f"The house number {n} stands by the river, and {n + 1} people live in it." for n in range(count)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return [f"corpus.passages.source={path}", f"corpus.passages.max_rows={count}"]


@pytest.fixture
def begin(tmp_path) -> Callable[[Path], BaseProcess]:
    """Begin to make a corpus of 20 shards in a process that has the package imported; return that process."""
    recipe = load_recipe("demo", [*ASKED, *write_passages(tmp_path / "p.jsonl", SHARDS * 4), "corpus.shard_rows=4"])
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["davidgen_hf.run.run"])

    def begin(folder: Path) -> BaseProcess:
        process = processes.Process(target=run_recipe, args=(recipe, folder, print), kwargs={"steps": ("corpus",)})
        process.start()
        return process

    return begin


def whole_shards(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for stage in STAGES for path in shard_paths(folder / stage)}


def rows_of(folder: Path) -> dict[str, dict]:
    return {stage: read_shards(folder / stage)[:] for stage in STAGES}


def finish(process: BaseProcess) -> None:
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("kills", [4, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_killed_at_random_moments(begin, tmp_path, kills):
    finish(begin(tmp_path / "warm"))
    started = time.perf_counter()
    finish(begin(tmp_path / "whole"))
    duration = time.perf_counter() - started
    whole = rows_of(tmp_path / "whole")
    moment = random.Random(int(os.environ.get("DAVIDGEN_TEST_SEED", "0")))
    landed, rounds, phases = 0, 0, []
    while landed < kills:
        folder = tmp_path / f"round{rounds}"
        rounds += 1
        finished: dict[Path, int] = {}
        while True:
            process = begin(folder)
            process.join(moment.uniform(0, duration / 4) if landed < kills else None)
            process.kill()
            process.join()
            now = whole_shards(folder)
            assert {path: now[path] for path in finished} == finished, "a finished shard was made twice"
            finished = now
            if process.exitcode == 0:
                break
            assert process.exitcode == -signal.SIGKILL
            landed += 1
            phases.append(len(now))
            parts = list(folder.rglob("0*.part"))
            assert len(parts) <= 1, "more than the shard in hand was lost"
        assert rows_of(folder) == whole
        left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert left == {str(path.relative_to(tmp_path / "whole")) for path in (tmp_path / "whole").rglob("*.*")}
    sys.stdout.write(
        f"{landed} kills in {rounds} runs of {duration:.1f} s, with {sorted(phases)} of {SHARDS * 6} there\n"
    )


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_how_to_resume(tmp_path, stop):
    asked = [*ASKED, *write_passages(tmp_path / "p.jsonl", 60), "corpus.shard_rows=1"]
    command = [sys.executable, "-m", "davidgen_hf", "corpus", "demo", *asked, "--output", str(tmp_path / "run")]
    heeds = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - a job in the background ignores it
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, preexec_fn=heeds) as process:
        while not list((tmp_path / "run" / "candidates").glob("*.parquet")):
            time.sleep(0.01)
            assert process.poll() is None, process.stderr.read()
        process.send_signal(stop)
        said, complained = process.communicate()
    assert process.returncode == 128 + stop
    assert "Stopped. Finished work is in" in said
    assert "the same command resumes there" in " ".join(said.split())
    assert "Traceback" not in complained
    before = whole_shards(tmp_path / "run")
    assert all(read_metadata(path) for path in before)
    assert not (tmp_path / "run" / "corpus").exists()
    run_recipe(load_recipe("demo", asked), tmp_path / "run", lambda _: None, steps=("corpus",))
    after = whole_shards(tmp_path / "run")
    assert len(after) == 60 * len(STAGES)
    assert {path: after[path] for path in before} == before


def test_one_that_dies_before_its_record_is_complete_leaves_a_folder_that_resumes(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).write_text("")
    (tmp_path / "run" / "run.json.part").write_text('{"name"')
    asked = [*ASKED, *write_passages(tmp_path / "p.jsonl", 4)]
    run_recipe(load_recipe("demo", asked), tmp_path / "run", lambda _: None, steps=("corpus",))
    assert not (tmp_path / "run" / "run.json.part").exists()


def test_a_stop_ends_forked_processes_and_no_later_command():
    before = signal.getsignal(signal.SIGTERM)
    with _sigterm_interrupts():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        ready, tell = multiprocessing.Pipe()
        worker = multiprocessing.get_context("fork").Process(target=_survive, args=(tell,), daemon=True)
        worker.start()
        ready.recv()  # Python drops a signal that comes while it forks
        worker.terminate()
        worker.join(timeout=20)
        assert worker.exitcode == -signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def _survive(tell: Connection) -> None:
    tell.send("ready")
    while True:
        with suppress(KeyboardInterrupt):
            time.sleep(60)
