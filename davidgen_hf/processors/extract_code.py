"""Code to fragments: a whole function, a whole class or a whole file, verbatim. Our own rules."""

from dataclasses import dataclass
from typing import ClassVar

from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch, draw, languages, texts
from davidgen_hf.processors.extract import Fragment, fragments
from davidgen_hf.schema import FRAGMENT
from davidgen_hf.secrecy import holds_secret
from davidgen_hf.sources.code import Grammar, Kind, definitions, grammar_of, header_end, stands_alone, unusable
from davidgen_hf.storage.settings import check_settings

_NOTHING: Fragment = ("", None, None)


@dataclass(frozen=True)
class _ExtractCode:
    """Base of the strategies: which languages are code, and how long a fragment is.

    Args:
        min_lines: Shortest fragment, in lines.
        max_lines: Longest fragment, in lines.
        seed: Decides which of several is taken, together with the text.
        language: Programming language of the texts without such a column. What is in another language, such as
            English, yields nothing.

    Raises:
        SettingError: ``min_lines`` is below 1 or above ``max_lines``.
    """

    reads: ClassVar[tuple[str, ...]] = ("text",)
    writes: ClassVar = FRAGMENT
    changes_row_count: ClassVar[bool] = True
    name: ClassVar[str]

    min_lines: int = 3
    max_lines: int = 60
    seed: int = 0
    language: str = "Python"
    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)
        if not 1 <= self.min_lines <= self.max_lines:
            raise SettingError(
                f"min_lines must be at least 1 and at most max_lines, got {self.min_lines} and {self.max_lines}."
            )

    def __call__(self, batch: Batch) -> Batch:
        rows = zip(texts(batch), languages(batch, self.language), strict=True)
        return fragments(batch, self.name, [self._draw(text, grammar_of(language)) for text, language in rows])

    def _draw(self, text: str, grammar: Grammar | None) -> Fragment:
        if grammar is None:
            return _NOTHING
        found = [
            (text[start:end], start, end)
            for start, end in self.spans(text, grammar)
            if self.min_lines <= text.count("\n", start, end) + 1 <= self.max_lines
        ]
        found = [one for one in found if not holds_secret(one[0])]
        return found[draw(len(found), self.seed, text)] if found else _NOTHING

    def spans(self, text: str, grammar: Grammar) -> list[tuple[int, int]]:
        """Return the spans that may be taken, in characters."""
        raise NotImplementedError


class _ExtractDefinition(_ExtractCode):
    kind: ClassVar[Kind]

    def spans(self, text: str, grammar: Grammar) -> list[tuple[int, int]]:
        return list(definitions(text, grammar, self.kind))


@dataclass(frozen=True)
class ExtractFunction(_ExtractDefinition):
    """Take one whole function of the code at random, with its decorators and the comments above it.

    It is in one piece and parses on its own. So a method is taken from Java or Go, and not from Python, where its
    indentation belongs to its class; a function within a function is not taken.

    Batch in:  ``text`` (n,) str; ``language`` (n,) str if there is one, with the name of the programming language.
    Batch out: as ``KeepWhole``.
    """

    name: ClassVar[str] = "function"
    kind: ClassVar[Kind] = "function"


@dataclass(frozen=True)
class ExtractClass(_ExtractDefinition):
    """Take one whole class of the code at random, with its decorators and the comments above it.

    Batch in:  as ``ExtractFunction``.
    Batch out: as ``KeepWhole``.
    """

    name: ClassVar[str] = "class"
    kind: ClassVar[Kind] = "class"


@dataclass(frozen=True)
class ExtractFile(_ExtractCode):
    """Take the whole file without the header that names its license; generated files yield nothing.

    Batch in:  as ``ExtractFunction``.
    Batch out: as ``KeepWhole``.
    """

    name: ClassVar[str] = "file"

    def spans(self, text: str, grammar: Grammar) -> list[tuple[int, int]]:
        start, end = header_end(text, grammar), len(text.rstrip())
        whole = start < end and unusable(text) is None and stands_alone(text[start:end], grammar)
        return [(start, end)] if whole else []
