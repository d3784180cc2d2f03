"""Templates to Markdown in which no value is anything but text, whatever it holds."""

import json
import re
import unicodedata
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

UNKNOWN = Markup("*not recorded*")
# Characters that show nothing, or turn the direction of what follows.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u200b-\u200f\u2066-\u2069\ufeff]")
# What means something to Markdown, HTML, formulas or links.
_MARKS = {ord(mark): f"\\{mark}" for mark in "`*_[]~|#"} | {ord(mark): f"&#{ord(mark)};" for mark in "\\$@&<>"}
_LINK = re.compile(r"(?i)(?<=http)(s?):(?=//)|(?<=www)()\.")


def plain(value: object) -> Markup:
    """Return a value as Markdown that shows its characters and does nothing else, within a line or a table's cell.

    ``None`` is said to be unknown. Line ends become ``<br>``; characters that show nothing become U+FFFD.
    """
    if value is None:
        return UNKNOWN
    if isinstance(value, Markup):
        return value
    text = _UNSEEN.sub("\ufffd", str(value).replace("\r\n", "\n").replace("\t", " ")).translate(_MARKS)
    text = _LINK.sub(lambda found: f"{found[1] or ''}&#{ord(found[0][-1])};", text)
    return Markup("<br>".join(text.strip().splitlines()))


def code(text: str, language: str = "") -> Markup:
    """Return a block of code, with a fence that is longer than any in it."""
    fence = _longer_fence(text, 3)
    return Markup(f"{fence}{language}\n{text.strip()}\n{fence}")


def inline(text: str) -> Markup:
    """Return a span of code."""
    text = _UNSEEN.sub("\ufffd", " ".join(text.split()))
    fence = _longer_fence(text, 1)
    padding = " " if "`" in text else ""
    return Markup(f"{fence}{padding}{text}{padding}{fence}")


def literal(text: str) -> Markup:
    """Return a text as Python and JSON write it, for use within a block of code."""
    return Markup(json.dumps(text))


def brief(text: str, longest: int = 300) -> str:
    """Return a text, cut to a length in characters."""
    text = text.strip()
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def directed(text: str) -> str:
    """Return a text with its direction marked if it is written from right to left, as Arabic and Hebrew are."""
    strong = (kind for kind in map(unicodedata.bidirectional, text) if kind in ("L", "R", "AL"))
    return text if next(strong, "L") == "L" else Markup(f'<span dir="rtl">{plain(text)}</span>')


def number(value: float | None, decimals: int = 2) -> Markup:
    """Return a number with thousands set apart, a whole one without decimals."""
    if value is None:
        return UNKNOWN
    return Markup(f"{value:,}" if isinstance(value, int) else f"{value:,.{decimals}f}")


def words(name: str) -> str:
    """Return a name of the code as words."""
    return name.replace("_", " ")


def render(template: str, facts: Mapping[str, object]) -> str:
    """Fill a template of ``model_cards``.

    Raises:
        jinja2.UndefinedError: The template asks for a fact that is not given.
    """
    environment = Environment(
        loader=FunctionLoader(_read),
        undefined=StrictUndefined,
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {one.__name__: one for one in (brief, code, directed, inline, literal, number, words)}
    text = environment.get_template(template).render(facts)
    return re.sub("\n{3,}", "\n\n", text).strip() + "\n"


def _read(name: str) -> str:
    return (files("davidgen_hf.model_cards") / f"{name}.md").read_text("utf-8")


def _longer_fence(text: str, least: int) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)
