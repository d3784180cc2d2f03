"""What lies in a run's folder may be published: it names no folder, user or machine."""

import getpass
import json
import re
import socket
from pathlib import Path

import pytest

from davidgen_hf.storage.digests import folder_digest, without_folders
from davidgen_hf.storage.lock import LOCK
from davidgen_hf.storage.shards import read_shards


def test_no_file_of_a_run_names_where_it_was_made(tiny_run, tiny_llama):
    places = [str(place).encode() for place in (tiny_run.parent, tiny_llama.parent, Path.home())]
    files = [path for path in tiny_run.rglob("*") if path.is_file()]
    assert [path for path in files for place in places if place in path.read_bytes()] == []
    told = [path for path in files if path.name == LOCK or path.suffix in {".json", ".md", ".yaml"}]
    assert len(told) > 5
    names = re.compile(rf'[/"]({re.escape(getpass.getuser())}|{re.escape(socket.gethostname())})[/"]')
    assert [path for path in told if names.search(path.read_text("utf-8"))] == []


def test_a_record_has_seconds_and_tokens_of_each_stage_seeds_and_versions(tiny_run):
    record = json.loads((tiny_run / "run.json").read_text("utf-8"))
    report = record["steps"]["corpus"]
    assert set(report["stage_tokens"]) == {"candidates", "scored"}
    tokens = report["stage_tokens"]["candidates"] | report["stage_tokens"]["scored"]
    assert set(tokens) == {"prompts", "candidates", "scored"}
    rows = read_shards(tiny_run / "scored", ["candidates"])
    assert tokens["scored"] == sum(one["n_tokens"] or 0 for row in rows for one in row["candidates"]) > 0
    assert tokens["prompts"] > tokens["candidates"] > 0
    assert not any(what.startswith("tokens") for counts in report["counts"].values() for what in counts)
    assert report["stage_seconds"]["scored"] >= 0
    assert record["random_seeds"]["sampling"] == 0
    assert record["versions"]["datasets"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("{folder}/texts.jsonl", "texts.jsonl"),
        ("/nowhere/that/is/gone.jsonl", "gone.jsonl"),
        ("HuggingFaceTB/SmolLM2-360M", "HuggingFaceTB/SmolLM2-360M"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("/no_think", "/no_think"),
        (["{folder}", 1], ["{name}", 1]),
    ],
)
def test_paths_are_cut_to_names_and_nothing_else_is(tmp_path, value, name):
    (tmp_path / "texts.jsonl").touch()
    filled = json.loads(json.dumps({"a": value}).replace("{folder}", str(tmp_path)))
    assert without_folders(filled) == {"a": json.loads(json.dumps(name).replace("{name}", tmp_path.name))}


def test_a_model_counts_by_its_files_and_not_by_its_place(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(bytes(3 * 2**20))
    assert folder_digest(tmp_path / "one") == folder_digest(tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").write_bytes(bytes(3 * 2**20 - 1) + b"1")
    assert folder_digest(tmp_path / "one") != folder_digest(tmp_path / "other")
