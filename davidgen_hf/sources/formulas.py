"""Formulas in texts, which nothing may cut: LaTeX, MathML, reStructuredText's math, equations and quantities."""

import re
from collections.abc import Iterator
from heapq import merge

import regex

from davidgen_hf.sources.words import words

Place = tuple[int, int]
LONGEST = 10_000  # characters from the beginning of a formula to its end
_ENVIRONMENTS = (
    "equation|align|gather|multline|eqnarray|displaymath|math|cases|array|[pbvBV]?matrix|split|aligned|flalign"
)
# How a formula begins, and what ends it.
_OPENING = re.compile(
    r"(?P<fence>^[ \t]*(?:```\{?math\}?|:::\{math\}))|(?P<directive>^(?P<margin>[ \t]*)\.\.[ \t]math::)"
    r"|(?P<display>\$\$)|(?<![\\$\w])(?P<inline>\$)(?=[^\s$])|(?P<bracket>\\\[)|(?P<parenthesis>\\\()"
    rf"|\\begin\{{(?P<environment>(?:{_ENVIRONMENTS})\*?)\}}|(?P<mathml><math\b)|(?P<role>:math:`|\{{math\}}`|\$`)",
    re.MULTILINE,
)
_CLOSING = {
    "fence": re.compile(r"^[ \t]*(?:```|:::)[ \t]*$", re.MULTILINE),
    "display": re.compile(r"\$\$"),
    "inline": re.compile(r"(?<!\\)\$"),
    "bracket": re.compile(r"\\\]"),
    "parenthesis": re.compile(r"\\\)"),
    "mathml": re.compile("</math>"),
    "role": re.compile(r"`\$?"),
}
_LONG_WORD = re.compile(r"(?<![\\{a-zA-Z])[a-zA-Z]{4,}")  # no command of LaTeX, and not in braces
_MOST_WORDS = 3
_MATHEMATICAL = re.compile(r"[\\^_=<>{}+*/|]|\b[a-zA-Z]\b")
_IN_ONE_PARAGRAPH = {"inline", "parenthesis", "role"}
_DISPLAY = re.compile(r"\s*(?:\$\$|\\\[|\\begin\{|\.\.[ \t]math::|```\{?math)")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_TRIGGER = re.compile(r"[$\\`]|<math|math::")
_DISPLAYED = {"fence", "directive", "display", "bracket", "environment"}

_BASE_UNIT = (
    r"(?:[YZEPTGMkhdcmµμnpf]?(?:mol|cd|Hz|Pa|Wb|Wh|lm|lx|Bq|Gy|Sv|kat|eV|bit|bar|cal|m|g|s|A|K|N|J|W|C|V|F|Ω|S|T|H|L|l|B)"
    r"|min|h|ha|ft|yd|mi|lb|oz|gal|mph|rpm|ppm|ppb|atm|mmHg|°[CF]?|%|‰)"
)
_UNIT = rf"{_BASE_UNIT}(?:\^?\{{?[-−]?\d\}}?|[²³⁻¹]+)?"  # noqa: RUF001
# A number with its separators, thousands with thin spaces or spaces too, and its power of ten.
_NUMBER = (
    r"(?<![\p{Latin}\p{Cyrillic}\p{Greek}\d_.,])[-−+]?(?!\d{4}s\b)"  # noqa: RUF001
    r"(?:\d{1,3}(?:[ \u00a0\u202f']\d{3}(?!\d))++(?:[.,]\d++)?|\d[\d.,]*+(?<=\d))"
    r"(?:\s?[×x·]\s?10(?:\^?\{?[-−]?\d++\}?|[⁻⁺]?[⁰¹²³⁴-⁹]++)|[eE][-−+]?\d++|\^\{?[-−]?\d++\}?"  # noqa: RUF001
    r"|[⁻⁺]?[⁰¹²³⁴-⁹]++)?+"
)
_MEASURED = regex.compile(
    rf"{_NUMBER}(?:\s?±\s?\d[\d.,]*+)?+(?P<unit>[ \u00a0\u202f]?{_UNIT}(?:[ ·⋅/]{_UNIT})*+(?!\w|-\p{{L}}))?"
)
_RELATION = r"=<>≤≥≈≠≡∼∝∈∉⊂⊆⊇→⇒⇔≪≫"  # noqa: RUF001
OPERATORS = rf"{_RELATION}+−±∓×÷·⋅*/∘⊕⊗∩∪∧∨"  # noqa: RUF001
_OPERATOR = re.compile(rf"[{OPERATORS}-]+")
_OPERAND = re.compile(r"[\w^{}()\[\].,'!|∞√∂∇∑∏∫²³⁰¹⁴-⁹°%/*+\\−-]{1,40}")  # noqa: RUF001
_CLOSED_EQUATION = re.compile(rf"[\w)\]}}']+[{_RELATION}:]*[{_RELATION}][\w(\[{{\\−-]\S*")  # noqa: RUF001
_TOKEN = re.compile(r"\S+")
_END_MARKS = ".,;:!?"


def formulas(text: str) -> Iterator[Place]:
    """Yield where each marked formula starts and ends, in characters, its marks included.

    A displayed formula has the blank lines after it too if its sentence goes on there.
    """
    if not _TRIGGER.search(text):
        return
    end = 0
    while opening := _OPENING.search(text, end):
        kind = opening.lastgroup or ""
        kind = "directive" if kind == "margin" else kind
        close = _close(text, opening, kind)
        if close is None:
            end = opening.end()
            continue
        if kind in _DISPLAYED:
            close = _display_end(text, close)
        yield opening.start(), close
        end = close


