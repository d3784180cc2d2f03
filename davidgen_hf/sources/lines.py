"""Text files to lines; the first bytes of a file decide its compression, its encoding and its line ends."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow

from davidgen_hf.errors import InputError
from davidgen_hf.sources.paths import file_name

READ_BYTES = 2**18  # of decompressed text at once
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_NOT_TEXT = {
    b"PAR1": "a Parquet file; give it the ending .parquet",
    b"PK\x03\x04": "a ZIP archive; unpack it",
    b"BZh9": "compressed with bzip2; unpack it, or compress it with gzip",
    b"\xfd7zXZ\x00": "compressed with xz; unpack it, or compress it with gzip",
    b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"%PDF-": "a PDF; convert it to text",
    b"\x89PNG": "a picture; name a file of text",
    b"\xff\xd8\xff": "a picture; name a file of text",
    b"\x1f\x8b": "compressed twice; unpack it once",
    b"\x28\xb5\x2f\xfd": "compressed twice; unpack it once",
}


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield ``(number, line)`` for each line, counted from 1, its line end included.

    Text is UTF-8, or UTF-16 or UTF-32 if its first bytes say so. A file without any line feed in its first 256 kB is
    cut at carriage returns, as old Macs wrote them.

    Raises:
        InputError: The file is not text, is in another encoding, or cannot be decompressed.
    """
    name = file_name(path)
    with _decompressed(path) as stream:
        head = stream.peek(READ_BYTES)
        _refuse_foreign(name, head)
        encoding = json.detect_encoding(head[:4])
        is_utf8 = encoding.startswith("utf-8")
        lines = TextIOWrapper(
            stream,
            encoding=encoding,
            errors="surrogateescape" if is_utf8 else "strict",  # each line says where its bad bytes are
            newline="\r" if b"\r" in head and b"\n" not in head else "\n",
        )
        number = 0
        try:
            for number, line in enumerate(lines, start=1):
                if is_utf8 and has_lone_surrogate(line) and (bad := _LONE_SURROGATE.search(line)):
                    before = line[: bad.start()].encode()
                    raise InputError(
                        f"{name}, line {number}: byte {len(before) + 1} of the line is not UTF-8. Text must be UTF-8, "
                        "or begin with the byte order mark of UTF-16. Find the file's encoding and convert it, e.g. "
                        "`iconv -f latin1 -t utf-8`."
                    )
                yield number, line
        except UnicodeError as error:
            raise InputError(
                f"{name}, line {number + 1}: not valid {encoding.upper()}, although the file begins as such "
                f"({error}). Text must be UTF-8 or whole UTF-16. Download or convert the file again, e.g. "
                "`iconv -f utf-16 -t utf-8`."
            ) from error


def parse_json(text: str, place: str) -> object:
    """Return the value of a JSON text.

    Args:
        text: The text.
        place: Where it was read, as the error names it.

    Raises:
        InputError: It is not JSON, or Python cannot hold it: it is nested too deep, or a number has too many digits.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        found = f"not valid JSON ({error.msg} at character {error.pos + 1})"
    except RecursionError:
        found = "JSON that is nested too deep to be read"
    except ValueError:  # Python's limit on the digits of an integer, 4,300
        found = "JSON with a number of too many digits to be read"
    raise InputError(f"{place}: {found}. One JSON value is expected there. Fix or remove it; nothing was written.")


def has_lone_surrogate(text: str) -> bool:
    """Return whether a text has half a character, which JSON can hold and UTF-8 cannot."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _refuse_foreign(name: str, head: bytes) -> None:
    for start, what in _NOT_TEXT.items():
        if head.startswith(start):
            found, todo = what.split("; ")
            raise InputError(f"{name} is {found}, whatever its ending says. A file of text is needed: {todo}.")


@contextmanager
def _decompressed(path: Path) -> "Iterator[BufferedReader[Any]]":
    with BufferedReader(FileIO(path), READ_BYTES) as file:
        start = file.peek(4)
        compression = next((kind for magic, kind in _COMPRESSIONS.items() if start.startswith(magic)), None)
        if compression is None:
            yield file
            return
        try:
            with pyarrow.input_stream(file, compression=compression) as stream:
                yield BufferedReader(stream, READ_BYTES)
        except OSError as error:
            raise InputError(
                f"{file_name(path)} cannot be decompressed: {error}. It begins as {compression} does, so it is cut "
                "off or damaged. Download or copy the file again."
            ) from error
