"""The styles of prompt that ask for the instruction of a text: Table 9's, and those of a recipe."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from davidgen_hf import prompts
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import draw
from davidgen_hf.prompts import Style
from davidgen_hf.sources.languages import language_code
from davidgen_hf.storage.yaml_files import read_yaml

# Names of Table 9's styles; or a mapping that adds styles to these three, and leaves out those mapped to ``none``.
Styles = Annotated[
    Annotated[tuple[str, ...], Tag("Names")] | Annotated[dict[str, Style | Literal["none"]], Tag("Own")],
    Discriminator(lambda given: "Own" if isinstance(given, dict) else "Names"),
]
# ``en`` asks in English, as the paper does; ``row`` in the row's own language, if Table 9 is translated.
PromptLanguage = Literal["en", "row"]
TABLE_9: tuple[str, ...] = tuple(prompts.STYLES)


def style_prompts(styles: Styles) -> dict[str, Style]:
    """Return the styles that a setting names, with their prompts.

    Raises:
        SettingError: None is left, a name is unknown or taken, or a prompt does not ask for anything.
    """
    if not isinstance(styles, dict):
        unknown = [name for name in styles if name not in prompts.STYLES]
        if unknown or not styles:
            raise SettingError(
                f"styles must be some of {list(prompts.STYLES)}, got {list(styles)}. Give your own as a mapping: "
                "{name: {head: ..., tail: ...}}."
            )
        return {name: prompts.STYLES[name] for name in styles}
    found = dict(prompts.STYLES)
    for name, style in styles.items():
        if style == "none":
            if found.pop(name, None) is None:
                raise SettingError(
                    f"styles.{name} is none, which leaves out a style of Table 9. These are {list(prompts.STYLES)}. "
                    "Remove the line."
                )
        else:
            _check(name, style, found)
            found[name] = style
    if not found:
        raise SettingError("styles leaves out all styles of Table 9 and adds none. At least one is needed. Keep one.")
    return found


@cache
def translations() -> dict[str, dict[str, Style]]:
    """Return Table 9's styles in other languages, by the languages' codes and the styles' names."""
    read = read_yaml(Path(__file__).with_name("table_9.yaml"))
    return {code: {name: Style(**parts) for name, parts in styles.items()} for code, styles in read.items()}


def in_language(name: str, styles: dict[str, Style], language: str) -> Style:
    """Return a style by its name, in a language if it is one of Table 9 and translated, and else as it is."""
    translated = translations().get(language_code(language) or "", {})
    return translated.get(name, styles[name]) if name in TABLE_9 else styles[name]


def draw_styles(names: Iterable[str], number: int, *parts: object) -> list[str]:
    """Return ``number`` different names that depend on ``parts`` alone; the first does not depend on ``number``."""
    rest = list(names)
    first = rest.pop(draw(len(rest), *parts))
    return [first, *sorted(rest, key=lambda name: draw(2**64, *parts, name))[: number - 1]]


def _check(name: str, style: Style, known: dict[str, Style]) -> None:
    if not name.isidentifier():
        problem = "is not a name. A name has letters, digits and underscores"
    elif name in prompts.STYLES:
        problem = "is a style of Table 9, which stays as it is. Your own needs another name"
    elif not style.head.strip() or not style.tail.strip():
        problem = "has a blank head or tail. The head is before the text, the tail after it asks for the instruction"
    elif style.tail[-1].isspace():
        problem = "has a tail that ends in white space. The generator writes a space first, as after Table 9's X:"
    elif style in known.values():
        problem = "has the prompt of another style. Each needs its own"
    else:
        return
    raise SettingError(f"styles.{name} {problem}. Correct it.")
