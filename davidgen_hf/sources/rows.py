"""Files, folders and Hub datasets to numbered rows; an error names the place of what cannot be read."""

import csv
import functools
import hashlib
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.plugins import Table
from davidgen_hf.schema import Row
from davidgen_hf.sources.hub import read_dataset
from davidgen_hf.sources.lines import parse_json, read_lines
from davidgen_hf.sources.paths import explain_unreadable, file_name, local_path, readable
from davidgen_hf.sources.superni import holds_tasks, read_tasks
from davidgen_hf.sources.values import read_parquet

SUFFIXES = (".jsonl", ".csv", ".parquet", ".txt")
COMPRESSIONS = (".gz", ".zst")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# What macOS adds to archives. Files whose names begin with a dot are skipped too, as `datasets` does.
_ADDED_BY_MACOS = "__MACOSX"
_LINES_OF_DOCUMENTS = 5
PlacedRow = tuple[str, Row]


def _check_reader(name: str, found: Any) -> None:
    if not callable(found):
        raise SettingError(
            f"{found!r} cannot be called. A source is a function that takes config and split, and yields rows as "
            "dictionaries. See docs/plugins.md."
        )


# What ``source`` can name besides files, folders, Hub datasets and the embedded texts.
SOURCES = Table("sources", {}, _check_reader, reserved=("embedded",))

logger = logging.getLogger(__name__)


def read_rows(  # noqa: PLR0913 - where from; which rows; which columns
    source: str,
    *,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    shuffle: tuple[int, int] | None = None,
    columns: Collection[str] | None = None,
) -> Iterator[PlacedRow]:
    """Yield ``(place, row)`` for each row of a file, a folder of files, or a Hub dataset.

    Args:
        source: Path of a ``.jsonl``, ``.csv``, ``.parquet`` or ``.txt`` file (one row, ``text``, for each paragraph
            between blank lines), of one of these compressed (``.jsonl.gz``, ``.json.gz``, ``.csv.zst``; Parquet has
            its own compression), a folder of such files, SuperNI's official repository, or ``org/name`` of a Hub
            dataset, which is streamed. Hidden files in a folder are skipped.
        config: Configuration of a Hub dataset; track of SuperNI's repository.
        split: Split of a Hub dataset or of SuperNI's repository.
        revision: Branch, tag or commit of a Hub dataset.
        shuffle: Seed and buffer, in rows, with which a Hub dataset is shuffled.
        columns: Names of the columns that are needed. In Parquet files and Hub datasets with declared columns, the
            others are not read and have the value None. None reads every column that may hold text.

    Yields:
        The place, e.g. ``wiki.jsonl:12``, which names the row in messages, and its columns. Files of one name in
        several folders have the folder in it: ``en/wiki.jsonl:12``. A shuffled row's place is a hash of the row.

    Raises:
        InputError: The file or dataset does not exist, is empty, or a part of it cannot be read.
    """
    path = local_path(source)
    if path is not None:
        with explain_unreadable(path):
            if path.is_dir() and holds_tasks(path):
                yield from read_tasks(path, track=config or "default", split=split)
            else:
                yield from _read_files(path, columns)
    elif on_hub(source):
        rows = read_dataset(source, config, split, revision, shuffle, columns)
        for number, row in enumerate(rows, start=1):
            yield f"{source}:{number}" if shuffle is None else f"{source}#{_hash(row)}", row
    elif source in SOURCES:
        yield from _read_plugin(source, config, split, revision)
    else:
        raise InputError(
            f"There is no file or folder {readable(source)!r}. Give the path of a {', '.join(SUFFIXES)} file, of a "
            "folder of such files, the id of a Hub dataset, org/name, or a source that `davidgen plugins` lists."
        )


def _hash(row: Row) -> str:
    return hashlib.blake2b(json.dumps(row, default=str).encode(), digest_size=8).hexdigest()


def on_hub(source: str) -> bool:
    """Return whether a source is the id of a Hub dataset; a path that exists on disk is not."""
    return bool(HUB_ID.fullmatch(source)) and form_of(Path(source)) is None and local_path(source) is None


def package_of(source: str) -> str | None:
    """Return the package whose plugin reads a source, as ``name==version``; None for every other source."""
    plugin = SOURCES.plugin(source) if source in SOURCES and local_path(source) is None else None
    return plugin.package if plugin else None


def _read_plugin(source: str, config: str | None, split: str, revision: str | None) -> Iterator[PlacedRow]:
    package = package_of(source)
    if revision not in (None, package):
        raise InputError(
            f"{source} is to be read by {revision}, and {package} is installed. Rows of another version may "
            "differ. Install the former, or leave revision out; a run takes up another version with --update."
        )
    number = 0
    for number, row in enumerate(SOURCES.load(source)(config=config, split=split), start=1):
        if not isinstance(row, Mapping):
            raise InputError(
                f"{source}:{number} is a {type(row).__name__}. A source yields dictionaries of columns. Report it to "
                f"the authors of {package}."
            )
        yield f"{source}:{number}", dict(row)
    if number == 0:
        raise InputError(f"{source} holds no rows; {package} reads it. Name another config, split or source.")


