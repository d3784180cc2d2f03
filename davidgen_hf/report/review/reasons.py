"""The list of reasons to reject a row, which reviewers edit."""

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from davidgen_hf.corpus.review.log import FOLDER
from davidgen_hf.report.review.requests import Reason
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.validation import read_json

FILE_NAME = "reasons.json"
DEFAULT = (
    "the output does not answer the instruction",
    "the instruction cannot be understood without the passage",
    "the instruction is vague or ungrammatical",
    "the output is poor text",
    "unsafe, private or offensive",
)


class Reasons(BaseModel):
    """Reasons to choose from, in their order; the first nine have a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reasons: Annotated[tuple[Reason, ...], Field(max_length=50)] = DEFAULT


def read_reasons(run: Path) -> Reasons:
    """Return the reasons of a run.

    Raises:
        InputError: The file is damaged.
    """
    path = run / FOLDER / FILE_NAME
    advice = "It lists reasons to reject a row. Correct the file, or delete it to have the list of before."
    return read_json(path, Reasons, advice) if path.exists() else Reasons()


def write_reasons(run: Path, reasons: Reasons) -> None:
    """Write the reasons of a run in place of those of before.

    Raises:
        RunFolderError: The file cannot be written.
    """
    write_whole(run / FOLDER / FILE_NAME, json.dumps(reasons.model_dump(), indent=1, ensure_ascii=False) + "\n")
