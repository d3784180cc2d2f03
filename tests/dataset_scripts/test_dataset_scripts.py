"""Each script builds its corpus from a run folder in one command, and refuses what is none of its kind."""

import re
import runpy
import shutil
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from datasets import get_dataset_config_names, load_dataset

from davidgen_hf.storage.shards import read_shard, shard_paths, write_shard

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "dataset_scripts").glob("*.py"))
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
KINDS = {
    "unsupervised": lambda row: row["strategy"] == "whole" and not row["supervised"],
    "supervised": lambda row: row["strategy"] == "whole" and row["supervised"],
    "extracted": lambda row: row["strategy"] != "whole",
    "combined": lambda row: True,
}


def only(kind: str, run: Path, folder: Path) -> Path:
    """Copy a run with pairs of one kind alone."""
    shutil.copytree(run, folder)
    for path in shard_paths(folder / "corpus"):
        rows = read_shard(path).filter(KINDS[kind])
        write_shard(rows, path, Counter(pairs=len(rows)), 0.0)
    return folder


@pytest.fixture
def run_script(monkeypatch):
    def run_script(script: Path, *words: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
        runpy.run_path(str(script), run_name="__main__")

    return run_script


@each_script
def test_a_run_becomes_a_folder_that_loads(script, tiny_run, tmp_path, run_script):
    kind = script.stem.removeprefix("davidgen_")
    run = only(kind, tiny_run, tmp_path / "run")
    run_script(script, run, "--output", tmp_path / "built", "--repo", f"org/{script.stem}")
    expected = [row["id"] for path in shard_paths(run / "corpus") for row in read_shard(path)]
    assert sorted(load_dataset(str(tmp_path / "built"), kind, split="train")["id"]) == sorted(expected)
    assert {kind, "combined", "scored", "seeds"} <= set(get_dataset_config_names(str(tmp_path / "built")))
    assert f'load_dataset("org/{script.stem}"' in (tmp_path / "built" / "README.md").read_text("utf-8")


def test_a_run_of_another_kind_is_refused(tiny_run, tmp_path, run_script, capsys):
    with pytest.raises(SystemExit) as ended:
        run_script(ROOT / "dataset_scripts/davidgen_supervised.py", tiny_run, "--output", tmp_path / "built")
    assert ended.value.code == 2
    assert "holds pairs of the kinds ['unsupervised', 'supervised', 'extracted']" in capsys.readouterr().err
    assert not (tmp_path / "built").exists()


def test_there_is_a_script_for_each_kind_of_pairs():
    assert {script.stem for script in SCRIPTS} == {f"davidgen_{kind}" for kind in KINDS}


@each_script
def test_a_script_says_what_it_needs(script):
    (block,) = re.findall(r"(?m)^# /// script\n((?:^#.*\n)+?)^# ///$", script.read_text("utf-8"))
    needs = tomllib.loads("".join(line[2:] for line in block.splitlines(keepends=True)))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert needs.pop("tool") == {"hf-jobs": {"flavor": "cpu-upgrade", "timeout": "2h", "secrets": ["HF_TOKEN"]}}
    assert needs == {"requires-python": project["requires-python"], "dependencies": [f"{project['name']}>=0.1"]}


@each_script
def test_a_script_has_help(script, run_script, capsys):
    with pytest.raises(SystemExit) as ended:
        run_script(script, "--help")
    assert ended.value.code == 0
    assert f"python dataset_scripts/{script.name} runs/" in capsys.readouterr().out
