"""Abbreviations whose full stop ends no sentence, next to those that sentencex knows. Our own lists."""

# Before a name: titles, streets, cities. In lower case.
_BEFORE_NAMES = {
    "ar": "د أ م ص",
    "bn": "ডা ড মো অধ্যা",
    "ca": "sr sra dr dra",
    "el": "κ κα δρ",
    "es": "sr sra srta dr dra d dña ud uds prof ing lic av col",
    "fr": "m mm mme mlle mgr me dr pr st ste av",
    "gl": "sr sra dr dra",
    "hi": "डॉ प्रो श्री श्रीमती कु पं मो सं",
    "id": "dr prof ir jl bpk",
    "mr": "डॉ प्रो श्री कु पं",
    "ms": "dr prof jl en",
    "ne": "डा डॉ प्रा श्री पं",
    "nl": "dhr mevr mw dr prof mr ir ds drs st",
    "pl": "dr prof mgr inż ul al pl św ks gen płk",
    "pt": "sr sra srta dr dra prof profa eng av d",
    "ro": "dl dna dnă dr prof ing str sf",
    "ru": "им ул г гр д проф акад пр пл св доц ст пос обл",
    "sr": "др проф ул dr prof ul",
    "ta": "திரு திருமதி டாக்டர்",
    "te": "డా శ్రీ",
    "th": "ดร นพ พญ ศ รศ ผศ พล จ ต อ",
    "tr": "dr prof doç av sn cad sok mah alb gen",
    "uk": "ім вул м проф акад пр пл св доц",
    "vi": "ts gs ths pgs bs ks tp tx q p",
}
# Before a number, in any language; by script.
_BEFORE_NUMBERS = {
    "Latn": "p pp pag pág págs pg s str vol vols bd bde no nos nr nº núm num fig figs figg abb tab tabl ch chap cap"
    " kap art arts secs sect abs ziff par eq eqs ed aufl approx ca circa aprox al cf cfr vgl vv kl tel thm n",
    "Cyrl": "стр с рис табл гл ст пар п пп см ср тел",
    "Grek": "σελ κεφ αρ αρθ εικ",
    "Deva": "पू",
}
# Languages in which a number with a full stop is an ordinal before a noun, which may be written with a capital.
ROMAN_ORDINALS = {"cs", "da", "de", "fi", "hr", "hu", "no", "nb", "nn", "sk", "sl", "sr", "tr", "pl"}
# Languages in whose sentences sentencex takes every full stop before a number for that of an ordinal or abbreviation.
UNCUT_BEFORE_NUMBERS = {"cs", "da", "de", "fi", "sk"}
# Languages in which sentencex does not know the initials of names.
_UNKNOWN_INITIALS = {"fr", "vi"}
BEFORE_NUMBERS = {word for words in _BEFORE_NUMBERS.values() for word in words.split()}
_TITLES = {code: frozenset(words.split()) for code, words in _BEFORE_NAMES.items()}


def goes_before_name(word: str, code: str) -> bool:
    """Return whether a word with a full stop is a title or initial, which a name follows.

    Args:
        word: The word without its full stop.
        code: The language, as ``language_code`` returns it.
    """
    if len(word) == 1 and word.isupper() and code in _UNKNOWN_INITIALS:
        return True
    return word.lower() in _TITLES.get(code, ())
