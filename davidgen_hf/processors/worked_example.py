"""Passages to fragments: an example, problem or exercise together with its solution. Our own rules."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch, draw, texts
from davidgen_hf.processors.extract import Fragment, fragments
from davidgen_hf.schema import FRAGMENT
from davidgen_hf.sources.formulas import formulas
from davidgen_hf.sources.sentences import trim
from davidgen_hf.sources.words import count_words
from davidgen_hf.storage.settings import check_settings

# What begins a statement and a solution, in English, German, French, Spanish, Italian, Portuguese, Russian, Chinese
# and Japanese.
STATEMENTS = (
    *("Example", "Problem", "Exercise", "Question", "Beispiel", "Aufgabe", "Exemple", "Problème", "Exercice"),
    *("Ejemplo", "Problema", "Ejercicio", "Esempio", "Esercizio", "Exemplo", "Exercício", "Пример", "Задача"),
    *("例题", "例", "问题", "例題", "問題"),
)
SOLUTIONS = (
    *("Solution", "Answer", "Lösung", "Antwort", "Réponse", "Solución", "Respuesta", "Soluzione", "Solução"),
    *("Решение", "Ответ", "解答", "答案", "解"),
)
_MARK = r"[ \t]*(?:#+[ \t]*|\*{1,2}|_{1,2})?"


def _label(names: tuple[str, ...], after: str) -> re.Pattern[str]:
    return re.compile(rf"^{_MARK}(?:{'|'.join(names)}){after}", re.MULTILINE | re.IGNORECASE)


# "Example 3.2 (Euler).", "**Problem:**", "## Exercise 4"; a word of a sentence, as in "Example files are", is none.
_NUMBER = r"[ \t]*(?:\d[\d.]*)?[ \t]*(?:\([^)\n]{1,60}\))?"
_STATEMENT = _label(STATEMENTS, rf"(?:{_NUMBER}[ \t]*[.:：]|[ \t]*\d[\d.]*|{_NUMBER}\*{{1,2}}|[ \t]*$)")  # noqa: RUF001
_SOLUTION = _label(SOLUTIONS, rf"(?:{_NUMBER}[ \t]*[.:：]|{_NUMBER}\*{{1,2}}|[ \t]*$)")  # noqa: RUF001
_ENVIRONMENT = re.compile(
    r"\\begin\{(?P<statement>example|problem|exercise|question)\*?\}.{1,20000}?\\end\{(?P=statement)\*?\}"
    r"(?:\s*\\begin\{(?P<solution>solution|answer|sol|proof)\*?\}.{1,20000}?\\end\{(?P=solution)\*?\})",
    re.DOTALL,
)
_BLOCK = re.compile(r"[ \t]*\S[^\n]*(?:\n[ \t]*\S[^\n]*)*")
_PROSE = re.compile(r"[ \t]*[\W\d]{0,3}[^\W\d_a-z](?:(?!>>>).)*[.:]\s*$", re.DOTALL)  # a sentence or more, whole
_RESULT = re.compile(r"^[ \t]*>>>[^\n]*\n(?:[ \t]*\.\.\.[^\n]*\n)*[ \t]*(?!>>>|\.\.\.)\S", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]*(?:#{1,6}[ \t]|[^\n]+\n[ \t]*[=~-]{3,}[ \t]*$|\\(?:sub)*section\b)", re.MULTILINE)


@dataclass(frozen=True)
class ExtractWorkedExample:
    r"""Take an example together with its solution, verbatim: statement, calculation and result.

    It is a statement and a solution that are labeled as such (``Example 2.``, ``**Problem:**``, ``Solution.``, in nine
    languages); LaTeX's environments ``example``, ``problem`` or ``exercise`` and ``solution``; or, in documentation, a
    paragraph with the session of Python after it. It ends at the next label or heading. No formula is cut.

    Batch in:  ``text`` (n,) str.
    Batch out: as ``KeepWhole``.

    Args:
        min_words: Shortest example, in words of ``sources.words``, statement and solution together.
        max_words: Longest example, in the same words.
        sessions: Whether sessions of Python are examples.
        seed: Decides which of several is taken, together with the text.

    Raises:
        SettingError: ``min_words`` is below 1 or above ``max_words``.
    """

    reads: ClassVar[tuple[str, ...]] = ("text",)
    writes: ClassVar = FRAGMENT
    changes_row_count: ClassVar[bool] = True

    min_words: int = 12
    max_words: int = 400
    sessions: bool = True
    seed: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)
        if not 1 <= self.min_words <= self.max_words:
            raise SettingError(
                f"min_words must be at least 1 and at most max_words, got {self.min_words} and {self.max_words}."
            )

    def __call__(self, batch: Batch) -> Batch:
        return fragments(batch, "worked_example", [self._draw(text) for text in texts(batch)])

    def _draw(self, text: str) -> Fragment:
        places = [*_labeled(text), *(found.span() for found in _ENVIRONMENT.finditer(text))]
        if self.sessions:
            places += _sessions(text)
        whole = list(formulas(text))
        found = [
            trim(text, start, end)
            for start, end in places
            if not any(first < place < last for first, last in whole for place in (start, end))
        ]
        found = [one for one in found if self.min_words <= count_words(one[0]) <= self.max_words]
        return found[draw(len(found), self.seed, text)] if found else ("", None, None)


def _sessions(text: str) -> Iterator[tuple[int, int]]:
    """Yield each paragraph with the session of Python that follows it, as documentation shows what is computed."""
    start = -1
    for block, after in pairwise([*_BLOCK.finditer(text), None]):
        if block is None:
            return
        is_session = block[0].lstrip().startswith(">>>")
        is_last = is_session and not (after and after[0].lstrip().startswith(">>>"))
        if is_last and start >= 0 and _RESULT.search(text, start, block.end()):
            yield start, block.end()
        if not is_session:
            start = block.start() if _PROSE.match(block[0]) and not _HEADING.match(block[0]) else -1


def _labeled(text: str) -> Iterator[tuple[int, int]]:
    """Yield each labeled statement with the solution that follows it, up to the next label or heading."""
    starts = [found.start() for found in _STATEMENT.finditer(text)]
    for start, limit in pairwise([*starts, len(text)]):
        solution = _SOLUTION.search(text, start, limit)
        if solution is None or not text[solution.end() : limit].strip("* \t\n"):
            continue
        heading = _HEADING.search(text, solution.end(), limit)
        yield start, heading.start() if heading else limit
