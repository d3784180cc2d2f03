"""What YAKE needs to find keywords in many languages: its stop words, and words where a script has no spaces."""

import unicodedata
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING

from davidgen_hf.errors import SettingError
from davidgen_hf.sources.formulas import whole_parts
from davidgen_hf.sources.languages import language_code
from davidgen_hf.sources.words import is_unspaced, word_spans

if TYPE_CHECKING:
    from yake import KeywordExtractor

# YAKE names its files by country in two cases: cz is Czech, and br is Brazilian Portuguese, not Breton.
_FILE_NAMES = {"cs": "cz", "nb": "no", "nn": "no", "br": "noLang"}
_ENCODINGS = {"lt": "windows-1257", "sk": "windows-1250"}
_LETTERS = str.maketrans("0123456789", "bcdfghjklm")
_PUNCTUATION = str.maketrans("。、・", ".,,")


def require_yake() -> None:
    """Require the extra, when a recipe is read and not after hours in which a generator is trained.

    Raises:
        SettingError: It is not installed.
    """
    if find_spec("yake") is None:
        raise SettingError(
            "The strategy keywords needs YAKE, which is not installed. It is an extra, because its license, the AGPL, "
            "is not that of davidgen_hf. Run `pip install 'davidgen-hf[keywords]'`, or take another strategy."
        )


@lru_cache
def keyword_extractor(language: str, max_words: int, top: int) -> "KeywordExtractor":
    """Return YAKE for a language."""
    from yake import KeywordExtractor  # takes long to import, and a recipe only names this step

    # Without stop words of its own, YAKE would look for the file of a language; it has none for "xx".
    return KeywordExtractor(lan="xx", n=max_words, top=top, stopwords=stop_words(language))


@lru_cache
def stop_words(language: str) -> frozenset[str]:
    """Return YAKE's stop words for a language; a set without words where it has none."""
    code = language_code(language) or "noLang"
    folder = files("yake") / "core" / "StopwordsList"
    file = folder / f"stopwords_{_FILE_NAMES.get(code, code)}.txt"
    if not file.is_file():
        file = folder / "stopwords_noLang.txt"
    text = file.read_text(_ENCODINGS.get(code, "utf-8-sig"))
    return frozenset(line.strip("\ufeff \t") for line in text.lower().split("\n"))


def spell_out(text: str, language: str) -> tuple[str, dict[str, str]]:
    """Return a text without spaces as YAKE can read it, and the original of each of its words.

    YAKE reads words between spaces with Latin punctuation, and takes what has fewer than three letters for a stop
    word. So each word becomes a code of Latin letters: five of them, or two for a stop word.
    """
    stops = stop_words(language)
    codes: dict[str, str] = {}
    spelled: list[str] = []
    place, before = 0, ""
    for start, end in word_spans(text):
        word, between = text[start:end], text[place:start]
        if between.isspace() and is_unspaced(before) and is_unspaced(word):
            between = ","  # in these scripts a space ends a phrase
        if word not in codes:
            number = f"{len(codes):02}" if word in stops else f"{len(codes):05}"
            codes[word] = number.translate(_LETTERS)
        spelled += [_plain(between), codes[word]]
        place, before = end, word
    spelled.append(_plain(text[place:]))
    return " ".join(spelled), {code: word for word, code in codes.items()}


def hide_formulas(text: str) -> tuple[str, dict[str, str]]:
    """Return a text with a word in place of each formula, equation and quantity, and what each word stands for."""
    codes: dict[str, str] = {}
    parts, end = [], 0
    for start, stop in whole_parts(text):
        code = codes.setdefault(text[start:stop], f"zq{len(codes):05}".translate(_LETTERS))
        parts += [text[end:start], code]
        end = stop
    return "".join([*parts, text[end:]]), {code: formula for formula, code in codes.items()}


def join_words(words: list[str]) -> str:
    """Return words as one text, with spaces only where their script has them."""
    joined = words[0]
    for before, word in pairwise(words):
        joined += word if is_unspaced(before) and is_unspaced(word) else f" {word}"
    return joined


def _plain(punctuation: str) -> str:
    return unicodedata.normalize("NFKC", punctuation).translate(_PUNCTUATION)
