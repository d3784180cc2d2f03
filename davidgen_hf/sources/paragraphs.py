"""Long documents to paragraphs that begin and end with a sentence and keep their place in the document."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from davidgen_hf.errors import SettingError
from davidgen_hf.sources.code import Grammar, definitions, grammar_of
from davidgen_hf.sources.sentences import iterate_sentences, trim
from davidgen_hf.sources.words import count_words
from davidgen_hf.storage.settings import check_settings

_BLANK_LINE = re.compile(r"\n\s*\n")
_BLOCK = re.compile(r"\S[^\n]*(?:\n[^\S\n]*\S[^\n]*)*")  # lines up to a blank one
_LINE = re.compile(r"\S[^\n]*")


@dataclass(frozen=True)
class Paragraphs:
    """How documents are cut.

    Paragraphs are separated by blank lines (Wikipedia); in a document without blank lines, each line is a paragraph
    (C4). One that is too long is cut after the last sentence that fits. What is too short, such as headings and list
    items, is left out, and so is a single sentence that is too long. Our own rule; the paper gives no lengths.

    Code is cut into whole functions and classes. A class that is too long is left out, or cut into its methods in a
    language in which they can stand on their own, as in Java.

    Args:
        min_words: Shortest paragraph, in words of ``sources.words``.
        max_words: Longest paragraph, in the same words.

    Raises:
        SettingError: ``min_words`` is below 1 or above ``max_words``.
    """

    min_words: int = 40
    max_words: int = 120

    def __post_init__(self) -> None:
        check_settings(self)
        if not 1 <= self.min_words <= self.max_words:
            raise SettingError(
                f"min_words must be at least 1 and at most max_words, got {self.min_words} and {self.max_words}."
            )

    def spans(self, document: str, language: str) -> Iterator[tuple[int, int]]:
        """Yield ``(start, end)``, in characters of the document, of each paragraph."""
        if grammar := grammar_of(language):
            yield from self._definitions(document, grammar)
            return
        blocks = _BLOCK if _BLANK_LINE.search(document) else _LINE
        for block in blocks.finditer(document):
            text, start, _ = trim(document, *block.span())
            n_words = count_words(text)
            pieces = [(0, len(text), n_words)] if n_words <= self.max_words else self._pieces(text, language)
            for first, last, n_words in pieces:
                if self.min_words <= n_words <= self.max_words:
                    yield start + first, start + last

    def _definitions(self, code: str, grammar: Grammar) -> Iterator[tuple[int, int]]:
        """Yield the definitions of the right length; of a class that is too long, its methods if they stand alone."""
        end = 0
        for span in sorted((*definitions(code, grammar, "class"), *definitions(code, grammar, "function"))):
            if span[0] >= end and self.min_words <= count_words(code[slice(*span)]) <= self.max_words:
                yield span
                end = span[1]

    def _pieces(self, block: str, language: str) -> Iterator[tuple[int, int, int]]:
        """Join sentences up to ``max_words``; yield start, end and number of words."""
        start, end, n_words = 0, 0, 0
        for sentence, first, last in iterate_sentences(block, language):
            added = count_words(sentence)
            if end and n_words + added > self.max_words:
                yield start, end, n_words
                start, n_words = first, 0
            end, n_words = last, n_words + added
        yield start, end, n_words
