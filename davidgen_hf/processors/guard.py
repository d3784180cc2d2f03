"""Candidates to marked candidates: what must not win gets a reason before scoring, and stays in the data.

An instruction that contains its output would have the lowest perplexity, so these rules decide what a corpus is worth.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import ClassVar

from davidgen_hf import prompts
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch, languages
from davidgen_hf.processors.counting import count_candidates
from davidgen_hf.processors.language import is_other_language
from davidgen_hf.schema import CANDIDATES, Candidate
from davidgen_hf.sources.code import compared_words, grammar_of, without_keywords
from davidgen_hf.sources.formulas import words_and_formulas
from davidgen_hf.sources.words import without_wrapping, words
from davidgen_hf.storage.settings import UNLESS_DEFAULT, check_settings

# Lines that begin like a part of the prompts of Tables 7 and 9: the generator continued the template.
TEMPLATE_PART = re.compile(r"^\s*(?:(?:X|Instruction|Output|Message|Reply|Query|Document):|###\s)", re.MULTILINE)
PROMPT_RUN_WORDS = 6


class RowGuard:
    """What guards share that mark the candidates of a row by its output and language."""

    reads: ClassVar[tuple[str, ...]] = ("output", "candidates")
    writes: ClassVar = CANDIDATES
    changes_row_count: ClassVar[bool] = False

    language: str

    def __call__(self, batch: Batch) -> Batch:
        rows = zip(batch["output"], batch["candidates"], languages(batch, self.language), strict=True)
        return {"candidates": [self._mark(*row) for row in rows]}

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of candidates, accepted ones, and rejected ones by reason."""
        return count_candidates(made)

    def _mark(self, output: str, candidates: list[Candidate], language: str) -> list[Candidate]:
        raise NotImplementedError


