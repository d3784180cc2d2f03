"""Rows to passages: plain texts with an id, a language and an origin."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from davidgen_hf.errors import InputError
from davidgen_hf.schema import Row
from davidgen_hf.sources import embedded
from davidgen_hf.sources.code import unusable
from davidgen_hf.sources.paragraphs import Paragraphs
from davidgen_hf.sources.paths import local_path
from davidgen_hf.sources.repository import is_repository, read_repository
from davidgen_hf.sources.rows import PlacedRow, form_of
from davidgen_hf.sources.seeds import KNOWN_COLUMNS
from davidgen_hf.sources.source import ORIGIN_COLUMNS, Skipped, Source, identity_of, no_text, whole_document

__all__ = ["PassageSource", "Skipped", "read_passages"]


@dataclass(frozen=True)
class PassageSource(Source):
    """Names a source of plain text; ``embedded`` is the language reference of the running Python, or modules of
    its standard library with ``kind: code``.

    The outputs of supervised data are passages too: with SuperNI, ``text_column`` is ``targets``. Rows that also have
    a column of instructions (``seeds.KNOWN_COLUMNS``) are marked ``supervised``.

    Args:
        text_column: Column that holds the text.
        paragraphs: How long documents are cut; ``None`` uses each row whole. Code is cut into whole definitions.
        kind: ``code`` reads a repository, or files of code, with their path, programming language and license; or
            rows whose ``language`` is a programming language. Generated and minified files, and files that hold a
            token or password, are counted as skipped.
    """

    text_column: str = "text"
    paragraphs: Paragraphs | None = None
    kind: Literal["text", "code"] = "text"

    def read(self, columns: Collection[str] | None) -> Iterator[PlacedRow]:
        """Yield the rows, as ``Source.read``; of a repository, a row for each file of code."""
        path = local_path(self.source) if self.kind == "code" else None
        is_table = path is not None and (form_of(path) is not None or (path.is_dir() and not is_repository(path)))
        return super().read(columns) if path is None or is_table else read_repository(path)

    def columns_read(self) -> frozenset[str]:
        """Return the names of the columns to read."""
        return frozenset((self.text_column, "id", "task_name", *ORIGIN_COLUMNS))


def read_passages(wanted: PassageSource | Iterable[PassageSource], skipped: Skipped) -> Iterator[Row]:
    """Yield passages one by one, source after source; rows that cannot be used are counted in ``skipped``.

    Their text is null, empty or not text, they have half a character in some column, no paragraph of the right length,
    or a license that is not allowed.

    Yields:
        Rows of ``schema.PASSAGE``. The id of a paragraph is the id of its document, ``#``, and its start and end in
        the document, in characters: ``12#340-1021``. A row without an id gets its place as its id: ``c4.jsonl:7``,
        or ``en/c4.jsonl:7`` if several folders have a file of that name.

    Raises:
        InputError: The source cannot be read, has no such column, or has no row with text.
    """
    for one in [wanted] if isinstance(wanted, PassageSource) else wanted:
        yield from one.draw(_read(one.resolved(), skipped))


def _read(wanted: PassageSource, skipped: Skipped) -> Iterator[Row]:
    if wanted.source == embedded.EMBEDDED:
        rows: Iterable[Row] = embedded.passages() if wanted.kind == "text" else embedded.code()
        documents: Iterable[tuple[str, Row]] = ((row["id"], row) for row in rows)
    else:
        documents = _documents(wanted, skipped)
    found = False
    for place, document in documents:
        reason = wanted.refuses(document)
        passages = [] if reason else _cut(document, wanted.paragraphs)
        if passages:
            found = True
            yield from passages
        else:
            skipped.add(reason or "no_paragraph", place)
    if not found:
        raise InputError(
            f"{wanted.source} has no row with text in column {wanted.text_column!r}: {skipped.counts}. Passages need "
            "text. Name another file or column."
        )


def _documents(wanted: PassageSource, skipped: Skipped) -> Iterator[tuple[str, Row]]:
    for number, (place, row) in enumerate(wanted.rows(skipped)):
        if number == 0 and wanted.text_column not in row:
            raise InputError(
                f"{place} has no column {wanted.text_column!r}; it has {list(row)}. One of them must hold the text. "
                "Name it with --text-column."
            )
        text = row.get(wanted.text_column)
        reason = no_text(text)
        if reason is None and wanted.kind == "code":
            reason = unusable(str(text))
        if reason or not isinstance(text, str):
            skipped.add(reason or "not_text", place)
        else:
            supervised = any(one.output == wanted.text_column and one.fit(row) for one in KNOWN_COLUMNS)
            identity = identity_of(row, place)
            passage = {"id": identity, "text": text, "supervised": supervised}
            yield place, passage | whole_document(identity, text) | wanted.origin(row)


def _cut(document: Row, paragraphs: Paragraphs | None) -> list[Row]:
    if paragraphs is None:
        return [document]
    identity, text = document["id"], document["text"]
    return [
        document
        | {"id": f"{identity}#{start}-{end}", "text": text[start:end], "document_start": start, "document_end": end}
        for start, end in paragraphs.spans(text, document["language"])
    ]
