"""Rows to passages: plain text with an id, a language and an origin."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from davidgen_hf.errors import InputError
from davidgen_hf.sources import embedded
from davidgen_hf.sources.paragraphs import Paragraphs
from davidgen_hf.sources.seeds import KNOWN_COLUMNS
from davidgen_hf.sources.source import ORIGIN_COLUMNS, Skipped, Source, identity_of, no_text, whole_document

__all__ = ["PassageSource", "Skipped", "read_passages"]


@dataclass(frozen=True)
class PassageSource(Source):
    """Names plain text; ``embedded`` is the running Python's language reference.

    The outputs of supervised data are passages too: with SuperNI, ``text_column`` is ``targets``. Such rows are known
    by their column of instructions (``seeds.KNOWN_COLUMNS``), and marked ``supervised``.

    Args:
        text_column: Column that holds the text.
        paragraphs: How long documents are cut; ``None`` takes each row whole.
    """

    text_column: str = "text"
    paragraphs: Paragraphs | None = None

    def columns_read(self) -> frozenset[str]:
        """Return the names of the columns that are needed of each row."""
        return frozenset((self.text_column, "id", "task_name", *ORIGIN_COLUMNS))


def read_passages(wanted: PassageSource | Iterable[PassageSource], skipped: Skipped) -> Iterator[dict]:
    """Yield passages one by one, source after source; rows of no use are counted in ``skipped``, not yielded.

    They are null, empty or not text, have no paragraph of the wanted length, or a licence that is not allowed.

    Yields:
        Rows of ``schema.PASSAGE``. The id of a paragraph is that of its document, ``#``, and where it starts and ends
        there, in characters: ``12#340-1021``. A row without an id has its place, ``c4.jsonl:7``.

    Raises:
        InputError: The source cannot be read, has no such column, or has no row with text.
    """
    for one in [wanted] if isinstance(wanted, PassageSource) else wanted:
        yield from islice(_read(one.resolved(), skipped), one.max_rows)


def _read(wanted: PassageSource, skipped: Skipped) -> Iterator[dict]:
    documents = _embedded() if wanted.source == embedded.EMBEDDED else _documents(wanted, skipped)
    found = False
    for place, document in documents:
        passages = _cut(document, wanted.paragraphs)
        if reason := wanted.refuses(document) or (None if passages else "no_paragraph"):
            skipped.add(reason, place)
        found = found or reason is None
        yield from [] if reason else passages
    if not found:
        raise InputError(f"{wanted.source} has no row with text in column {wanted.text_column!r}: {skipped.counts}.")


def _embedded() -> Iterator[tuple[str, dict]]:
    return ((row["id"], row) for row in embedded.passages())


def _documents(wanted: PassageSource, skipped: Skipped) -> Iterator[tuple[str, dict]]:
    for number, (place, row) in enumerate(wanted.rows(skipped)):
        if number == 0 and wanted.text_column not in row:
            raise InputError(
                f"{place} has no column {wanted.text_column!r}; it has {list(row)}. Name the one that holds the text "
                "with --text-column."
            )
        text = row.get(wanted.text_column)
        if reason := no_text(text):
            skipped.add(reason, place)
        else:
            supervised = any(one.output == wanted.text_column and one.fit(row) for one in KNOWN_COLUMNS)
            identity = identity_of(row, place)
            passage = {"id": identity, "text": text, "supervised": supervised}
            yield place, passage | whole_document(identity, text) | wanted.origin(row)


def _cut(document: dict, paragraphs: Paragraphs | None) -> list[dict]:
    if paragraphs is None:
        return [document]
    identity, text = document["id"], document["text"]
    return [
        document
        | {"id": f"{identity}#{start}-{end}", "text": text[start:end], "document_start": start, "document_end": end}
        for start, end in paragraphs.spans(text, document["language"])
    ]
