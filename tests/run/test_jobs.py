"""A run as Hugging Face Jobs: what would be submitted, what is, what is not submitted twice, and how far it is."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from hub_double import TOKEN, HubDouble
from typer.testing import CliRunner

from davidgen_hf.cli import app
from davidgen_hf.errors import ExecutorError, HubError, RunFolderError, SettingError

ROOT = Path(__file__).parents[2]
ASKED = ("run", "small", "corpus.generate.n=2", "--executor", "jobs", "--bucket", "org/runs", "--workers", "3")


@pytest.fixture
def hub(monkeypatch):
    # The API of huggingface_hub reads the address when it is imported, so its instance is given this one.
    from huggingface_hub import hf_api

    with HubDouble() as hub:
        monkeypatch.setattr(hf_api.api, "endpoint", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


def call(*words) -> list[str]:
    found = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=True)
    if found.exception:
        raise found.exception
    return found.output.splitlines()


def test_without_yes_the_commands_are_printed_and_nothing_is_sent(hub, tmp_path):
    *commands, last = call(*ASKED, "--output", tmp_path / "mine")
    assert last == "Nothing was submitted. Add --yes to submit 3 jobs."
    for number, command in enumerate(commands):
        words = shlex.split(command)
        assert words[:4] == ["hf", "jobs", "uv", "run"]
        own = words[words.index("--") + 1 :]
        assert own == [
            *["davidgen", "run", "small", "corpus.generate.n=2", "--output", "/runs/mine", "--shard"],
            f"{number}/3",
        ]
        assert f"davidgen-hf=={version('davidgen-hf')}" in words
        assert "hf://buckets/org/runs:/runs" in words
    assert TOKEN not in "".join(commands)
    assert (hub.state.log, list(tmp_path.iterdir())) == ([], [])


def test_jobs_are_submitted_once_and_followed(hub, tmp_path):
    run = tmp_path / "mine"
    *lines, last = call(*ASKED, "--yes", "--output", run)
    assert [line.partition(":")[0] for line in lines] == ["0/3", "1/3", "2/3"]
    assert last == f"Follow them: davidgen status {run}"
    sent = list(hub.state.jobs.values())
    assert [one["command"][-1] for one in sent] == ["0/3", "1/3", "2/3"]
    assert sent[0]["command"][:2] == ["uv", "run"]
    assert sent[0]["volumes"] == [{"type": "bucket", "source": "org/runs", "mountPath": "/runs"}]
    assert (sent[0]["flavor"], sent[0]["timeoutSeconds"]) == ("a10g-small", 6 * 3600)
    assert sent[0]["labels"]["davidgen-part"] == "0-of-3"
    assert TOKEN not in (run / "jobs.json").read_text()

    first, second, third = hub.state.jobs.values()
    first["stage"], second["stage"], third["stage"] = "COMPLETED", "RUNNING", "ERROR"
    third["message"] = "Job failed with exit code: 2"
    found = CliRunner().invoke(app, ["status", str(run)])
    assert isinstance(found.exception, ExecutorError)
    assert str(found.exception).startswith(
        "1 job(s) failed or were stopped, 2/3: Job failed with exit code: 2. Finished"
    )
    lines = found.output.splitlines()
    assert lines[0].startswith("0/3: completed, ")
    assert lines[1].startswith("1/3: running, ")
    assert lines[2].startswith("2/3: error: Job failed with exit code: 2, ")
    assert lines[-1] == "The run is in hf://buckets/org/runs/mine, on a10g-small."

    call(*ASKED, "--yes", "--output", run)  # the third failed, and the others are done or under way
    assert len(hub.state.jobs) == 4
    assert list(hub.state.jobs.values())[-1]["command"][-1] == "2/3"
    assert len(json.loads((run / "jobs.json").read_text())["jobs"]) == 3


def test_what_the_hub_refuses_is_said_and_what_was_submitted_is_kept(hub, tmp_path):
    run = tmp_path / "mine"
    with pytest.raises(
        SettingError, match=r"'a9000', .* do not have\. It must be one of cpu-basic, quantum-x1\. Choose"
    ):
        call(*ASKED, "--flavor", "a9000", "--yes", "--output", run)
    assert len(call(*ASKED, "--flavor", "quantum-x1", "--output", run)) == 4  # newer than this huggingface_hub
    hub.state.credit = 1
    with pytest.raises(
        HubError, match=r"credit or quota does not cover this\. Jobs are paid by the minute\. Add credit"
    ):
        call(*ASKED, "--yes", "--output", run)
    assert len(json.loads((run / "jobs.json").read_text())["jobs"]) == 1
    hub.state.credit = 9
    hub.fail(4, "drop_answer")  # after the question about the first job, and who submits, which is asked twice
    with pytest.raises(HubError):
        call(*ASKED, "--yes", "--output", run)
    assert len(hub.state.jobs) == 2  # not sent again, although no answer came
    (run / "jobs.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"jobs\.json"):
        call("status", run)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "small", "--executor", "jobs"), "--bucket is ''"),
        (("run", "small", "--executor", "jobs", "--bucket", "runs"), "--bucket is 'runs'"),
        ((*ASKED, "--passages", __file__), "is on this machine"),
        ((*ASKED, "corpus.generate.m=3"), r"generate\.m: unknown key"),
        ((*ASKED, "--shard", "0/2"), "takes no --update, --shard"),
        (("run", __file__, *ASKED[2:]), "is on this machine"),
        ((*ASKED, "--until", "corpse"), "corpse"),
    ],
)
def test_mistakes_show_before_anything_is_sent(hub, words, said):
    with pytest.raises(SettingError, match=said):
        call(*words, "--yes")
    assert hub.state.jobs == {}


def test_jobs_need_a_token(hub, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(HubError, match="There is no token of the Hub"):
        call(*ASKED, "--yes", "--output", tmp_path / "mine")


@pytest.mark.parametrize("script", ["recipes/sft.py", "dataset_scripts/davidgen_combined.py"])
def test_the_hub_s_own_command_reads_where_a_script_is_to_run(script):
    """Call ``hf jobs uv run``, which shows what it would submit."""
    words = (Path(sys.executable).with_name("hf"), "jobs", "uv", "run", "--dry-run", ROOT / script)
    ran = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"HF_TOKEN": TOKEN}, check=False)
    assert ran.returncode == 0, ran.stderr
    shown = " ".join((ran.stdout + ran.stderr).split())
    for setting in ("flavor", "timeout"):
        assert re.search(rf"{setting} \S+ \(from script\)", shown)
    assert "HF_TOKEN=*** (from script)" in shown
