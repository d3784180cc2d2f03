"""What a run shows: one live display on a terminal, plain lines elsewhere, and what libraries print in a log."""

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from davidgen_hf.errors import RunFolderError
from davidgen_hf.run.display import Display
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.progress import LOG, Bar, Progress, begin_step
from davidgen_hf.storage.status import describe_run
from davidgen_hf.terminal import Terminal

# Trains for four losses, makes shards with an engine's bar within, warns, and prints as libraries do.
CODE = """
import logging, subprocess, sys, time
from pathlib import Path
from davidgen_hf.run import display
from davidgen_hf.storage.progress import Bar, begin_step
display.LINE_SECONDS = 0.2
shown = display.Display(**{!r})
with shown.over(Path({!r})):
    for step in ("generator", "corpus"):
        shown.announce(step.upper())
        begin_step(step, ("generator", "corpus"))
        if step == "generator":
            with Bar("training", "steps", 40) as bar:
                for number in range(40):
                    bar.add_loss(3 - number / 20)
                    bar.update()
                    time.sleep(0.05)
        else:
            with Bar("candidates", "shards", 2) as bar, Bar("generate", "texts", 8) as inner:
                inner.update(2)
                logging.getLogger("davidgen_hf.engines").warning("Out of memory")
                print("a library's line", file=sys.stderr)
                subprocess.run(["echo", "a process of a library"])
                time.sleep(1.0)
                inner.update(6)
                bar.update(2)
print("after")
"""


# Of its own, because a parent may have set the size of another terminal, as pytest-xdist does.
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}


