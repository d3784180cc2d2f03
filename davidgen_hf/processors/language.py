"""Whether a text is in another language than expected, by its script and by what py3langid finds. Our own rule."""

from collections import Counter
from functools import lru_cache
from typing import Any

import regex
from langcodes import Language
from py3langid.langid import MODEL_FILE, LanguageIdentifier

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
}
_SCRIPTS = {"Hans": r"\p{Han}", "Hant": r"\p{Han}", "Jpan": r"\p{Han}\p{Hiragana}\p{Katakana}", "Kore": r"\p{Hangul}"}
_LETTER = regex.compile(r"\p{L}")
_LATIN = regex.compile(r"\p{Latin}")
_TERM = regex.compile(r"[\p{Latin}\p{M}\d_.:/-]+")  # words in Latin letters, versions, file names, addresses


def is_other_language(text: str, language: str, min_confidence: float) -> bool:
    """Return whether a text is in another language; False for a language that py3langid does not know.

    A text without a letter of the language's script is in another language, unless it is short and in Latin letters,
    as names, formulas and code are everywhere. Otherwise py3langid decides, by the first of these conditions only if
    the text has at most ``SHORT_WORDS`` words:

    - One other language has at least the probability ``min_confidence``.
    - The expected language has at most a twentieth of what that leaves: 0.01 with 0.8.

    Args:
        text: The text.
        language: The language it should be in, a code or a name.
        min_confidence: A probability; above 1.0, no text is in another language.
    """
    code = language_code(language) or ""
    label = _LABELS.get(code, code)
    if label not in _identifier().nb_classes or min_confidence > 1:
        return False
    is_short = count_words(text) <= SHORT_WORDS
    if label not in _SEVERAL_SCRIPTS:
        letters, own = _LETTER.findall(text), _letter_of(label)
        n_own = len(own.findall(text))
        if n_own == 0 and len(letters) >= MIN_LETTERS and not (is_short and _LATIN.search(text)):
            return True
        if n_own >= len(letters) / 5 and not own.match("a"):
            # Names and terms in Latin letters say nothing about the language around them.
            text = _TERM.sub(lambda term: " " if _LATIN.search(term.group()) else term.group(), text)
    probabilities: Counter[str] = Counter()
    for name, probability in _identifier().rank(text):
        probabilities[_GROUPS.get(name, name)] += probability
    expected = probabilities[_GROUPS.get(label, label)]
    found, confidence = probabilities.most_common(1)[0]
    if found in (_GROUPS.get(label, label), _NO_LANGUAGE):
        return False
    return confidence >= min_confidence or (not is_short and expected <= (1 - min_confidence) / 20)


@lru_cache
def _letter_of(label: str) -> Any:
    script = Language.get(label).maximize().script or "Latn"
    return regex.compile("[" + _SCRIPTS.get(script, rf"\p{{{script}}}") + "]")


@lru_cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