@dataclass(frozen=True)
class GuardCandidates(RowGuard):
    """Mark candidates that must not be chosen, each with the first reason that holds. Our own rules.

    Batch in:  ``output`` (n,) str, ``candidates`` (n, k) structs; ``language`` (n,) str if there is one.
    Batch out: ``candidates`` (n, k) with ``reject_reason`` set where it was None and a rule holds, in this order:

    - ``empty``: it has no word.
    - ``unfinished``: the generator was stopped at its limit of tokens.
    - ``over_long``: it has more than ``max_words`` words, instruction and input together.
    - ``template_words``: one of its lines begins like a part of the prompts.
    - ``echoes_prompt``: 6 consecutive words are the prompt's own.
    - ``copies_output``: it shares more than ``max_copied_run`` consecutive words with the output, or contains all of
      an output of at least ``min_copied_words`` words, or more than ``max_copied_share`` of its words are in runs of
      at least ``min_copied_words`` words that the output has too. Of code, its identifiers and comments count.
      A formula is one word.
    - ``wrong_language``: it is in another language or script than the passage; unknown languages are not compared,
      nor is code.
    - ``duplicate``: the same words as an earlier candidate of the row that no rule rejects.

    Args:
        max_words: Longest candidate, in words.
        max_copied_run: Longest run of the output's words that an instruction may repeat, in words.
        max_copied_share: Share of an instruction's words that may be in copied runs, 0.0 to 1.0. Short questions
            about a long name reach 0.7 and are good ones; above 0.9 there is hardly a word of its own.
        min_copied_words: Shortest run that counts as copied, in words; names and terms are shorter.
        min_language_confidence: Probability from which the language identifier is believed, see
            ``processors.language``; 1.01 turns the rule off.
        language: Language of the passages (a code or name, see ``sources.languages``) without such a column.
        own_prompts: Heads and tails of your own styles, next to Table 9's, for ``echoes_prompt``; a recipe adds those
            of ``generate.styles``.

    Raises:
        SettingError: A setting is out of range; all of them are named.
    """

    max_words: int = 80
    max_copied_run: int = 7
    max_copied_share: float = 0.9
    min_copied_words: int = 4
    min_language_confidence: float = 0.8
    language: str = "en"
    version: int = 2
    own_prompts: tuple[str, ...] = field(default=(), metadata=UNLESS_DEFAULT)

    def __post_init__(self) -> None:
        check_settings(self)
        bad = [
            f"{f.name}={value}"
            for f in fields(self)
            if f.type in (int, float) and (value := getattr(self, f.name)) <= 0
        ]
        if bad:
            raise SettingError(f"The settings of GuardCandidates must be above 0, got {', '.join(bad)}.")

    def _mark(self, output: str, candidates: list[Candidate], language: str) -> list[Candidate]:
        grammar = grammar_of(language)
        split = words if grammar else words_and_formulas
        output_words = compared_words(output, grammar) if grammar else split(without_wrapping(output))
        marked: list[Candidate] = []
        accepted: set[tuple[str, ...]] = set()
        for candidate in candidates:
            text = candidate_text(candidate)
            key = tuple(split(without_wrapping(text)))
            reason = candidate["reject_reason"] or self._reason(candidate, text, key, output_words, language)
            if reason is None:
                reason = "duplicate" if key in accepted else None
                accepted.add(key)
            marked.append(candidate | {"reject_reason": reason})
        return marked

    def _reason(
        self, candidate: Candidate, text: str, own: tuple[str, ...], output: list[str], language: str
    ) -> str | None:
        # Called one by one, so that the expensive rules run only for candidates that the cheap ones accept.
        rules: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("empty", lambda: not own),
            ("unfinished", lambda: candidate["finished"] is False),
            ("over_long", lambda: len(own) > self.max_words),
            ("template_words", lambda: bool(TEMPLATE_PART.search(text))),
            ("echoes_prompt", lambda: bool(runs(own, PROMPT_RUN_WORDS) & _prompt_runs(self.own_prompts))),
            ("copies_output", lambda: self._copies(_compared(own, language), output)),
            ("wrong_language", lambda: is_other_language(text, language, self.min_language_confidence)),
        )
        return next((reason for reason, holds in rules if holds()), None)

    def _copies(self, own: list[str] | tuple[str, ...], output: list[str]) -> bool:
        if runs(own, self.max_copied_run + 1) & runs(output, self.max_copied_run + 1):
            return True
        if len(output) >= self.min_copied_words and runs(own, len(output)) & runs(output, len(output)):
            return True
        return copied_share(own, output, self.min_copied_words) > self.max_copied_share


def _compared(own: tuple[str, ...], language: str) -> list[str] | tuple[str, ...]:
    """Return the words of a candidate that are compared with the output's: for code, without keywords."""
    grammar = grammar_of(language)
    return without_keywords(list(own), grammar) if grammar else own


def runs(own: list[str] | tuple[str, ...], length: int) -> set[tuple[str, ...]]:
    """Return all runs of ``length`` words."""
    return {tuple(own[place : place + length]) for place in range(len(own) - length + 1)}


def copied_share(own: list[str] | tuple[str, ...], output: list[str], min_run: int) -> float:
    """Return the share of the words of ``own`` that are in runs of at least ``min_run`` words of ``output``."""
    known = runs(output, min_run)
    starts = [place for place in range(len(own) - min_run + 1) if tuple(own[place : place + min_run]) in known]
    return len({start + step for start in starts for step in range(min_run)}) / len(own) if own else 0.0


def candidate_text(candidate: Candidate) -> str:
    """Return instruction and input of a candidate as one text."""
    return "\n".join(part for part in (candidate["instruction"], candidate["input"]) if part)


@lru_cache
def _prompt_runs(own: tuple[str, ...]) -> set[tuple[str, ...]]:
    texts = [part for style in prompts.STYLES.values() for part in (style.head, style.tail)]
    texts += [prompts.FOLLOWER_WITH_INPUT, prompts.FOLLOWER_WITHOUT_INPUT, *own]
    return {run for text in texts for run in runs(words(text), PROMPT_RUN_WORDS)}
