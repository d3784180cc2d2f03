"""Small files that are there whole or not at all, and what to do when a disk takes no more."""

import errno
import glob
import os
import shutil
import socket
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from davidgen_hf.errors import DavidgenError, RunFolderError

# What a file system says that is full or must not be written to; libraries pass it on as text, or tell of a failure.
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG}
_TEXTS = (
    *(os.strerror(number) for number in _REFUSALS),
    "disk is full",
    "readonly database",
    "PytorchStreamWriter",
    "inline_container",
)

DRAFT = ".part"
RESUME = "What is finished is safe. Make room or allow writing, and run the same command again."
_SHOWN_CHARACTERS = 60  # of a name in the name of its draft, which must not be too long where the name is not
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


@contextmanager
def replacing(path: Path, *, error: type[DavidgenError] = RunFolderError, advice: str = RESUME) -> Iterator[Path]:
    """Yield the path of a draft that takes the place of ``path`` when the block ends, whole or not at all.

    The block writes a file or a folder there. If it raises, or its process is killed, ``path`` stays as it was. The
    draft of a process that was killed is removed by the next one that replaces the same path on this machine.

    Args:
        path: The file or folder to replace. An existing folder must be empty.
        error: Class of the error.
        advice: What was expected and what to do, for the error.

    Raises:
        DavidgenError: The path cannot be written.
    """
    host = socket.gethostname()[:_SHOWN_CHARACTERS]
    name = f".{path.name[:_SHOWN_CHARACTERS]}.{host}"
    draft = path.with_name(f"{name}.{os.getpid()}{DRAFT}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in path.parent.glob(f"{glob.escape(name)}.*{DRAFT}"):
            if not _is_alive(other.suffixes[-2]):
                _remove(other)
        _remove(draft)
        yield draft
        if draft.is_file():
            _sync(draft)
        os.replace(draft, path)
        _sync(path.parent)
    except OSError as found:
        raise error(f"{path} cannot be written: {found.strerror or found}. {advice}") from found
    finally:
        with suppress(OSError):
            _remove(draft)


def write_whole(path: Path, text: str, *, error: type[DavidgenError] = RunFolderError, advice: str = RESUME) -> None:
    r"""Write a text file in place of an earlier one; a crash leaves the earlier one as it was.

    Half of a surrogate pair, which a file name may hold, is written as JSON and Python write it: ``\udc80``.

    Raises:
        DavidgenError: The path cannot be written; see ``replacing``.
    """
    with replacing(path, error=error, advice=advice) as draft:
        draft.write_text(text, "utf-8", errors="backslashreplace")


def is_in_use(path: Path) -> bool:
    """Return whether anything exists at the path of a new folder; an empty folder does not count."""
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


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
    """Remove what processes that were killed while they wrote have left in a folder and in the folders in it."""
    for pattern in (f"*{DRAFT}", f"*/*{DRAFT}"):
        for draft in folder.glob(pattern):
            _remove(draft)


def _is_alive(process: str) -> bool:
    """Whether the process of a draft, given as ``.1234``, still runs on this machine."""
    try:
        os.kill(int(process[1:]), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have the file system keep a file, or the names in a folder, so that they survive a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def use_umask(folder: Path) -> None:
    """Give files of a folder that a library wrote as temporary ones, readable to their owner alone, the usual mode."""
    mask = os.umask(0)
    os.umask(mask)
    for file in folder.iterdir():
        if file.is_file() and not file.is_symlink() and stat.S_IMODE(file.stat().st_mode) == _PRIVATE:
            file.chmod(0o666 & ~mask)


def as_pattern(path: str | Path) -> str:
    """Return a path as ``data_files`` needs it: `datasets` reads it as a pattern, in which ``[`` opens a set."""
    return glob.escape(str(path))
