"""One run in a folder at a time: a lock that ends with its process, however that ends."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = [_locked(folder / LOCK, exclusive=part is None)]
        if part is not None:
            files.append(_locked(folder / f"{LOCK}.{part.replace('/', '-of-')}", exclusive=True))
    except OSError as error:
        raise RunFolderError(
            f"{folder} cannot be written to: {error.strerror}. Name another folder with --output."
        ) from error
    try:
        yield
    finally:
        for file in files:
            os.close(file)


def _locked(path: Path, *, exclusive: bool) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(file, 1000).decode(errors="replace") or "{}"
        os.close(file)
        raise FolderBusyError(_busy(path.parent, holder)) from error
    os.ftruncate(file, 0)
    os.write(file, json.dumps({"process": os.getpid(), "host": socket.gethostname()}).encode())
    return file


def _busy(folder: Path, holder: str) -> str:
    try:
        known = json.loads(holder)
        who = f"process {known['process']} on {known['host']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return (
        f"{folder} is in use: {who} works in it. Wait until it has ended, stop it, or name another folder with "
        "--output. Nothing was changed."
    )
