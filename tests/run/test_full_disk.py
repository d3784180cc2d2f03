"""A disk that is full or must not be written to: a clear error, nothing finished is lost, the next call resumes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from davidgen_hf.errors import RunFolderError
from davidgen_hf.methods import BackTranslation
from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.run import run_recipe
from davidgen_hf.storage.shards import read_metadata, read_shards, shard_paths

PAGE = 4096
TO_DO = "cannot be written.*ake room or allow writing"

STAGES = tuple(stage.name for stage in BackTranslation().stages())


def mount(*options: str) -> None:
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk to fill: mount says {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """An empty disk of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def make(tmp_path) -> Callable[[Path], Path]:
    """Make a corpus of 12 passages in shards of 4 with the echo engine; return its folder."""
    texts = [f"The house number {n} stands by the river, and {n + 1} people live in it." for n in range(12)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    asked = [f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")]
    asked += ["corpus.generate.engine.model=echo", "corpus.guards.rules.language=en", "corpus.shard_rows=4"]
    recipe = load_recipe("demo", [*asked, f"corpus.passages.source={tmp_path}/p.jsonl"])

    def make(folder: Path) -> Path:
        run_recipe(recipe, folder, lambda _: None, steps=("corpus",))
        return folder

    return make


def fill(disk: Path, pages_left: int) -> Path:
    """Fill a disk up to so many pages; return what fills it."""
    free = os.statvfs(disk)
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        file.write(bytes((free.f_bavail - pages_left) * PAGE))
    return filler


def finished(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for stage in STAGES for path in shard_paths(folder / stage)}


def refusal_of(make: Callable[[Path], Path], run: Path) -> str | None:
    try:
        make(run)
    except RunFolderError as error:
        return str(error)
    return None


def rows_of(folder: Path) -> dict[str, dict]:
    return {stage: read_shards(folder / stage)[:] for stage in STAGES}


@pytest.mark.parametrize("step", [16, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_a_full_disk_at_every_moment(make, disk, tmp_path, step):
    whole = rows_of(make(tmp_path / "whole"))
    pages, refused, reached = 0, 0, set()
    while True:
        run = disk / f"run{pages}"
        filler = fill(disk, pages)
        refusal = refusal_of(make, run)
        filler.unlink()
        if refusal is None:
            break
        refused += 1
        assert re.search(r"(No space left on device|disk is full).*make room or allow writing", refusal, re.IGNORECASE)
        before = finished(run)
        reached.add(len(before))
        assert all(read_metadata(path) for path in before)
        make(run)
        assert {path: time for path, time in finished(run).items() if path in before} == before
        assert rows_of(run) == whole
        assert not list(run.rglob("*.part"))
        subprocess.run(["rm", "-r", str(run)], check=True)
        pages += step
    assert max(reached) > len(STAGES)
    assert refused
    sys.stdout.write(
        f"refused {refused} times, with {sorted(reached)} shards finished, until {pages} pages of 4 kB were free\n"
    )


def test_a_read_only_folder(make, disk, tmp_path):
    run = make(disk / "run")
    whole = rows_of(run)
    for name in ("scored/00001.parquet", "corpus/00001.parquet"):
        (run / name).unlink()
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"steps": {}}))
    mount("-o", "remount,ro", str(disk))
    for folder in (run, disk / "other"):
        with pytest.raises(RunFolderError, match=TO_DO):
            make(folder)
    mount("-o", "remount,rw", str(disk))
    assert rows_of(make(run)) == whole
