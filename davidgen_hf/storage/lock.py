"""One run in a folder at a time: a lock that ends with its process, however that ends."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from davidgen_hf.errors import FolderBusyError, RunFolderError

LOCK = ".lock"


@contextmanager
def hold(folder: Path, part: str | None = None) -> Iterator[None]:
    """Keep other processes out of a run's folder; parts of one run may work in it side by side.

    The kernel gives the lock up with the process, so that none is left behind by one that was killed. On a network
    file system it holds between machines where that file system has locks.

    Args:
        folder: The run's folder; it is made if it is absent.
        part: Name of the part of the run that this process does (``2/8``); ``None`` for all of it.

    Raises:
        FolderBusyError: Another process works in it.
        RunFolderError: The folder cannot be written to.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(_locked(folder / LOCK, exclusive=part is None))
            if part is not None:
                held.enter_context(_locked(folder / f"{LOCK}.{part.replace('/', '-of-')}", exclusive=True))
        except OSError as error:
            raise RunFolderError(
                f"{folder} cannot be written to: {error.strerror}. Make room or allow writing, or name another folder "
                "with --output."
            ) from error
        yield


@contextmanager
def _locked(path: Path, *, exclusive: bool) -> Iterator[None]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderBusyError(_busy(path.parent, os.read(file, 1000))) from error
        with suppress(OSError):  # a full disk has room for the lock, if not for whose it is
            _write(file, json.dumps({"process": os.getpid(), "host": socket.gethostname()}))
        try:
            yield
        finally:
            _write(file, "")  # who worked here is nobody's business afterwards
    finally:
        os.close(file)


def _write(file: int, text: str) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)


def _busy(folder: Path, holder: bytes) -> str:
    try:
        known = json.loads(holder)
        who = f"process {known['process']} on {known['host']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return (
        f"{folder} is in use: {who} works in it. Wait until it has ended, stop it, or name another folder with "
        "--output. Nothing was changed."
    )
