"""Paths that users name: whether they exist, what records call them, and an error where they cannot be read."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from davidgen_hf.errors import InputError
from davidgen_hf.storage.digests import data_digest


def local_path(source: str) -> Path | None:
    """Return the path of a source that exists on disk, ``~`` expanded; None for everything else.

    A name that no file system accepts, because it is too long or has a NUL in it, does not exist.
    """
    path = os.path.expanduser(source)
    return Path(path) if os.path.exists(path) else None


def name_of(source: str) -> str:
    """Return the name by which rows and records know a source or model: that of a path without its folders."""
    path = local_path(source)
    return source if path is None else file_name(path)


def file_name(path: Path) -> str:
    r"""Return the last part of a path; bytes that are not UTF-8 become escapes, as in ``caf\xe9.txt``."""
    name = path.name if path.name not in ("", "..") else path.resolve().name
    return readable(name)


def readable(name: str) -> str:
    r"""Return a file's name with escapes such as ``\xe9`` in place of bytes that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@contextmanager
def explain_unreadable(path: Path) -> Iterator[None]:
    """Turn the refusal of the operating system to read a file or folder into an error that says what to do.

    Raises:
        InputError: The file or folder, or one in it, cannot be read.
    """
    try:
        yield
    except OSError as error:
        place = path if error.filename is None else os.fsdecode(error.filename)
        raise InputError(
            f"{readable(str(place))} cannot be read: {error.strerror or error}. It must be a file or folder that this "
            "user may read. Change its permissions or its name, or copy it to another disk."
        ) from error


def digest_inputs(data: Mapping[str, Sequence[str]], model: str) -> dict[str, str]:
    """Return a hash of each input that is a local path: of data, all bytes; of a model, configuration and file sizes.

    Args:
        data: Sources by what they are, such as ``seeds``; the second of several is called ``seeds.1``.
        model: Folder or Hub id of the base model.

    Raises:
        InputError: A file cannot be read.
    """
    named = {
        (name if len(sources) == 1 else f"{name}.{number}"): source
        for name, sources in data.items()
        for number, source in enumerate(sources)
    }
    found = {}
    for name, source in (named | {"base_model": model}).items():
        if path := local_path(source):
            with explain_unreadable(path):
                found[name] = data_digest(path, whole=(".json",) if name == "base_model" else None)
    return found
