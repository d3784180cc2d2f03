"""Templates to Markdown in which no value is anything but text, whatever it holds."""

import re
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
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
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}{language}\n{text.strip()}\n{fence}")


def brief(text: str, longest: int = 300) -> str:
    """Return a text, cut to a length in characters."""
    text = text.strip()
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def number(value: float | None, decimals: int = 2) -> Markup:
    """Return a number with thousands set apart, a whole one without decimals."""
    if value is None:
        return UNKNOWN
    return Markup(f"{value:,}" if isinstance(value, int) else f"{value:,.{decimals}f}")


def render(template: str, facts: Mapping[str, object]) -> str:
    """Fill a template of ``model_cards``.

    Raises:
        jinja2.UndefinedError: The template asks for a fact that is not given.
    """
    environment = Environment(undefined=StrictUndefined, finalize=plain, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"code": code, "brief": brief, "number": number}
    source = (files("davidgen_hf.model_cards") / f"{template}.md").read_text("utf-8")
    return environment.from_string(source).render(facts).strip() + "\n"