def on_terminal(command: list[str], **environment: str) -> str:
    """Return what a command prints on a terminal of 100 columns, without the colors."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen(command, **streams, env=os.environ | TERMINAL | environment) as process:
        os.close(theirs)
        found = b""
        try:
            while chunk := os.read(ours, 65536):
                found += chunk
        except OSError:  # the last process with the terminal has ended
            os.close(ours)
    assert process.returncode == 0, found.decode()
    return re.sub(r"\x1b\[(?:[0-9;]*m|\?25[lh])", "", found.decode())


def script(folder: Path, **options: bool) -> list[str]:
    return [sys.executable, "-c", CODE.format(options, str(folder))]


def test_a_terminal_shows_steps_bars_rates_time_left_losses_and_warnings_above(tmp_path):
    shown = on_terminal(script(tmp_path))
    assert shown.split()[0] == "GENERATOR"
    assert "1 generator  2 corpus" in shown
    counts = r"training [1-9]\d?/40 steps, \d+\.\d (?:per second|s each), about \d+:\d\d left, loss 2\.\d+"
    assert re.search(rf"[━╸╺]{{20}} {counts} █\S*▁", shown)
    frames = shown.split("1 generator  2 corpus")
    assert any("candidates 0/2 shards" in frame and "generate 2/8 texts" in frame for frame in frames)
    assert frames[-1].count("training") == 0, "a bar that has ended is still shown"
    warned = next(number for number, frame in enumerate(frames) if "Out of memory" in frame)
    assert "generate 0/8 texts" in frames[warned + 1], "the bar is not below the warning"
    assert "\x1b[1A" in shown
    assert "library" not in shown
    assert shown.rstrip().endswith("after")
    log = (tmp_path / LOG).read_text("utf-8").splitlines()
    assert log == ["Out of memory", "a library's line", "a process of a library"]


def test_without_a_terminal_there_is_a_line_now_and_then(tmp_path):
    ran = subprocess.run(script(tmp_path), capture_output=True, text=True, check=True)
    lines = ran.stdout.splitlines()
    assert "\x1b" not in ran.stdout + ran.stderr
    assert ran.stderr == ""
    training = [line for line in lines if line.startswith("  training")]
    done = [int(re.search(r"(\d+)/40", line)[1]) for line in training]
    assert (done[0], done[-1]) == (0, 40)
    assert 4 <= len(done) < 20, "there are 80 changes in 0.8 seconds, and a line every 0.2"
    assert re.fullmatch(r"  training 40/40 steps, \d+\.\d per second, loss 1\.050", training[-1])
    assert lines[-4] == "Out of memory"
    assert lines[-3].startswith("  candidates 0/2 shards; generate 8/8 texts, ")
    assert re.fullmatch(r"  candidates 2/2 shards, \d+\.\d per second", lines[-2])
    quiet = subprocess.run(script(tmp_path, quiet=True), capture_output=True, text=True, check=True)
    assert quiet.stdout.splitlines() == ["Out of memory", "after"]
    (tmp_path / LOG).unlink()
    verbose = subprocess.run(script(tmp_path, verbose=True), capture_output=True, text=True, check=True)
    assert "a process of a library" in verbose.stdout
    assert verbose.stderr == "a library's line\n"
    assert not (tmp_path / LOG).exists()


def test_status(tmp_path):
    with pytest.raises(RunFolderError, match="is not a run folder: it has no run"):
        describe_run(tmp_path)
    record = tmp_path / "run.json"
    record.write_text(json.dumps({"steps": {}, "recipe": {}, "name": "a"}))
    assert describe_run(tmp_path) == ["Not running."]
    with hold(tmp_path), Display(quiet=True).over(tmp_path):
        begin_step("generator", ("generator", "corpus"))
        with Bar("training", "steps", 8, 2) as bar:
            bar.add_loss(2.5)
            bar.update(3)
        first, last = describe_run(tmp_path)
        assert re.fullmatch(r"generator: in progress \(0:0\d ago\)", first)
        assert last == f"Running: process {os.getpid()} on {os.uname().nodename} works in {tmp_path}."
    assert describe_run(tmp_path)[-1] == "Not running. The same command resumes the run."
    with Display(quiet=True).over(tmp_path), Bar("report", "rows", 1):
        pass
    assert describe_run(tmp_path)[-1] == "Not running. The same command resumes the run."
    steps = {"generator": {"seconds": 75.0, "rows": {}, "steps": 8, "loss_start": 1.0, "loss_end": 1.0}}
    record.write_text(json.dumps({"steps": steps, "recipe": {}, "name": "a"}))
    begun = describe_run(tmp_path)
    assert begun[0] == "generator: done in 1:15"
    assert begun[-1] == "Not running. The same command resumes the run."


def test_status_of_a_folder_without_a_record(tmp_path):
    """A study, and the improvement of a generator."""
    with hold(tmp_path), Display(quiet=True).over(tmp_path):
        begin_step("guards, seed 0", ("guards, seed 0", "random, seed 0"))
        first, last = describe_run(tmp_path)
        assert re.fullmatch(r"guards, seed 0: in progress \(0:0\d ago\)", first)
        assert last.startswith("Running: process")
    first, last = describe_run(tmp_path)
    assert first.startswith("guards, seed 0: unfinished")
    assert last == "Not running. The same command resumes it, and does nothing if it is finished."


@pytest.mark.slow
def test_a_command_on_a_terminal(tiny_llama, tmp_path):
    folder = tmp_path / "run"
    named = [f"generator.{one}" for one in (f"model_name_or_path={tiny_llama}", "max_steps=6", "logging_steps=1")]
    command = [sys.executable, "-m", "davidgen_hf", "run", "demo", *named, "--output", str(folder)]
    shown = on_terminal([*command, "--until", "generator"])
    assert "1 seeds  2 generator" in shown
    assert re.search(r"[━╸╺]{20} training [1-6]/6 steps, .*, loss \d\.\d+", shown)
    assert "90 used (" in shown, "a warning is missing"
    assert "examples/s" not in shown
    assert "examples/s" in (folder / LOG).read_text("utf-8")
    ran = subprocess.run([*command, "--quiet", "--until", "generator"], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")
    ran = subprocess.run(
        [sys.executable, "-m", "davidgen_hf", "status", str(folder)], capture_output=True, text=True, check=True
    )
    seeds, generator, end = ran.stdout.splitlines()
    assert seeds.startswith("seeds: done in 0:")
    assert generator.startswith("generator: done in ")
    assert end == "Not running. All steps are done."


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_last_loss_is_seen_on_a_narrow_terminal(width):
    display = Display()
    display.console = Terminal(file=io.StringIO(), force_terminal=True, width=width)
    step = Bar("training", "steps", 120_000, 1_000)
    step.done, step._started = 23_456, time.monotonic() - 98_765
    step.losses += [3.0, 2.906]
    display._progress = Progress(("generator", "corpus"), "generator", [step])
    display.console.print(display._render())
    shown = display.console.file.getvalue()
    assert " loss 2.906" in " ".join(shown.split())
    assert len(shown.splitlines()) == (3 if width == 60 else 2)
    assert ("━" in shown) == (width > 60)
