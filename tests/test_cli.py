"""The command line: every command has help, and every fault is one text, exit code 2, no traceback."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from davidgen_hf import cli
from davidgen_hf.errors import DavidgenError


def davidgen(*words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["davidgen", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def commands() -> list[str]:
    return [command.name or command.callback.__name__ for command in cli.app.registered_commands]


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help(command):
    shown = CliRunner().invoke(cli.app, [command, "--help"])
    assert shown.exit_code == 0
    assert "Usage: " in shown.output


def test_the_commands_are_those_of_the_design():
    assert {"demo", "run"} <= set(commands())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "nowhere"], "There is no recipe folder 'nowhere'"),
        (
            ["run", "demo", "corpus.generate.n=x", "seeds.heldout=1"],
            "seeds.yaml: 1 problem(s).\n  heldout: unknown key\n3_corpus",
        ),
        (["run", "demo", "--passages", "empty.jsonl"], "empty.jsonl holds no rows"),
        (["run", "demo", "--passages", "broken.jsonl"], "broken.jsonl, line 2: not valid JSON"),
        (
            ["run", "demo", "--passages", "other.jsonl"],
            "other.jsonl:1 has no column 'text'; it has ['id', 'body']. One of them must hold the text.",
        ),
        (["run", "demo", "--passages", "other.jsonl", "--text-column", "bod"], "has no column 'bod'"),
        (["run", "demo", "--passages", "latin1.txt"], "latin1.txt, line 1: byte 4 of the line is not UTF-8"),
        (["run", "demo", "--passages", "nulls.jsonl"], "has no row with text in column 'text': {'null': 1}"),
        (["run", "demo", "--seeds", "other.jsonl"], "other.jsonl:1 is not a seed"),
        (["run", "demo", "--base-model", "./no-model"], "./no-model"),
        (["run", "demo", "--output", "taken"], "is not empty and holds no run.json"),
    ],
)
def test_bad_input_is_one_text_and_writes_nothing(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text": "b\n')
    (tmp_path / "other.jsonl").write_text(json.dumps({"id": 1, "body": "a"}))
    (tmp_path / "latin1.txt").write_bytes("café".encode("latin1"))
    (tmp_path / "nulls.jsonl").write_text('{"text": null}')
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    assert davidgen(*words, monkeypatch=monkeypatch) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_no_traceback_from_a_process_of_its_own(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "davidgen_hf", "run", "nowhere"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("davidgen: There is no recipe folder 'nowhere'")
    assert len(ended.stderr.splitlines()) == 1


def test_an_error_of_ours_ends_with_2(monkeypatch, capsys):
    def fail() -> None:
        raise DavidgenError("found this, needed that")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "davidgen: found this, needed that\n"


def test_an_error_that_is_not_ours_is_reported_as_ours(monkeypatch, tmp_path, capsys):
    def fail() -> None:
        raise RuntimeError("a fault")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "RuntimeError: a fault" in capsys.readouterr().err
    assert "RuntimeError: a fault" in next((tmp_path / "davidgen").iterdir()).read_text("utf-8")


def test_help_is_fast_since_it_imports_no_model_library(tmp_path):
    code = "import sys, davidgen_hf.cli; sys.exit('torch' in sys.modules or 'datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