def begins_display(text: str, place: int) -> bool:
    """Return whether a displayed formula is the next thing after a place."""
    return _DISPLAY.match(text, place) is not None


def without_formulas(text: str) -> str:
    """Return a text with a space in place of each marked formula."""
    parts, end = [], 0
    for start, stop in formulas(text):
        parts.append(text[end:start])
        end = stop
    return " ".join([*parts, text[end:]]) if parts else text


def equations(text: str) -> Iterator[Place]:
    """Yield where each equation in plain text starts and ends, such as ``E = mc^2`` or ``x<=5``."""
    if not _OPERATOR.search(text):
        return
    run: list[re.Match[str]] = []
    for token in _TOKEN.finditer(text):
        is_operator = _OPERATOR.fullmatch(token[0]) is not None
        fits = is_operator or _OPERAND.fullmatch(token[0].rstrip(_END_MARKS)) or _CLOSED_EQUATION.match(token[0])
        after_operator = bool(run) and _OPERATOR.fullmatch(run[-1][0]) is not None
        if run and fits and is_operator != after_operator:
            run.append(token)
        else:
            yield from _equation(run)
            run = [token] if fits and not is_operator else []
        if run and run[-1][0][-1] in _END_MARKS and not is_operator:
            yield from _equation(run)
            run = []
    yield from _equation(run)


def quantities(text: str) -> Iterator[Place]:
    """Yield where each number with a unit starts and ends, such as ``9.81 m/s^2``."""
    for found in _MEASURED.finditer(text):
        if found["unit"]:
            yield found.span()


def _numbers(text: str) -> Iterator[Place]:
    """Yield where each quantity and each number with separators or a power of ten starts and ends."""
    for found in _MEASURED.finditer(text):
        if not found[0].isdecimal():
            yield found.span()


def whole_parts(text: str) -> list[Place]:
    """Return the places of formulas, equations and quantities in order; of those that overlap, the first."""
    found: list[Place] = []
    for start, end in merge(formulas(text), equations(text), quantities(text)):
        if not found or start >= found[-1][1]:
            found.append((start, end))
    return found


def words_and_formulas(text: str) -> list[str]:
    """Return the words of a text, as ``words``, with each formula, equation, quantity or number as one word.

    These have no whitespace then: ``5km``, ``1,234.5``, ``x=3``.
    """
    found, end = [], 0
    places = merge(formulas(text), equations(text), _numbers(text))
    for start, stop in places:
        if start >= end:
            found += [*words(text[end:start]), "".join(text[start:stop].split()).strip("$`")]
            end = stop
    return found + words(text[end:]) if found else words(text)


def _close(text: str, opening: re.Match[str], kind: str) -> int | None:
    if kind == "directive":
        return _directive_end(text, opening)
    closing = _CLOSING.get(kind) or re.compile(re.escape(rf"\end{{{opening['environment']}}}"))
    found = closing.search(text, opening.end(), opening.end() + LONGEST)
    if found is None or (kind in _IN_ONE_PARAGRAPH and _BLANK_LINE.search(text, opening.end(), found.start())):
        return None
    return None if kind == "inline" and _is_price(text, opening.end(), found.start()) else found.end()


def _is_price(text: str, start: int, end: int) -> bool:
    """Return whether two dollar signs are prices, as in "$800 ($900 today)", by Pandoc's rule and two of our own."""
    inside, after = text[start:end], text[end + 1 : end + 2]
    if inside[-1:].isspace() or after == "$" or after.isdigit():
        return True
    if len(_LONG_WORD.findall(inside)) > _MOST_WORDS:
        return True
    return " " in inside and not _MATHEMATICAL.search(inside)


def _directive_end(text: str, opening: re.Match[str]) -> int:
    """Return the end of the last line that is indented more than the directive."""
    margin, end = len(opening["margin"]), opening.end()
    place = text.find("\n", end)
    end = len(text) if place < 0 else place
    while 0 <= place < len(text):
        stop = text.find("\n", place + 1)
        stop = len(text) if stop < 0 else stop
        line = text[place + 1 : stop]
        if line.strip():
            if len(line) - len(line.lstrip()) <= margin:
                break
            end = stop
        place = stop
    return end


def _display_end(text: str, end: int) -> int:
    """Return where the white space after a displayed formula ends if its sentence goes on there."""
    after = text[end : end + 200]
    rest = after.lstrip()
    goes_on = rest[:1].islower() or rest[:1] in tuple(",;.")
    return end + len(after) - len(rest) if goes_on and rest else end


def _equation(run: list[re.Match[str]]) -> Iterator[Place]:
    if run and _OPERATOR.fullmatch(run[-1][0]):
        run = run[:-1]
    if not run:
        return
    start, end = run[0].start(), run[-1].end()
    has_relation = any(re.fullmatch(rf"[{_RELATION}:]+", one[0]) for one in run) and len(run) > 1
    if has_relation or any(_CLOSED_EQUATION.match(one[0]) for one in run):
        end -= len(run[-1][0]) - len(run[-1][0].rstrip(_END_MARKS))
        text = run[0].string[start:end]
        spare = text.count("(") - text.count(")")  # of a sentence's own parentheses around the equation
        yield start + (spare > 0 and text[0] == "("), end - (spare < 0 and text[-1] == ")")