def form_of(path: Path) -> str | None:
    """Return the one of ``SUFFIXES`` by which a file is read, whatever its case; None if there is none."""
    suffix = path.suffix.lower()
    if suffix not in COMPRESSIONS:
        return suffix if suffix in SUFFIXES else None
    inner = Path(path.stem).suffix.lower()
    if inner == ".json":  # C4 and others name compressed JSON Lines so
        return ".jsonl"
    return inner if inner in SUFFIXES and inner != ".parquet" else None


def _read_files(path: Path, columns: Collection[str] | None) -> Iterator[PlacedRow]:
    files = _files(path)
    is_empty = True
    for file, place in files.items():
        for number, row in _read_file(file, columns):
            is_empty = False
            yield f"{place}:{number}", row
    if is_empty:
        raise InputError(
            f"{readable(str(path))} holds no rows: {len(files)} file(s) were read to the end. Name one that has text."
        )


def _files(path: Path) -> dict[Path, str]:
    """Return the files to read, in the order of their paths, and the name of each in the places of its rows."""
    if not path.is_dir():
        if form_of(path) is None or not path.is_file():
            what = f"ends in {path.suffix!r}" if path.is_file() else "is neither a file nor a folder"
            raise InputError(
                f"{readable(str(path))} {what}, which is not one of {', '.join(SUFFIXES)}, or of these with "
                f"{' or '.join(COMPRESSIONS)} behind it (but .parquet). Convert it to one of them, or rename it if it "
                "is one."
            )
        return {path: file_name(path)}
    files = sorted(file for file in _walk(path) if form_of(file) and file.is_file())
    if not files:
        raise InputError(
            f"The folder {readable(str(path))} holds no {', '.join(SUFFIXES)} file. Files and folders whose names "
            f"begin with a dot, and {_ADDED_BY_MACOS}, are skipped. Name a folder that has such files."
        )
    counts = Counter(file.name for file in files)
    return {
        file: readable(file.name if counts[file.name] == 1 else file.relative_to(path).as_posix()) for file in files
    }


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and its folders, without hidden ones; a folder that cannot be read is an error."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".") and name != _ADDED_BY_MACOS]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _read_file(path: Path, columns: Collection[str] | None) -> Iterator[tuple[int, Row]]:
    form = form_of(path)
    if form == ".parquet":
        return enumerate(read_parquet(path, columns), start=1)
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv, ".txt": _read_text}
    return readers[form or ".txt"](path)


def _read_jsonl(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        place = f"{file_name(path)}, line {number}"
        row = parse_json(line, place)
        if not isinstance(row, dict):
            raise InputError(
                f"{place}: needs a JSON object, found {type(row).__name__}. Each line is one row, "
                '{"column": value}. Convert the file to JSON Lines.'
            )
        yield number, row


def _read_csv(path: Path) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(2**31 - 1)  # Python's own limit is 131,072 characters a field
    reader = csv.reader((line for _, line in read_lines(path)), strict=True)
    names: list[str] | None = None
    try:
        for fields in reader:
            place = f"{file_name(path)}, line {reader.line_num}"
            if not fields:
                continue
            if names is None:
                names = _header(fields, place)
            elif len(fields) != len(names):
                raise InputError(
                    f"{place}: {len(fields)} field(s) where the header has {len(names)}. A field that holds a comma "
                    "or a line break must stand in double quotes, or its text would be cut. Quote it, or write the "
                    "file with a CSV library."
                )
            else:
                yield reader.line_num, dict(zip(names, fields, strict=True))
    except csv.Error as error:
        cause = "a carriage return outside quotes" if "new-line character" in str(error) else str(error)
        raise InputError(
            f"{file_name(path)}, line {reader.line_num}: not valid CSV ({cause}). Fields are separated by commas, and "
            "those with quotes, commas or line breaks stand in double quotes. Fix that line, or write the file with a "
            "CSV library."
        ) from error


def _header(names: list[str], place: str) -> list[str]:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise InputError(
            f"{place}: the header has {repeated} more than once. Each column needs a name of its own, or one would "
            "hide the other. Rename them."
        )
    return names


def _read_text(path: Path) -> Iterator[tuple[int, Row]]:
    paragraph: list[str] = []
    start, n_paragraphs = 1, 0
    for number, line in read_lines(path):
        if line.strip():
            start = start if paragraph else number
            paragraph.append(line)
        elif paragraph:
            n_paragraphs += 1
            yield start, {"text": "".join(paragraph).strip()}
            paragraph = []
    if paragraph:
        if n_paragraphs == 0 and len(paragraph) >= _LINES_OF_DOCUMENTS:
            _warn_of_one_document(file_name(path), len(paragraph))
        yield start, {"text": "".join(paragraph).strip()}


@functools.cache  # a run reads its inputs more than once
def _warn_of_one_document(name: str, n_lines: int) -> None:
    logger.warning(
        "%s has %d lines and no blank one, so it is read as one passage. In a .txt file, blank lines separate "
        "passages. If each of its lines is a document, put blank lines between them, or set `paragraphs`, which cuts "
        "such a file at its lines.",
        name,
        n_lines,
    )
