"""One run in a folder at a time: locks that end with their process, however that ends."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from davidgen_hf.errors import FolderBusyError, RunFolderError
from davidgen_hf.storage.files import write_whole

LOCK = ".lock"
_HOLDER = ".lock.holder"
_PARTS = ".lock.*-of-*"
_GLANCE_SECONDS = 1.0  # other parts that start at this moment hold the run's lock for less
_PROBE_SECONDS = 0.1  # `describe_holder` takes a lock for a moment, to see whether it is free


@contextmanager
def hold(folder: Path, part: str | None = None) -> Iterator[None]:
    """Keep other processes out of a run's folder; parts of one run may work in it at the same time.

    The kernel releases a lock with its process, so that none is left behind by one that was killed. On a network file
    system it holds between machines where that file system has locks.

    A part takes its own lock before it looks at the run's, and a whole run takes the run's lock before it looks at
    those of the parts: of two that start together, at least one sees the other.

    Args:
        folder: The run's folder; it is created if it is missing.
        part: Name of the part of the run that this process builds (``2/8``); ``None`` for all of it.

    Raises:
        FolderBusyError: Another process works in it.
        RunFolderError: The folder cannot be written to.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if part is None:
                held.enter_context(FileLock(folder / LOCK, timeout=_PROBE_SECONDS))
                for other in folder.glob(_PARTS):
                    held.enter_context(FileLock(other, timeout=0))
            else:
                held.enter_context(FileLock(folder / f"{LOCK}.{part.replace('/', '-of-')}", timeout=0))
                with FileLock(folder / LOCK, timeout=_GLANCE_SECONDS):
                    pass
        except Timeout as error:
            raise FolderBusyError(
                f"{folder} is in use: {_holder(folder)} works in it. Only one process may, and nothing was changed. "
                "Wait until it has ended, stop it, or use another folder."
            ) from error
        except OSError as error:
            raise RunFolderError(
                f"{folder} cannot be written to: {error.strerror}. A run needs a folder of its own, in which "
                f"{LOCK} must not be a link. Make room or allow writing, or use another folder."
            ) from error
        with suppress(RunFolderError):  # a full disk has room for the lock, if not for whose it is
            write_whole(folder / _HOLDER, json.dumps({"process": os.getpid(), "host": socket.gethostname()}))
        try:
            yield
        finally:
            with suppress(OSError):
                (folder / _HOLDER).unlink()


def describe_holder(folder: Path) -> str | None:
    """Return which process works in a run's folder, ``None`` where none does; parts of a run count."""
    for lock in sorted(folder.glob(f"{LOCK}*")):
        if lock.name == _HOLDER or lock.is_symlink():
            continue
        try:
            with FileLock(lock, timeout=0):
                pass
        except Timeout:
            return _holder(folder)
        except OSError:
            return "a process of another user"
    return None


def _holder(folder: Path) -> str:
    try:
        known = json.loads((folder / _HOLDER).read_text("utf-8"))
        return f"process {known['process']} on {known['host']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "another process"
