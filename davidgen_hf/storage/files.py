"""Small files that are there whole or not at all, and what to do when a disk takes no more."""

import errno
import glob
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from davidgen_hf.errors import RunFolderError

# What a file system says that is full or must not be written to; libraries pass it on as text, or tell of a failure.
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG}
_TEXTS = (
    *(os.strerror(number) for number in _REFUSALS),
    "disk is full",
    "readonly database",
    "PytorchStreamWriter",
    "inline_container",
)

_PRIVATE = 0o600  # of a file from tempfile.mkstemp, and so of weights that safetensors writes


@contextmanager
def explain_refusals(folder: Path) -> Iterator[None]:
    """Turn a file system's refusal to write, whoever met it, into an error that says what to do.

    Raises:
        RunFolderError: The disk is full, or the folder must not be written to.
    """
    try:
        yield
    except RunFolderError:
        raise
    except (OSError, RuntimeError, SafetensorError, sqlite3.Error) as error:
        if getattr(error, "errno", None) not in _REFUSALS and not any(text in str(error) for text in _TEXTS):
            raise
        raise RunFolderError(
            f"{folder} cannot be written to: {error}. What is finished is safe; make room or allow writing, and run "
            "the same command again."
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Write a text file in place of an earlier one; a crash leaves the earlier one as it was.

    Raises:
        OSError: The folder cannot be made, or the file not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")  # parts of a run may write the same mark at once
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def make_folder(folder: Path) -> Path:
    """Create the folder of a command's output if need be, and return it, before anything expensive is done.

    Raises:
        RunFolderError: It cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise RunFolderError(
            f"The output folder {folder} cannot be created: {reason}. Pass a new folder, or one that exists and is "
            "writable, with --output."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RunFolderError(f"The output folder {folder} is not writable. Allow writing, or pass another --output.")
    return folder


def clear_drafts(folder: Path) -> None:
    """Take away what calls that were killed while they wrote have left in a folder and the folders in it."""
    for pattern in ("*.part", "*/*.part"):
        for draft in folder.glob(pattern):
            draft.unlink()


def use_umask(folder: Path) -> None:
    """Give files of a folder that a library wrote as temporary ones, readable to their owner alone, the usual mode."""
    mask = os.umask(0)
    os.umask(mask)
    for file in folder.iterdir():
        if file.is_file() and not file.is_symlink() and stat.S_IMODE(file.stat().st_mode) == _PRIVATE:
            file.chmod(0o666 & ~mask)


def as_pattern(path: str | Path) -> str:
    """Return a path as ``data_files`` needs it: `datasets` takes it for a pattern, in which ``[`` stands for a set."""
    return glob.escape(str(path))


def sync_folder(folder: Path) -> None:
    """Have a file system keep the names of a folder's files, so that a rename survives a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
