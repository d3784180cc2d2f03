"""Long documents to paragraphs that begin and end with a sentence, and keep the place where they stood."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from davidgen_hf.errors import SettingError
from davidgen_hf.sources.sentences import sentences, trim

_BLANK_LINE = re.compile(r"\n\s*\n")
_BLOCK = re.compile(r"\S[^\n]*(?:\n[^\S\n]*\S[^\n]*)*")  # lines up to a blank one
_LINE = re.compile(r"\S[^\n]*")


@dataclass(frozen=True)
class Paragraphs:
    """How documents are cut.

    Paragraphs are what blank lines part (Wikipedia); where a document has no blank line, its lines are (C4). One that
    is too long is cut after the last sentence that fits. What is too short, as headings and the items of lists are, is
    left out, and so is a single sentence that is too long. Our own rule; the paper names no lengths.

    Args:
        min_words: Shortest paragraph, in words that white space parts.
        max_words: Longest paragraph, in the same words.

    Raises:
        SettingError: ``min_words`` is below 1 or above ``max_words``.
    """

    min_words: int = 40
    max_words: int = 120

    def __post_init__(self) -> None:
        if not 1 <= self.min_words <= self.max_words:
            raise SettingError(
                f"min_words must be at least 1 and at most max_words, got {self.min_words} and {self.max_words}."
            )

    def spans(self, document: str, language: str) -> Iterator[tuple[int, int]]:
        """Yield ``(start, end)``, in characters of the document, of each paragraph."""
        blocks = _BLOCK if _BLANK_LINE.search(document) else _LINE
        for block in blocks.finditer(document):
            _, start, end = trim(document, *block.span())
            for first, last in self._pieces(document[start:end], language):
                if self.min_words <= _count_words(document[start + first : start + last]) <= self.max_words:
                    yield start + first, start + last

    def _pieces(self, block: str, language: str) -> list[tuple[int, int]]:
        """Join sentences up to ``max_words``; a block that is short enough is one piece."""
        if _count_words(block) <= self.max_words:
            return [(0, len(block))]
        pieces: list[tuple[int, int]] = []
        for start, end in sentence_spans(block, language):
            if pieces and _count_words(block[pieces[-1][0] : end]) <= self.max_words:
                pieces[-1] = pieces[-1][0], end
            else:
                pieces.append((start, end))
        return pieces


def sentence_spans(block: str, language: str, window: int = 10_000) -> Iterator[tuple[int, int]]:
    """Yield ``(start, end)`` of each sentence, reading through a window, since pysbd's time grows as a square."""
    place, width = 0, window
    while place < len(block):
        whole = place + width >= len(block)
        found = sentences(block[place : place + width], language)
        found = found if whole else found[:-1]  # the last may go on beyond the window
        yield from ((place + start, place + end) for _, start, end in found)
        if whole:
            return
        place, width = (place + found[-1][2], window) if found else (place, 2 * width)


def _count_words(text: str) -> int:
    return len(text.split())
