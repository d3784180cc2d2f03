"""A pull takes the files of one run, and nothing else that a repository or an earlier pull holds."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_double import Commit, File, HubDouble, Repo

from davidgen_hf.errors import HubError, RunFolderError
from davidgen_hf.publish.pull import pull

RECORD = {"name": "demo", "recipe": {}, "steps": {}}
EVIL = b"EVIL"


@pytest.fixture
def fill(near_hub) -> Callable[..., None]:
    def fill(name: str, files: dict[str, bytes], repo_type: str = "dataset") -> None:
        first = Commit(
            hashlib.sha1(name.encode()).hexdigest(), "t", {path: File(data) for path, data in files.items()}
        )
        near_hub.state.repos[repo_type, name] = Repo(False, {"main": [first]})

    return fill


def record(**facts: object) -> bytes:
    return json.dumps(RECORD | facts).encode()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_restored(fill, tmp_path):
    files = {"run.json": record(), "corpus/00000.parquet": b"C0", "fragments/finished.json": b"{}"}
    fill("org/a", {f"run/{name}": data for name, data in files.items()} | {"README.md": b"x", "data/x.parquet": b"x"})
    fill("org/a-generator", {"config.json": b"{}", "model.safetensors": b"W"}, "model")
    assert pull("org/a", tmp_path / "run") == tmp_path / "run"
    model = {"generator/config.json": b"{}", "generator/model.safetensors": b"W"}
    assert content(tmp_path / "run") == files | model
    assert sorted(path.name for path in tmp_path.iterdir()) in (["run"], ["hub_cache", "run"])


@pytest.mark.parametrize(
    "name",
    [
        *("run/../../../evil", "run/../evil", "../evil", "run/a\\..\\..\\evil", "run/.lock", "run/seeds/evil.py"),
        *("run/generator/config.json", "run/checkpoint-1/optimizer.bin", "run/deep/er/evil.parquet"),
    ],
)
def test_a_file_that_is_not_of_a_run_is_not_taken(fill, tmp_path, name):
    fill("org/evil", {"run/run.json": record(), name: EVIL})
    pull("org/evil", tmp_path / "deep" / "er" / "run")
    assert content(tmp_path / "deep") == {"er/run/run.json": record()}
    assert EVIL not in content(tmp_path).values()


def test_code_pickles_and_checkpoints_of_a_model_are_not_taken(fill, tmp_path):
    fill("org/a", {"run/run.json": record()})
    pickled = pickle.dumps(os.getcwd)
    evil = {"training_args.bin": pickled, "pytorch_model.bin": pickled, "modeling_evil.py": EVIL, "../../evil": EVIL}
    evil |= {"checkpoint-9/optimizer.pt": pickled, "checkpoint-9/model.safetensors": EVIL, "optimizer.pt": pickled}
    fill("org/a-follower", evil | {"config.json": b"{}"}, "model")
    pull("org/a", tmp_path / "run")
    assert content(tmp_path / "run") == {"run.json": record(), "follower/config.json": b"{}"}


def test_a_pull_that_failed_leaves_nothing_for_the_next(fill, tmp_path, near_hub, monkeypatch):
    fill(
        "org/a",
        {"run/run.json": record(name="a"), "run/corpus/00000.parquet": b"A0", "run/corpus/00001.parquet": b"A1"},
    )
    fill("org/b", {"run/run.json": record(name="b"), "run/corpus/00000.parquet": b"B0"})
    handler = near_hub._server.RequestHandlerClass

    def refuse_one(self: object, path: str, *rest: object) -> None:
        return self._answer(403, {}) if path.endswith("00001.parquet") else route(self, path, *rest)

    route = handler._route
    monkeypatch.setattr(handler, "_route", refuse_one)
    with pytest.raises(HubError, match="the token may not read it"):
        pull("org/a", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    pull("org/b", tmp_path / "run")
    assert content(tmp_path / "run") == {"run.json": record(name="b"), "corpus/00000.parquet": b"B0"}
    assert not list(tmp_path.glob(".run.*"))


@pytest.mark.parametrize("content_of_record", [b"{", b"[]", b'{"name": 1}', b"\xff", b""])
def test_a_run_that_cannot_be_read_is_not_restored(fill, tmp_path, content_of_record):
    fill("org/a", {"run/run.json": content_of_record})
    with pytest.raises(HubError, match="holds no run that can be read"):
        pull("org/a", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not list(tmp_path.glob(".run.*"))


def test_a_dataset_without_a_run_is_named(fill, tmp_path):
    fill("org/a", {"README.md": b"x", "run/corpus/00000.parquet": b"x"})
    with pytest.raises(HubError, match=r"org/a holds no run: it lacks run/run\.json"):
        pull("org/a", tmp_path / "run")
    assert not list(tmp_path.glob(".run.*"))


def test_a_revision_that_does_not_exist_is_named(fill, tmp_path):
    fill("org/a", {"run/run.json": record()})
    with pytest.raises(HubError, match="no such branch, tag or commit"):
        pull("org/a", tmp_path / "run", revision="nowhere")


@pytest.mark.parametrize("name", ["", "..", "."])
def test_a_folder_in_use_is_refused(name):
    with pytest.raises(RunFolderError, match="Name a new folder for the run"):
        pull("org/a", Path(name))


def test_a_file_or_link_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(RunFolderError, match="exists and is not a folder"):
            pull("org/a", tmp_path / name)
    with pytest.raises(RunFolderError, match="exists and is not empty"):
        pull("org/a", tmp_path)


def test_offline_is_said_at_once(monkeypatch, tmp_path, near_hub):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        pull("org/a", tmp_path / "run")
    assert near_hub.state.log == []


REFUSALS = {
    "gated": (
        403,
        "GatedRepo",
        "Access to dataset org/c is restricted.",
        "asks its readers for consent: visit its page",
    ),
    "gated without token": (
        401,
        "GatedRepo",
        "You must be authenticated.",
        "asks its readers for consent: visit its page",
    ),
    "mistyped without token": (401, "RepoNotFound", "Repository not found", "check the name, org/name, or"),
    "mistyped": (404, "RepoNotFound", "Repository not found", "there is no such repository, or it is private"),
    "disabled": (403, "DisabledRepo", "Access to this resource is disabled.", "Access to this resource is disabled"),
    "no right": (403, "", "You cannot", "the token may not read it"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_said_at_once_in_the_words_of_the_hub(case, near_hub, tmp_path, monkeypatch):
    status, code, text, words = REFUSALS[case]
    refuse(near_hub, monkeypatch, status, {"X-Error-Code": code, "X-Error-Message": text})
    with pytest.raises(HubError, match=words):
        pull("org/c", tmp_path / "run")
    assert len(near_hub.state.log) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'"x"', b"{}", b'{"siblings": 3}', b'{"sha": 1, "siblings": [{}]}', b"<html>", b"\xff"],
)
def test_an_answer_that_is_not_of_the_hub_is_named(body, near_hub, tmp_path, monkeypatch):
    refuse(near_hub, monkeypatch, 200, {}, body)
    with pytest.raises(HubError, match="org/c"):
        pull("org/c", tmp_path / "run")


def refuse(hub: HubDouble, monkeypatch, status: int, headers: dict[str, str], body: bytes = b"{}") -> None:
    handler = hub._server.RequestHandlerClass
    monkeypatch.setattr(handler, "_route", lambda self, *_: self._answer(status, body, headers))
