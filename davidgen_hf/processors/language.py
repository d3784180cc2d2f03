"""Whether a text is in another language than expected, by its script and by what py3langid finds. Our own rule."""

from functools import lru_cache
from typing import Any

import regex
from langcodes import Language
from langcodes.data_dicts import LIKELY_SUBTAGS
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from davidgen_hf.sources.formulas import without_formulas
from davidgen_hf.sources.languages import language_code
from davidgen_hf.sources.words import count_words

# A text of fewer letters may be a name or a formula in any language.
MIN_LETTERS = 8
SHORT_WORDS = 8
# What py3langid calls these languages.
_LABELS = {"nb": "no", "fil": "tl"}
_NO_LANGUAGE = "zxx"
# Languages and varieties that py3langid mistakes for each other even in long texts.
_ALIKE = (
    {"zh", "wuu", "yue"},
    {"ar", "ary", "arz"},
    {"no", "nn"},
    {"hr", "bs", "sr"},
    {"id", "ms"},
    {"es", "ext", "an"},
    {"it", "vec", "lij"},
    {"he", "hbo"},
    {"el", "grc"},
    {"lv", "ltg"},
    {"fa", "uzs"},
)
_GROUPS = {name: min(group) for group in _ALIKE for name in group}
# Of these, many texts are in another script than the usual one.
_SEVERAL_SCRIPTS = {
    *("az", "bs", "crh", "grc", "ha", "hbo", "jv", "kk", "ku", "ky", "mn", "ms", "pa", "ps"),
    *("sdh", "sr", "tg", "tk", "tt", "ug", "uz", "uzs"),
    *("cdo", "cr", "hak", "iu", "kmr", "kok", "ks", "mni", "nan", "oj", "rom", "sat", "sd", "shi", "zgh"),
}
_SCRIPTS = {"Hans": r"\p{Han}", "Hant": r"\p{Han}", "Jpan": r"\p{Han}\p{Hiragana}\p{Katakana}", "Kore": r"\p{Hangul}"}
_LETTER = regex.compile(r"\p{L}")
_LATIN = regex.compile(r"\p{Latin}")
_TERM = regex.compile(r"[\p{Latin}\p{M}\d_.:/-]+")  # words in Latin letters, versions, file names, addresses


def is_other_language(text: str, language: str, min_confidence: float) -> bool:
    """Return whether a text is in another language.

    A text without a letter of the language's script is in another language, unless it is short and in Latin letters,
    as names, formulas and code are everywhere. Otherwise py3langid decides, by the first of these conditions only if
    the text has at most ``SHORT_WORDS`` words:

    - One other language has at least the probability ``min_confidence``.
    - The expected language has at most a twentieth of what that leaves: 0.01 with 0.8.

    Of a language that py3langid does not know, only the script is compared. Formulas are left out before that.

    Args:
        text: The text.
        language: The language it should be in, a code or a name.
        min_confidence: A probability; above 1.0, no text is in another language.
    """
    prose = without_formulas(text)
    code = language_code(language) or ""
    label = _LABELS.get(code, code)
    own = _letter_of(label)
    if own is None or min_confidence > 1 or (prose != text and not _LETTER.search(prose)):
        return False
    text = prose
    if label not in _SEVERAL_SCRIPTS and own.search(text) is None:
        if len(_LETTER.findall(text)) >= MIN_LETTERS and not (_LATIN.search(text) and _is_short(text)):
            return True
    elif not own.match("a") and len(own.findall(text)) >= len(_LETTER.findall(text)) / 5:
        # Names and terms in Latin letters say nothing about the language around them.
        text = _TERM.sub(lambda term: " " if _LATIN.search(term.group()) else term.group(), text)
    return label in _identifier().nb_classes and _is_improbable(text, label, min_confidence)


def _is_improbable(text: str, label: str, min_confidence: float) -> bool:
    """Return whether py3langid finds another language than the one with this label, or hardly this one."""
    ranked = _identifier().rank(text)
    expected, found = _GROUPS.get(label, label), _GROUPS.get(ranked[0][0], ranked[0][0])
    if found in (expected, _NO_LANGUAGE):
        return False
    if sum(share for name, share in ranked if _GROUPS.get(name, name) == found) >= min_confidence:
        return True
    probability = sum(share for name, share in ranked if _GROUPS.get(name, name) == expected)
    return probability <= (1 - min_confidence) / 20 and not _is_short(text)


def _is_short(text: str) -> bool:
    return count_words(text) <= SHORT_WORDS


@lru_cache
def _letter_of(label: str) -> Any:
    """Return the pattern of a letter of a language's script; None if nobody knows which that is."""
    if label not in LIKELY_SUBTAGS and label not in _identifier().nb_classes:
        return None
    script = Language.get(label).maximize().script or "Latn"
    return regex.compile("[" + _SCRIPTS.get(script, rf"\p{{{script}}}") + "]")


@lru_cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
