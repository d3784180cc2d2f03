"""The log of a review: one line of JSON per decision, appended and never changed."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.files import RESUME
from davidgen_hf.storage.validation import Text, describe

FOLDER, FILE_NAME = "review", "log.jsonl"
Action = Literal["accept", "reject", "edit", "promote", "note", "undo"]
Identity = Annotated[str, Field(pattern=r"^[\w-]{8,64}$")]


class RowState(BaseModel):
    """What people have decided about a row.

    Args:
        verdict: None as long as nobody has accepted or rejected it.
        reason: Why it was rejected.
        candidate: Number of the candidate that a person chose, from 0, in the order of the column ``candidates``; None
            for the choice of the selection.
        instruction: The instruction as a person wrote it; None for that of the candidate.
        note: A remark.
        version: Id of the decision that last changed ``candidate`` or ``instruction``; empty if none did.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Literal["accepted", "rejected"] | None = None
    reason: Text | None = None
    candidate: Annotated[int, Field(ge=0)] | None = None
    instruction: Text | None = None
    note: Text | None = None
    version: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether a person chose another candidate or wrote the instruction."""
        return self.candidate is not None or self.instruction is not None


class Entry(BaseModel):
    """A decision, as the log has it.

    Args:
        id: Made by the browser, so that a decision that is sent twice counts once.
        time: When it was made, in UTC, as ISO 8601.
        reviewer: The name that the reviewer gave.
        row: See ``row_key``.
        source: Where the row comes from; with ``record`` and ``strategy``, it names the row to people.
        record: The row's ``id``.
        strategy: How its output was extracted.
        action: What the reviewer did.
        before: The row's state before it.
        after: The row's state after it.
        undoes: Id of the decision that an ``undo`` takes back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Identity
    time: str
    reviewer: Text
    row: str
    source: str | None
    record: str | None
    strategy: str
    action: Action
    before: RowState
    after: RowState
    undoes: str | None = None


def row_key(row: Mapping[str, Any]) -> str:
    """Return a hash of a row's origin, output and candidates.

    Decisions belong to it, so they stay with a row for as long as these are the same, in whichever run folder.
    """
    candidates = [[one["instruction"], one["input"]] for one in row["candidates"]]
    content = json.dumps([row["source"], row["id"], row["strategy"], row["output"], candidates])
    return hashlib.blake2b(content.encode(), digest_size=10).hexdigest()


def log_path(run: Path) -> Path:
    """Return where the log of a run is."""
    return run / FOLDER / FILE_NAME


def read_log(path: Path) -> list[Entry]:
    """Return the decisions of a log in their order.

    A last line without an end is left out: it is being written, or its writer was killed before it was confirmed.

    Raises:
        RunFolderError: The log cannot be read, or a line of it is damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(
            f"{path} cannot be read: {error.strerror}. It holds the decisions of a review. Allow reading it."
        ) from error
    entries = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            entries.append(Entry.model_validate_json(line))
        except ValidationError as error:
            raise RunFolderError(
                f"{path}:{number}: {describe(error)}. Each line is one decision as `davidgen review` wrote it. Put "
                "back a copy of the file, or delete that line."
            ) from error
    return entries


class Log:
    """The log of a run, open for appending by one process.

    A last line without an end, which a crash may leave, is completed if it holds a whole decision. If it does not, it
    was never confirmed and is removed.

    Args:
        run: The run's folder.

    Raises:
        RunFolderError: The log is damaged, or cannot be written.
    """

    def __init__(self, run: Path) -> None:
        self.path = log_path(run)
        try:
            self.path.parent.mkdir(exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            folder = os.open(self.path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
            self._recover()
        except OSError as error:
            raise self._refused(error) from error
        self.entries = read_log(self.path)

    def append(self, entry: Entry) -> None:
        """Write a decision, and return once the disk has it.

        Raises:
            RunFolderError: The disk is full or refuses; the log is as it was before.
        """
        size = os.fstat(self._file).st_size
        try:
            self._write(entry.model_dump_json().encode() + b"\n")
        except OSError as error:
            os.ftruncate(self._file, size)
            raise self._refused(error) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self._file, content) :]
        os.fsync(self._file)

    def _recover(self) -> None:
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end == len(content):
            return
        try:
            Entry.model_validate_json(content[end:])
        except ValidationError:
            os.ftruncate(self._file, end)
            os.fsync(self._file)
        else:
            self._write(b"\n")

    def _refused(self, error: OSError) -> RunFolderError:
        return RunFolderError(f"{self.path} cannot be written: {error.strerror}. {RESUME}")
