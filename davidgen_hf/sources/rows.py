"""Files, folders and Hub datasets to numbered rows; what cannot be read is named by its place."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import pyarrow
import pyarrow.parquet

from davidgen_hf.errors import InputError
from davidgen_hf.sources.hub import read_dataset
from davidgen_hf.sources.superni import holds_tasks, read_tasks

SUFFIXES = (".jsonl", ".csv", ".parquet", ".txt")
COMPRESSIONS = (".gz", ".zst")
READ_BYTES = 2**18  # of decompressed text at once
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
Row = tuple[str, dict]


def read_rows(
    source: str,
    *,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    shuffle: tuple[int, int] | None = None,
) -> Iterator[Row]:
    """Yield ``(place, row)`` for each row of a file, a folder of files, or a Hub dataset.

    Args:
        source: Path of a ``.jsonl``, ``.csv``, ``.parquet`` or ``.txt`` file (one row, ``text``, for each paragraph
            between blank lines), of one of these compressed (``.jsonl.gz``, ``.json.gz``, ``.csv.zst``; Parquet has
            compression of its own), a folder of such files, SuperNI's official repository, or ``org/name`` of a Hub
            dataset, which is streamed.
        config: Configuration of a Hub dataset; track of SuperNI's repository.
        split: Split of a Hub dataset or of SuperNI's repository.
        revision: Branch, tag or commit of a Hub dataset.
        shuffle: Seed and buffer, in rows, by which the order of a Hub dataset is drawn.

    Yields:
        The place, e.g. ``wiki.jsonl:12``, which names the row in messages, and its columns. That of a row in drawn
        order is a hash of the row, since its number says nothing of where it lies.

    Raises:
        InputError: There is no such file or dataset, it is empty, or a part of it cannot be read.
    """
    path = Path(source).expanduser()
    if path.is_dir() and holds_tasks(path):
        yield from read_tasks(path, track=config or "default", split=split)
    elif path.exists():
        files = _files(path)
        empty = True
        for file in files:
            for number, row in _read_file(file):
                empty = False
                yield f"{file.name}:{number}", row
        if empty:
            raise InputError(
                f"{source} holds no rows: {len(files)} file(s) were read to the end. Name one that has text."
            )
    elif on_hub(source):
        for number, row in enumerate(read_dataset(source, config, split, revision, shuffle), start=1):
            yield f"{source}:{number}" if shuffle is None else f"{source}#{_hash(row)}", row
    else:
        raise InputError(
            f"There is no file or folder {source!r}. Give the path of a {', '.join(SUFFIXES)} file, of a folder of "
            "such files, or the id of a Hub dataset, org/name."
        )


def _hash(row: dict) -> str:
    return hashlib.blake2b(json.dumps(row, default=str).encode(), digest_size=8).hexdigest()


def on_hub(source: str) -> bool:
    """Tell the id of a Hub dataset from a path; what lies on disk comes first."""
    path = Path(source).expanduser()
    return bool(HUB_ID.fullmatch(source)) and _form(path) is None and not path.exists()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if _form(path) is None:
            raise InputError(
                f"{path} ends in {path.suffix!r}, which is not one of {', '.join(SUFFIXES)}, or of these with "
                f"{' or '.join(COMPRESSIONS)} behind it (but .parquet)."
            )
        return [path]
    files = sorted(file for file in path.rglob("*") if _form(file) and file.is_file())
    if not files:
        raise InputError(f"The folder {path} holds no {', '.join(SUFFIXES)} file.")
    return files


def _form(path: Path) -> str | None:
    """Return the one of ``SUFFIXES`` that tells how a file is read; None where none does."""
    if path.suffix not in COMPRESSIONS:
        return path.suffix if path.suffix in SUFFIXES else None
    inner = Path(path.stem).suffix
    if inner == ".json":  # C4 and others name compressed lines of JSON so
        return ".jsonl"
    return inner if inner in SUFFIXES and inner != ".parquet" else None


def _read_file(path: Path) -> Iterator[tuple[int, dict]]:
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet, ".txt": _read_text}
    return readers[_form(path)](path)


def _read_jsonl(path: Path) -> Iterator[tuple[int, dict]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path.name}, line {number}: not valid JSON ({error.msg} at character {error.pos + 1}). Mend or "
                "remove that line; nothing was written."
            ) from error
        if not isinstance(row, dict):
            raise InputError(f"{path.name}, line {number}: needs a JSON object, found {type(row).__name__}.")
        yield number, row


def _read_csv(path: Path) -> Iterator[tuple[int, dict]]:
    csv.field_size_limit(2**31 - 1)  # Python's own limit is 131,072 characters a field
    reader = csv.DictReader((line for _, line in _lines(path)), strict=True)
    try:
        for row in reader:
            yield reader.line_num, {name: value for name, value in row.items() if name is not None}
    except csv.Error as error:
        raise InputError(
            f"{path.name}, line {reader.reader.line_num}: not valid CSV ({error}). Mend that line."
        ) from error


def _read_parquet(path: Path) -> Iterator[tuple[int, dict]]:
    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES) as file:
            rows = (row for batch in file.iter_batches(batch_size=1024) for row in batch.to_pylist())
            yield from enumerate(rows, start=1)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path.name} is no readable Parquet file: {error}. Copy or write it anew.") from error


def _read_text(path: Path) -> Iterator[tuple[int, dict]]:
    paragraph: list[str] = []
    start = 1
    for number, line in _lines(path):
        if line.strip():
            start = start if paragraph else number
            paragraph.append(line)
        elif paragraph:
            yield start, {"text": "".join(paragraph).strip()}
            paragraph = []
    if paragraph:
        yield start, {"text": "".join(paragraph).strip()}


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_byte_lines(path), start=1):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path.name}, line {number}: byte {error.start + 1} of the line is not UTF-8. Find the file's "
                "encoding and convert it, e.g. `iconv -f latin1 -t utf-8`."
            ) from error


def _byte_lines(path: Path) -> Iterator[bytes]:
    if path.suffix not in COMPRESSIONS:
        with path.open("rb") as file:
            yield from file
        return
    try:
        with pyarrow.input_stream(path) as stream:  # decompresses by the suffix
            yield from BufferedReader(stream, READ_BYTES)
    except OSError as error:
        raise InputError(f"{path.name} cannot be decompressed: {error}. Copy or write it anew.") from error
