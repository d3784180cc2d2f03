"""What a word is, in any script: the one definition that lengths, copies, overlaps, duplicates and searches share."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby

import regex
from icu4py.breakers import WordBreaker

# Letters, digits and underscores, with their combining marks and with characters that show nothing, such as soft
# hyphens and joiners. A word starts with a letter, a digit or an underscore, so that a mark alone is not a word.
_RUN = regex.compile(r"[\p{L}\p{N}_][\p{L}\p{N}_\p{M}\u00ad\u200c\u200d\u2060]*")
_ASCII_RUN = re.compile(r"\w+", re.ASCII)
# Scripts written without spaces between words: Thai, Lao, Khmer, Burmese and their neighbors, Han and kana.
_UNSPACED = regex.compile(r"[\p{Line_Break=Complex_Context}\p{Han}\p{Hiragana}\p{Katakana}]")
_HIDDEN = re.compile("[\u00ad\u2060]")
_SPACE_BETWEEN = regex.compile(rf"(?<={_UNSPACED.pattern})\s+(?={_UNSPACED.pattern})")
_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")


def words(text: str) -> list[str]:
    """Return the words of a text without punctuation, folded by ``fold``.

    A word is a run of letters, digits and underscores with their combining marks. In scripts that put no spaces
    between words, ICU's dictionaries cut such a run into words: 全国人民代表大会 is four words, not eight or one.
    """
    if text.isascii():
        return _ASCII_RUN.findall(text.lower())
    found = "\n".join(_pieces(text))
    return fold(found).split("\n") if found else []


def word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each word starts and ends, in characters of the text as it is."""
    end = 0
    for piece in _pieces(text):
        start = text.index(piece, end)  # there are only characters of no word between the last word and this one
        end = start + len(piece)
        yield start, end


def word_runs(text: str) -> list[str]:
    """Return the folded runs of letters and digits in a text; those without spaces are not cut into words."""
    return list(_RUN.findall(fold(text)))


def count_words(text: str) -> int:
    """Return the number of words in a text."""
    return sum(1 for _ in _pieces(text))


def fold(text: str) -> str:
    """Return a text as it is compared: without case, invisible characters or differences of encoding.

    This is Unicode's NFKC_Casefold (UAX #44): composed and decomposed letters become equal, full-width letters and
    ligatures become plain ones, and soft hyphens and joiners go. Folding comes after cutting into words, because the
    dictionaries of Thai and Lao know their vowels only as they are usually written.
    """
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", plain))


def is_unspaced(word: str) -> bool:
    """Return whether a word holds characters of a script that puts no spaces between words."""
    return _UNSPACED.search(word) is not None


def without_wrapping(text: str) -> str:
    """Return a text without whitespace between characters of scripts that put none there, such as line breaks."""
    return text if text.isascii() else _SPACE_BETWEEN.sub("", text)


def _pieces(text: str) -> Iterator[str]:
    """Yield each word of a text as it is written there."""
    if text.isascii():
        yield from _ASCII_RUN.findall(text)
    elif not is_unspaced(text):
        yield from _RUN.findall(text)
    else:
        for unspaced, runs in groupby(_RUN.findall(text), key=is_unspaced):
            if not unspaced:
                yield from runs
                continue
            # One breaker for many runs, because creating one takes longer than cutting a clause.
            yield from (piece for piece in _cut("\n".join(runs)) if piece != "\n")


def _cut(text: str) -> Iterator[str]:
    """Yield what ICU finds in a text, which soft hyphens do not cut."""
    shown = _HIDDEN.sub("", text)
    if shown == text:
        yield from WordBreaker(text, "en")
        return
    start = 0
    for piece in WordBreaker(shown, "en"):
        end = start
        for character in piece:
            end = text.index(character, end) + 1
        while end < len(text) and _HIDDEN.match(text, end):
            end += 1
        yield text[start:end]
        start = end
