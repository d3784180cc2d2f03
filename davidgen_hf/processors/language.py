"""Whether a text is in another language than expected, by its script and by what py3langid finds. Our own rule."""

from functools import lru_cache
from typing import Any

import regex
from langcodes import Language
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from davidgen_hf.sources.languages import language_code

# A text of fewer letters may be a name or a formula in any language.
MIN_LETTERS = 8
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
# Of these, many texts are in another script than the usual one.
_SEVERAL_SCRIPTS = {
    *("az", "bs", "crh", "grc", "ha", "hbo", "jv", "kk", "ku", "ky", "mn", "ms", "pa", "ps"),
    *("sdh", "sr", "tg", "tk", "tt", "ug", "uz", "uzs"),
}
_SCRIPTS = {"Hans": r"\p{Han}", "Hant": r"\p{Han}", "Jpan": r"\p{Han}\p{Hiragana}\p{Katakana}", "Kore": r"\p{Hangul}"}
_LETTER = regex.compile(r"\p{L}")
_LATIN = regex.compile(r"\p{Latin}")
_TERM = regex.compile(r"[\p{Latin}\p{M}\d_.:/-]+")  # words in Latin letters, versions, file names, addresses


def is_other_language(text: str, language: str, min_confidence: float) -> bool:
    """Return whether a text is in another language; False for a language that py3langid does not know.

    Args:
        text: The text.
        language: The language it should be in, a code or a name.
        min_confidence: Probability of one other language from which py3langid is believed. It is also believed if the
            expected language and those it is mistaken for are very improbable, a twentieth of what that leaves.
            From above 1.0 on, no text is in another language.
    """
    code = language_code(language) or ""
    label = _LABELS.get(code, code)
    if label not in _identifier().nb_classes or min_confidence > 1:
        return False
    if label not in _SEVERAL_SCRIPTS:
        n_letters, n_own = len(_LETTER.findall(text)), len(_letter_of(label).findall(text))
        if n_own == 0 and n_letters >= MIN_LETTERS:
            return True
        if n_own >= n_letters / 5 and not _letter_of(label).match("a"):
            # Names and terms in Latin letters say nothing about the language around them.
            text = _TERM.sub(lambda term: " " if _LATIN.search(term.group()) else term.group(), text)
    ranked = _identifier().rank(text)
    alike = {label, _NO_LANGUAGE}.union(*(group for group in _ALIKE if label in group))
    found, confidence = ranked[0]
    expected = sum(probability for name, probability in ranked if name in alike)
    return found not in alike and (confidence >= min_confidence or expected <= (1 - min_confidence) / 20)


@lru_cache
def _letter_of(label: str) -> Any:
    script = Language.get(label).maximize().script or "Latn"
    return regex.compile("[" + _SCRIPTS.get(script, rf"\p{{{script}}}") + "]")


@lru_cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
