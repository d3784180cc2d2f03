"""The one place where exceptions end: words and exit codes, and a report of what is our fault."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from davidgen_hf.commandline import run_command_line
from davidgen_hf.errors import DavidgenError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "davidgen"


def ends(error: BaseException) -> int:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command_line(fail)
    return ended.value.code


def test_a_bug_ends_with_1_and_one_line_that_names_the_traceback(cache, capsys):
    assert ends(KeyError("corpus")) == 1
    out, err = capsys.readouterr()
    (report,) = cache.iterdir()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("davidgen: internal error, KeyError: 'corpus' This is a bug in davidgen_hf")
    assert str(report) in err
    assert "please report it" in err


def test_a_crash_report_is_whole_private_and_without_secrets(cache, monkeypatch, capsys):
    token = "hf_" + "aB3" * 12
    monkeypatch.setattr(sys, "argv", ["davidgen", "run", token])
    assert ends(RuntimeError(f"it said {token}")) == 1
    (report,) = cache.iterdir()
    text = report.read_text("utf-8")
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert "raise error\nRuntimeError: it said [hidden]" in text
    assert "command: davidgen run" in text
    assert token not in text
    assert token not in capsys.readouterr().err


def test_every_crash_has_a_report_of_its_own(cache):
    assert [ends(KeyError()), ends(KeyError())] == [1, 1]
    assert len(list(cache.iterdir())) == 2


def test_a_crash_report_goes_to_the_temporary_folder_if_the_cache_is_not_a_folder(
    cache, tmp_path, monkeypatch, capsys
):
    cache.touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ends(KeyError("x")) == 1
    assert f"is in {tmp_path}/davidgen-crash-" in capsys.readouterr().err


def test_a_traceback_that_no_file_can_hold_is_printed(cache, tmp_path, monkeypatch, capsys):
    cache.touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert ends(KeyError("x")) == 1
    err = capsys.readouterr().err
    assert err.startswith("command: ")
    assert "raise error\nKeyError: 'x'" in err
    assert "is above, since no file could be written" in err


def test_a_message_sends_no_control_characters_to_the_terminal(cache, capsys):
    assert ends(DavidgenError("it holds \x1b]0;title\x07")) == 2
    assert ends(KeyError("\x1b[31m")) == 1
    assert "\x1b" not in capsys.readouterr().err


def test_an_error_of_ours_ends_with_2(cache, capsys):
    assert ends(DavidgenError("Found this. Expected that. Do this.")) == 2
    assert capsys.readouterr().err == "davidgen: Found this. Expected that. Do this.\n"
    assert not cache.exists()


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOSPC, errno.EROFS]
)
def test_a_path_that_cannot_be_used_is_not_a_bug(cache, capsys, number):
    assert ends(OSError(number, os.strerror(number), "some/where")) == 2
    assert f"some/where cannot be used: {os.strerror(number)}. It must" in capsys.readouterr().err


def test_a_file_that_we_ought_to_have_is_a_bug(cache):
    assert ends(FileNotFoundError(errno.ENOENT, "No such file", "ours")) == 1


def test_ctrl_c_ends_without_a_word(cache, capsys):
    assert ends(KeyboardInterrupt()) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_closed_pipe_ends_without_a_word(lines, tmp_path):
    code = f"from davidgen_hf.commandline import run_command_line as r; r(lambda: print('line\\n' * {lines}))"
    shell = f'set -o pipefail; {sys.executable} -c "{code}" | true'
    ended = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert ended.returncode in ({141} if lines > 1 else {0, 141})  # one line may pass before the reader is gone


def test_a_pipe_that_closes_during_a_command_ends_without_a_word(tmp_path):
    shell = f"set -o pipefail; {sys.executable} -m davidgen_hf --help | (exec <&-; sleep 2)"
    ended = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_text_that_is_not_utf8_is_printed_anyway(tmp_path):
    code = "from davidgen_hf.commandline import run_command_line as r\nr(lambda: print('a\\udcffb é'))"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True
    )
    assert (ended.returncode, ended.stdout) == (0, b"a\\udcffb \\xe9\n")
