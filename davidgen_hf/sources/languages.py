"""Language codes as people write them, and the one code that each refers to."""

import re
from functools import lru_cache

from langcodes import Language, standardize_tag
from langcodes.tag_parser import LanguageTagError

_NO_LANGUAGE = {"und", "mul", "mis", "zxx"}  # undetermined, several, uncoded, not linguistic
_COUNTRIES = {"cn": "zh", "cz": "cs", "dk": "da", "gr": "el", "jp": "ja", "ua": "uk"}  # often written for the language
_LOCALE_SUFFIX = re.compile(r"[.@].*", re.DOTALL)  # de_DE.UTF-8@euro


@lru_cache(maxsize=4096)
def language_code(text: str) -> str | None:
    """Return the ISO 639 code of a language, two letters where there are two, or None for what is not a language.

    Takes a tag in any spelling (``eng``, ``en_US``, ``eng_Latn``, ``zh-Hant-TW``), and a language's name in English
    or in the language itself. ``und`` is not a language, and neither is "Python".
    """
    tag = _LOCALE_SUFFIX.sub("", text.strip())
    tag = _COUNTRIES.get(tag.lower(), tag)
    try:
        language = Language.get(standardize_tag(tag, macro=True))
    except (LanguageTagError, ValueError):
        return _code_of_name(text)
    code = language.language or ""
    if not language.is_valid() or not code.isalpha() or code in _NO_LANGUAGE:  # x-klingon is valid, for private use
        return _code_of_name(text)
    return code


def _code_of_name(text: str) -> str | None:
    """Return the code of the language that has this name in English or in the language itself."""
    name = text.partition("(")[0].strip().casefold()
    if not name.isprintable():  # on a null character, the table of names fails with a SystemError
        return None
    try:
        return Language.find_name("language", name, "en").language
    except (LookupError, ValueError):
        pass
    try:
        language = Language.find(name)
    except (LookupError, ValueError):
        return None
    # It may be a name in a third language, in some of which Javanese is "java".
    return language.language if language.autonym().casefold() == name else None
