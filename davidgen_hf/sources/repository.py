"""Repositories and files of code to rows: the file's text, its path, its programming language and its license."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.schema import Row
from davidgen_hf.sources.code import SUFFIXES, license_in
from davidgen_hf.sources.paths import explain_unreadable, file_name, readable

PlacedRow = tuple[str, Row]
_LARGEST_FILE = 2**20  # bytes; larger ones are data or generated
# Folders of code that others wrote, whose license is another one, and of what was built.
_FOREIGN = {"node_modules", "vendor", "_vendor", "third_party", "site-packages", "__pycache__", "build", "dist"}
_LICENSE_FILES = ("license", "licence", "copying")


def is_repository(path: Path) -> bool:
    """Return whether a path is a file of code, or a folder that has one."""
    return next(_files(path), None) is not None


def read_repository(path: Path) -> Iterator[PlacedRow]:
    """Yield ``(place, row)`` for each file of code, in the order of their paths.

    The place and the ``id`` are the file's path in the repository. The row has ``text``, None where the file is too
    large or not UTF-8; ``language``, the name of the programming language; and ``license``: what the file declares by
    ``SPDX-License-Identifier``, or the license in the nearest folder that has one, or None. Hidden files, links and
    folders of other people's code (``vendor``, ``node_modules``) are skipped.

    Raises:
        InputError: No file holds code, or one cannot be read.
    """
    root = path if path.is_dir() else path.parent
    is_empty = True
    with explain_unreadable(path):
        for file in _files(path):
            is_empty = False
            place = readable(file.relative_to(root).as_posix())
            text = _read(file)
            license = license_in(text or "") or _license_of(file.parent, root)
            yield place, {"id": place, "text": text, "language": SUFFIXES[file.suffix.lower()], "license": license}
    if is_empty:
        raise InputError(
            f"{file_name(path)} holds no code: kind is code, and it has no file that ends in "
            f"{', '.join(sorted(SUFFIXES))}. Name a repository or a file of code."
        )


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield from [path] if path.suffix.lower() in SUFFIXES else []
        return

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(path, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _FOREIGN)
        files = (Path(place, name) for name in sorted(names) if not name.startswith("."))
        yield from (file for file in files if file.suffix.lower() in SUFFIXES and not file.is_symlink())


def _read(file: Path) -> str | None:
    if file.stat().st_size > _LARGEST_FILE:
        return None
    try:
        return file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return None


@lru_cache
def _license_of(folder: Path, root: Path) -> str | None:
    """Return the SPDX id of the license file in a folder of the repository, or in the nearest one above it."""
    for file in sorted(folder.iterdir()):
        if file.stem.lower() in _LICENSE_FILES and file.is_file() and (found := _identified(file)):
            return found
    return None if folder == root else _license_of(folder.parent, root)


def _identified(file: Path) -> str | None:
    try:
        from identify.identify import license_id

        found: str | None = license_id(str(file))
    except ImportError as error:
        raise SettingError(
            f"{file.name} cannot be identified: {error}. Licenses are recognized by the package identify. Run "
            "`pip install 'davidgen-hf[code]'`."
        ) from error
    except UnicodeDecodeError:
        return None
    return found
