"""Texts to sentences, each with its place in the text."""

import logging
import re
from collections.abc import Iterator

import regex
import sentencex
from icu4py.breakers import SentenceBreaker

from davidgen_hf.sources.abbreviations import (
    BEFORE_NUMBERS,
    ROMAN_ORDINALS,
    UNCUT_BEFORE_NUMBERS,
    goes_before_name,
)
from davidgen_hf.sources.formulas import OPERATORS, begins_display, formulas
from davidgen_hf.sources.languages import language_code

logger = logging.getLogger(__name__)

Span = tuple[str, int, int]
# sentencex reads so many characters at a time: its time is quadratic in some texts (5 s for 53,000 short Chinese
# sentences), and it finds no sentence between a quotation mark and one that closes it, however far away.
WINDOW = 1000
# A boundary so close to a window's end may only look like one: the next characters are not known.
_LOOKAHEAD = 20
_BLANK_LINES = re.compile(r"\n\s*\n")
# sentencex takes a full stop before a digit for a decimal point, in Chinese too, takes units for abbreviations in
# Spanish, and does not know Khmer's.
_MISSED_ENDS = regex.compile(
    r"[。！？][”’」』）》]*(?=\d)|[។៕](?=\s)"  # noqa: RUF001
    r"|\d[ \u00a0]?(?:[kcmµn]?m[²³]?|[km]?g|m?s|[kMG]?Hz|[km/]+/[hs]|kW|[km]?mol|ml|°C)\.(?=\s+\p{Lu})"
    r"|[=≈≤≥<>][ \u00a0]?[\p{L}\p{N}]{1,3}\.(?=\s+\p{Lu})"  # a letter is an initial to it
)
# A word too long for an abbreviation, or a quotation.
_END_BEFORE_NUMBER = regex.compile(
    r"(?:(?<=\p{L}{6})(?<!inschl|usschl|bschn|aragr|zügl)\.[”“»\")]?|[”“»\")]\.)(?=\s+\d)"
)
_LAST_WORD = regex.compile(r"(?<![\p{L}\p{M}\p{N}.])([\p{L}\p{M}\p{N}.º-]{1,9})\.$")
_GERMAN_ORDINAL = re.compile(r"\b\d\d?\. (?:Jahrh|Jahrtau|Jh|Lebensj|Jahrest|Geburtst|Aufl|Rang|Platz|Klasse|Stock)")
_ROMAN = regex.compile(r"[IVX]+")
_SHORT = 5  # characters; a longer word before a full stop and a small letter is not taken for an abbreviation
# What sentencex takes for an end: abbreviations before a number in mathematics, and a factorial.
_NO_END = regex.compile(
    r"\b(?:Eqs?|Figs?|Thms?|Props?|Cors?|Lems?|Defs?|Secs?|Refs?|Exs?|Chs?|Tabs?|eqs?|resp|cf)\.$"
    r"|(?<=\s|^|[=+*/(−-])(?:\d{1,4}|\p{L}|[\w(]*\))!$"  # noqa: RUF001
)
_NUMBERED = regex.compile(rf"\s*(?:[\d(\[$\\]|[{OPERATORS}]\s|\p{{Ll}})")
_OPERATOR_NEXT = regex.compile(rf"\s*[{OPERATORS}]\s")
# Characters on which sentencex panics or which it cannot encode. None of them ends a sentence.
_ODD = re.compile(r"[^\S \n]|[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

_fallbacks = 0


def sentences(text: str, language: str) -> list[Span]:
    """Cut a text into sentences, ``(sentence, start, end)`` in characters, by sentencex's rules for the language.

    Every character that is not whitespace belongs to one sentence, and no formula is cut. A language without rules of
    its own is cut by the rules of a related one or of English.
    """
    return list(iterate_sentences(text, language))


def iterate_sentences(text: str, language: str) -> Iterator[Span]:
    """Yield the sentences of a text one by one, as ``sentences``; what is not drawn is not cut.

    Time grows linearly with the text, whatever is in it.
    """
    code = language_code(language) or "en"
    start = block = 0
    whole = formulas(text)
    formula = next(whole, None)
    for end in [found.start() for found in _BLANK_LINES.finditer(text)] + [len(text)]:
        for sentence_end in _ends(text, block, end, code):
            while (
                formula and formula[1] + text[formula[1] - 1].isspace() <= sentence_end
            ):  # a sentence may go on there
                formula = next(whole, None)
            if sentence_end < len(text) and (
                (formula and formula[0] < sentence_end) or _goes_on(text, start, sentence_end, code)
            ):
                continue
            if (span := trim(text, start, sentence_end))[0]:
                yield span
            start = sentence_end
        block = end


def _goes_on(text: str, start: int, end: int, code: str) -> bool:
    """Return whether a sentence goes on: with a formula, an operator, a factorial or an abbreviation."""
    before = text[max(start, end - 16) : end].rstrip()
    if begins_display(text, end):
        return not before.endswith((".", "!", "?"))
    after = text[end : end + 8]
    if _BLANK_LINES.match(after):
        return False
    if _OPERATOR_NEXT.match(after) or (_NO_END.search(before) and _NUMBERED.match(after)):
        return True
    if code == "de" and _GERMAN_ORDINAL.search(text, max(start, end - 4), end + 14):
        return True
    last = _LAST_WORD.search(before)
    return last is not None and _is_abbreviation(
        last[1], after.lstrip()[:1], text[start : start + 80].lstrip()[:1], code
    )


def _is_abbreviation(word: str, following: str, first: str, code: str) -> bool:
    """Return whether the full stop after a word ends no sentence, by the word and the next character.

    Args:
        word: The word without its full stop.
        following: The next character.
        first: The first character of the sentence. Where it is a small letter, a small letter may begin the next one.
        code: The language.
    """
    if following.isdigit():
        return word.lower() in BEFORE_NUMBERS
    if following.islower():
        return (len(word) <= _SHORT or word.isdigit()) and not first.islower()
    if code in ROMAN_ORDINALS and _ROMAN.fullmatch(word):
        return True
    return following.isalpha() and goes_before_name(word, code)


def take_fallbacks() -> int:
    """Return on how many pieces of text sentencex has failed since the last call; they were cut by punctuation."""
    global _fallbacks
    number, _fallbacks = _fallbacks, 0
    return number


def trim(text: str, start: int, end: int) -> Span:
    """Return the characters from ``start`` to ``end`` without whitespace around them, and their place."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return piece.strip(), start, start + len(piece.strip())


def _ends(text: str, start: int, end: int, code: str) -> Iterator[int]:
    """Yield where each sentence ends between ``start`` and ``end``, reading through a window."""
    while end - start > WINDOW:
        window = text[start : start + WINDOW]
        found = [place for place in _window_ends(window, code) if place <= WINDOW - _LOOKAHEAD]
        yield from (start + place for place in found)
        # Go on from the last sentence's end. Where sentences are long, go on within one: no window is read twice.
        last = found[-1] if found else 0
        start += last if last > WINDOW // 2 else max(window.rfind(" "), WINDOW // 2)
    yield from (start + place for place in _window_ends(text[start:end], code))
    yield end


def _window_ends(window: str, code: str) -> list[int]:
    """Return the places in a window where a sentence ends and another one begins."""
    plain = _ODD.sub(" ", window)
    ends, place = {found.end() for found in _MISSED_ENDS.finditer(plain)}, 0
    if code in UNCUT_BEFORE_NUMBERS:
        ends |= {found.end() for found in _END_BEFORE_NUMBER.finditer(plain)}
    for piece in _pieces(plain, code):
        place += len(piece)
        ends.add(place)
    return sorted(ends - {len(window)})


def _pieces(plain: str, code: str) -> list[str]:
    global _fallbacks
    try:
        pieces: list[str] = sentencex.segment(code, plain)
        if sum(map(len, pieces)) == len(plain):
            return pieces
        reason = "sentencex changed the text"
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in Rust is not an Exception
        reason = repr(error)
    _fallbacks += 1
    logger.warning(
        "A text could not be cut into sentences by the rules for %r: %s. It is cut by punctuation.", code, reason
    )
    return list(SentenceBreaker(plain.replace("\n", " "), "en"))
