"""The one place where an exception becomes a message and an exit code, for the command and for every script."""

import errno
import io
import os
import platform
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from davidgen_hf.errors import DavidgenError
from davidgen_hf.secrecy import hide
from davidgen_hf.terminal import say

USER_ERROR, BUG, INTERRUPTED, BROKEN_PIPE = 2, 1, 130, 141
# What a file system reports about a path or a disk, whichever library met it; a file that is missing is not among
# them, since that can also be a fault of ours.
_PATH_FAULTS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
}


def run_command_line(command: Callable[[], object], name: str = "davidgen") -> None:
    """Run a command line and end the process with the exit code that users and schedulers expect.

    A ``DavidgenError`` is printed as its text and ends with 2. Ctrl-C ends with 130 and a closed pipe with 141, both
    without a word. Any other exception is a bug: it ends with 1 and one line that names the file with the traceback.

    Args:
        command: Parses the command line and runs it.
        name: What the messages start with.
    """
    _print_any_text()
    try:
        command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _leave_pipe()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # as typer ends
            _leave_pipe()
        raise
    except Exception as error:
        text, code = _describe(error)
        with suppress(BrokenPipeError):
            say(f"{name}: {hide(text)}", file=sys.stderr)
        sys.exit(code)


def _print_any_text() -> None:
    """Let both streams escape what they cannot encode; a file name need not be valid UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _describe(error: Exception) -> tuple[str, int]:
    if isinstance(error, DavidgenError):
        return str(error), USER_ERROR
    if isinstance(error, OSError) and error.errno in _PATH_FAULTS:
        return _describe_path_fault(error), USER_ERROR
    return _report_bug(error), BUG


def _leave_pipe() -> None:
    """Exit without flushing to a pipe that nobody reads, which the interpreter would report on its way out."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(BROKEN_PIPE)


def _describe_path_fault(error: OSError) -> str:
    where = f"{error.filename} cannot be used" if error.filename else "A file or folder cannot be used"
    return (
        f"{where}: {error.strerror}. It must be a path that this process may read or write, on a disk with room. "
        "Check the path, its permissions and the free space, and run the same command again."
    )


def _report_bug(error: Exception) -> str:
    """Write the traceback to a file that only the user may read, and return the line that names it."""
    what = " ".join(traceback.format_exception_only(error)[-1].split())
    what = what if len(what) <= 200 else f"{what[:199]}…"
    text = (
        f"command: {shlex.join(sys.argv)}\npython {platform.python_version()} on {platform.platform()}\n\n"
        + "".join(traceback.format_exception(error))
    )
    try:
        place = f"The full traceback is in {_write_crash_report(hide(text))}"
    except OSError:
        say(hide(text), file=sys.stderr)
        place = "The full traceback is above, since no file could be written"
    return (
        f"internal error, {what} This is a bug in davidgen_hf, not a mistake of yours. {place}; please report it with "
        "the command and, if there is one, the run's run.json."
    )


def _write_crash_report(text: str) -> Path:
    """Write a crash report with mode 0600 to the user's cache, or to the temporary folder if that is read-only.

    Raises:
        OSError: Neither can be written to.
    """
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-"
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "davidgen"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number, path = tempfile.mkstemp(".txt", name, folder)
    except (OSError, RuntimeError):  # no home
        number, path = tempfile.mkstemp(".txt", f"davidgen-{name}")
    with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return Path(path)
