"""What the command line prints: text from data reaches the terminal as text, whatever control characters it holds."""

import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

# Controls except tab and newline, marks that turn the direction of what follows, and halves of surrogate pairs.
# Joiners (U+200C, U+200D) stay: Persian, Hindi and emoji need them.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Return the text with each control character as its number, such as ``⟨U+001B⟩``, as the report page shows it."""
    return _CONTROLS.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def say(*values: object, end: str = "\n", file: TextIO | None = None) -> None:
    """Print values as ``print`` does, with control characters made visible and what the encoding lacks replaced."""
    file = file or sys.stdout
    encoding = getattr(file, "encoding", None) or "utf-8"
    text = visible(" ".join(map(str, values))).encode(encoding, "replace").decode(encoding)
    print(text, end=end, file=file, flush=True)


class Terminal(Console):
    """A console of rich whose tables and texts show control characters instead of sending them."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a string into a rich text, with its visible form from the start, so that columns are wide enough."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of what is printed, each with visible text only."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))
