"""What cards and rows say about who wrote data, and files that are known by their content."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from huggingface_hub import CardData

from davidgen_hf.provenance.closed_models import closed_model
from davidgen_hf.provenance.tables import KnownDataset, datasets

# Columns in which datasets say who wrote a row.
WRITER_COLUMNS = (
    *("source", "model", "model_name", "generator", "generated_by", "dataset", "origin", "data_source", "writer"),
    *("teacher", "generation_model", "response_model", "assistant_model"),
)
# What this package marks rows with, so that a corpus stays restricted wherever its rows are copied to.
MARK_COLUMNS = ("restricted", "closed_source", "candidates")
EVIDENCE_COLUMNS = (*WRITER_COLUMNS, *MARK_COLUMNS)
# What this package tags cards with.
MARK_TAG = "restricted"
# GitHub takes no larger files, and all that are known by their content are from there.
_LARGEST_KNOWN_FILE = 100 << 20
_CARD_FIELDS = ("license", "tags", "source_datasets", "base_model", "datasets")


def facts_of(card: CardData | None) -> dict[str, list[str]]:
    """Return the texts in the fields of a card that say where something comes from; other values say nothing."""
    values = {name: card.get(name) if card else None for name in _CARD_FIELDS}
    return {
        name: [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
        for name, value in values.items()
    }


def license_of(facts: Mapping[str, list[str]]) -> str | None:
    """Return the licence of a card that names one; of several it is not known which rows are under which."""
    found = facts["license"]
    return found[0] if len(found) == 1 else None


def card_reason(facts: Mapping[str, list[str]]) -> str | None:
    """Return what a data set's card says of a closed model or of restricted data, to be read after "The card"."""
    if MARK_TAG in facts["tags"]:
        return f"has the tag {MARK_TAG!r}"
    for tag in facts["tags"]:
        if model := closed_model(tag):
            return f"has the tag {model!r}"
    for origin in facts["source_datasets"]:
        entry = datasets().find(origin.removeprefix("extended|"))
        if entry and entry.use == "restricted":
            return f"names {entry.name} as its source, of which it is known that {entry.written_by}"
    return None


def doubt(name: str, facts: Mapping[str, list[str]] | None = None) -> str:
    """Return what makes an unknown source doubtful, to be read after its name; empty where nothing does."""
    restricted = (entry for entry in datasets().entries if entry.use == "restricted")
    word = next((word for entry in restricted for word in entry.words if word in name.lower()), None)
    if word:
        return f", and its name has {word!r} in it as restricted data has"
    if facts and "synthetic" in (tag.lower() for tag in facts["tags"]):
        return ", and its card says that a model wrote it, but not which"
    return ""


def rows_reason(rows: Iterable[Mapping[str, object]]) -> str | None:
    """Return what rows say of a closed model that wrote them, or of restricted data that they come from; or None."""
    return next(filter(None, map(_row_reason, rows)), None)


def known_file(path: Path) -> KnownDataset | None:
    """Return what a file or folder is known as by its content; None if it is not known.

    A folder is known as restricted by any file in it, and a copy of SuperNI's repository by its lists of tasks.
    """
    if not path.is_dir():
        return _known_content(path)
    found = (entry for one in sorted(path.rglob("*")) if (entry := _known_content(one)))
    restricted = next((entry for entry in found if entry.use == "restricted"), None)
    lists = (entry for one in path.glob("splits/*/train_tasks.txt") if (entry := _known_content(one)))
    return restricted or next(lists, None)


def why(entry: KnownDataset) -> str:
    """Return why a data set is what it is, without the full stop."""
    return f"{entry.name}: {entry.written_by}" + (f", and {entry.because}" if entry.because else "")


def _row_reason(row: Mapping[str, object]) -> str | None:
    for column in MARK_COLUMNS:
        if _is_marked(row.get(column)):
            return f"column {column!r} marks a row as restricted"
    for column in WRITER_COLUMNS:
        value = row.get(column)
        if isinstance(value, str) and (reason := _writer_reason(value)):
            return f"column {column!r} says {reason}"
    return None


def _is_marked(value: object) -> bool:
    if isinstance(value, list):  # the candidates of a row
        return any(_is_marked(one.get("closed_source")) for one in value if isinstance(one, Mapping))
    return value == 1 if isinstance(value, int) else isinstance(value, str) and value.strip().lower() in ("true", "1")


@lru_cache(maxsize=4096)  # few writers wrote many rows
def _writer_reason(value: str) -> str | None:
    if model := closed_model(value):
        return f"{model!r}"
    by_word = (entry for entry in datasets().entries if value.lower() in entry.words)
    entry = datasets().find(value) or next(by_word, None)
    return f"{value!r}: {entry.written_by}, and {entry.because}" if entry and entry.use == "restricted" else None


def _known_content(path: Path) -> KnownDataset | None:
    if not path.is_file() or path.stat().st_size > _LARGEST_KNOWN_FILE:
        return None
    known = [(file, entry) for entry in datasets().entries for file in entry.files]
    size = path.stat().st_size
    if all(file.git_sha1 is None and file.bytes != size for file, _ in known):
        return None
    content = path.read_bytes()
    digests = {
        hashlib.sha256(content).hexdigest(),
        hashlib.sha1(b"blob %d\0" % size + content, usedforsecurity=False).hexdigest(),
    }
    return next((entry for file, entry in known if {file.sha256, file.git_sha1} & digests), None)
