"""A text to its sentences, each with the place where it stands."""

from functools import lru_cache

import pysbd
from pysbd.languages import LANGUAGE_CODES

Span = tuple[str, int, int]


def sentences(text: str, language: str) -> list[Span]:
    """Cut a text into sentences, ``(sentence, start, end)`` in characters, by pysbd's rules for the language.

    A language for which pysbd has no rules is cut by those for English.
    """
    found, place = [], 0
    for piece in _segmenter(language if language in LANGUAGE_CODES else "en").segment(text):
        start = text.find(piece, place)
        if start >= 0:  # pysbd uses some rare characters as marks of its own, and then gives another text back
            place = start + len(piece)
            found.append(trim(text, start, place))
    return [span for span in found if span[0]]


def trim(text: str, start: int, end: int) -> Span:
    """Return the characters from ``start`` to ``end`` without white space at their ends, and where they then lie."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return piece.strip(), start, start + len(piece.strip())


@lru_cache
def _segmenter(language: str) -> pysbd.Segmenter:
    return pysbd.Segmenter(language=language, clean=False)
