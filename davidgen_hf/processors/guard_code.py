"""Candidates to marked candidates: instructions for code must be neither its docstring nor hold a secret."""

from dataclasses import dataclass

from davidgen_hf.errors import SettingError
from davidgen_hf.processors.guard import RowGuard, candidate_text, runs
from davidgen_hf.schema import Candidate
from davidgen_hf.secrecy import holds_secret
from davidgen_hf.sources.code import docs, grammar_of
from davidgen_hf.sources.sentences import sentences
from davidgen_hf.sources.words import words
from davidgen_hf.storage.settings import check_settings


@dataclass(frozen=True)
class GuardCode(RowGuard):
    """Mark instructions for code that repeat a comment of it, or hold a token or password. Our own rules.

    A docstring says what its function does, so an instruction may say the same; but one that has a whole sentence of
    it is a copy, however long its own beginning is. Rows that are not code stay as they are.

    Batch in:  ``output`` (n,) str, ``candidates`` (n, k) structs; ``language`` (n,) str if there is one.
    Batch out: ``candidates`` (n, k) with a reason where there was none:

    - ``copies_docstring``: it contains a sentence of at least ``min_copied_words`` words of a docstring or comment.
    - ``holds_secret``: it holds a token or password.

    Args:
        min_copied_words: Shortest sentence that counts, in words; shorter ones are found anywhere.
        language: Programming language of the outputs without such a column.

    Raises:
        SettingError: ``min_copied_words`` is below 1.
    """

    min_copied_words: int = 4
    language: str = "Python"
    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)
        if self.min_copied_words < 1:
            raise SettingError(f"min_copied_words must be at least 1, got {self.min_copied_words}.")

    def _mark(self, output: str, candidates: list[Candidate], language: str) -> list[Candidate]:
        grammar = grammar_of(language)
        if grammar is None:
            return candidates
        said = [tuple(words(one)) for text in docs(output, grammar) for one, _, _ in sentences(text, "en")]
        said = [one for one in said if len(one) >= self.min_copied_words]
        return [
            one | {"reject_reason": self._reason(one, said)} if one["reject_reason"] is None else one
            for one in candidates
        ]

    @staticmethod
    def _reason(candidate: Candidate, said: list[tuple[str, ...]]) -> str | None:
        text = candidate_text(candidate)
        own = words(text)
        if any(one in runs(own, len(one)) for one in said):
            return "copies_docstring"
        return "holds_secret" if holds_secret(text) else None
