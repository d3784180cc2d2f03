"""The form of an entry in the tables of known data and models, and how an id finds its entry."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

# "gpt2", "gpt-j", "gpt4all" and "gpt-oss" are none of them: what follows the number must not be a letter.
CLOSED_MODEL = re.compile(
    r"(?<![a-z0-9])(chatgpt|gpt[-_ ]?(?:3(?:[.-]?5)?|4(?:o|[.-]\d)?|5)(?:[-_]?turbo)?|text-davinci-\d{3}|davinci"
    r"|claude|gemini)(?![a-z0-9])"
)

OPENAI_TERM = "OpenAI's terms forbid to use the output for models that compete with theirs"
OPENAI_TERMS_URL = "https://openai.com/policies/terms-of-use"


@dataclass(frozen=True)
class Known:
    """A dataset of which it is known who wrote it.

    Args:
        name: What people call it.
        ids: Patterns of ids on the Hub or GitHub and of package names; ``id:config`` is one configuration.
        written_by: Who or what wrote it, as a sentence.
        source: Where that can be read.
        license: Licence as the Hub writes it; ``None`` where it varies by row or none is given.
        term: What forbids to train on it; ``None`` for data that is clean.
        words: What rows and file names call it.
    """

    name: str
    ids: tuple[str, ...]
    written_by: str
    source: str
    license: str | None = None
    term: str | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownModel:
    """A model of which it is known what it was trained on.

    Args:
        name: What people call it.
        ids: Patterns of ids.
        license: Licence as the Hub writes it.
        source: Where its training is described.
        base: Id of the model that it was tuned from.
        data: Ids of the datasets it was trained on.
        text: What it was trained on where that is published but no dataset of the Hub.
        gap: What of its training is not published; such a model is unknown at best.
        term: What its licence forbids to do with what it writes.
    """

    name: str
    ids: tuple[str, ...]
    license: str
    source: str
    base: str | None = None
    data: tuple[str, ...] = ()
    text: str | None = None
    gap: str | None = None
    term: str | None = None


Entry = TypeVar("Entry", Known, KnownModel)


def find(entries: Iterable[Entry], identity: str) -> Entry | None:
    """Return the first entry one of whose patterns fits the id; upper and lower case are the same on the Hub."""
    wanted = identity.lower()
    return next((entry for entry in entries if any(fnmatchcase(wanted, one.lower()) for one in entry.ids)), None)


def find_copy(entries: Iterable[Entry], name: str) -> Entry | None:
    """Return the entry that a file or folder is named after, as a local copy of ``org/name`` is called ``name``."""
    names = {name.lower(), name.lower().partition(".")[0]}
    return next(
        (
            entry
            for entry in entries
            for pattern in entry.ids
            if "/" in pattern and any(fnmatchcase(one, pattern.lower().rpartition("/")[2]) for one in names)
        ),
        None,
    )


def closed_model(text: str) -> str | None:
    """Return the closed model that a tag, an id or a path names in its last part, or ``None``."""
    found = CLOSED_MODEL.search(text.rstrip("/").rpartition("/")[2].lower())
    return found.group(0) if found else None
