"""Candidates to marked candidates: what must not win is named before scoring, and stays in the data.

Plain argmin perplexity is won by an instruction that holds its output, so these rules decide what a corpus is worth.
"""

import re
from collections import Counter
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import ClassVar

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from davidgen_hf import prompts
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import languages
from davidgen_hf.processors.counting import count_candidates
from davidgen_hf.schema import CANDIDATES
from davidgen_hf.sources.languages import language_code
from davidgen_hf.sources.words import words
from davidgen_hf.storage.settings import check_settings

# Lines that begin like a part of the prompts of Tables 7 and 9: the generator went on with the template.
TEMPLATE_PART = re.compile(r"^\s*(?:(?:X|Instruction|Output|Message|Reply|Query|Document):|###\s)", re.MULTILINE)
PROMPT_RUN_WORDS = 6
# What py3langid calls these languages, and what it calls text in no language.
_LABELS = {"nb": "no", "fil": "tl"}
_NO_LANGUAGE = "zxx"


@dataclass(frozen=True)
class GuardCandidates:
    """Mark candidates that must not be chosen, each with the first reason that holds. Our own rules.

    Batch in:  ``output`` (n,) str, ``candidates`` (n, k) structs; ``language`` (n,) str if there is one.
    Batch out: ``candidates`` (n, k) with ``reject_reason`` set where it was None and a rule holds, in this order:

    - ``empty``: no word in it.
    - ``unfinished``: the generator was stopped at its limit of tokens.
    - ``over_long``: more than ``max_words`` words, instruction and input together.
    - ``template_words``: a line of it begins like a part of the prompts.
    - ``echoes_prompt``: 6 words in a row are the prompt's own.
    - ``copies_output``: it shares more than ``max_copied_run`` words in a row with the output, or holds all of an
      output of at least ``min_copied_words`` words, or more than ``max_copied_share`` of its words stand in runs
      of at least ``min_copied_words`` words that the output has too.
    - ``wrong_language``: identified as another language than the passage's with at least ``min_language_confidence``,
      unless the identifier does not know the passage's language.
    - ``duplicate``: the same words as an earlier candidate of the row that no rule rejects.

    Args:
        max_words: Longest candidate, in words.
        max_copied_run: Longest run of the output's words that an instruction may repeat, in words.
        max_copied_share: Share of an instruction's words that may stand in copied runs, 0.0 to 1.0. Short questions
            about a long name reach 0.7 and are good ones; what is above 0.9 has hardly a word of its own.
        min_copied_words: Shortest run that counts as copied, in words; names and terms are shorter.
        min_language_confidence: Probability from which the language identifier is believed; 1.01 never believes it.
        language: Language of the passages (a code or name, see ``sources.languages``) where there is no such column.

    Raises:
        SettingError: A setting is out of range; all of them are named.
    """

    reads: ClassVar = ("output", "candidates")
    writes: ClassVar = CANDIDATES
    changes_row_count: ClassVar = False

    max_words: int = 80
    max_copied_run: int = 7
    max_copied_share: float = 0.9
    min_copied_words: int = 4
    min_language_confidence: float = 0.8
    language: str = "en"
    version: int = 2

    def __post_init__(self) -> None:
        check_settings(self)
        bad = [
            f"{f.name}={value}"
            for f in fields(self)
            if f.type in (int, float) and (value := getattr(self, f.name)) <= 0
        ]
        if bad:
            raise SettingError(f"The settings of GuardCandidates must be above 0, got {', '.join(bad)}.")

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        rows = zip(batch["output"], batch["candidates"], languages(batch, self.language), strict=True)
        return {"candidates": [self._mark(*row) for row in rows]}

    def counts(self, given: dict[str, list], made: dict[str, list]) -> Counter:
        """Return the number of candidates by what became of them."""
        return count_candidates(made)

    def _mark(self, output: str, candidates: list[dict], language: str) -> list[dict]:
        output_words = words(output)
        marked, accepted = [], set()
        for candidate in candidates:
            text = candidate_text(candidate)
            key = tuple(words(text))
            reason = candidate["reject_reason"] or self._reason(candidate, text, key, output_words, language)
            if reason is None:
                reason = "duplicate" if key in accepted else None
                accepted.add(key)
            marked.append(candidate | {"reject_reason": reason})
        return marked

    def _reason(self, candidate: dict, text: str, own: tuple, output: list[str], language: str) -> str | None:
        # Called one by one, in order, so that the dear rules run only where the cheap ones let through.
        rules = (
            ("empty", lambda: not own),
            ("unfinished", lambda: candidate["finished"] is False),
            ("over_long", lambda: len(own) > self.max_words),
            ("template_words", lambda: bool(TEMPLATE_PART.search(text))),
            ("echoes_prompt", lambda: bool(runs(own, PROMPT_RUN_WORDS) & _prompt_runs())),
            ("copies_output", lambda: self._copies(own, output)),
            ("wrong_language", lambda: self._is_other_language(text, language)),
        )
        return next((reason for reason, holds in rules if holds()), None)

    def _copies(self, own: tuple[str, ...], output: list[str]) -> bool:
        if runs(own, self.max_copied_run + 1) & runs(output, self.max_copied_run + 1):
            return True
        if len(output) >= self.min_copied_words and runs(own, len(output)) & runs(output, len(output)):
            return True
        return copied_share(own, output, self.min_copied_words) > self.max_copied_share

    def _is_other_language(self, text: str, language: str) -> bool:
        code = language_code(language)
        label = _LABELS.get(code, code)
        if label not in _language_identifier().nb_classes:
            return False
        found, probability = _language_identifier().classify(text)
        return found not in (label, _NO_LANGUAGE) and probability >= self.min_language_confidence


def runs(own: list[str] | tuple[str, ...], length: int) -> set[tuple[str, ...]]:
    """Return all runs of ``length`` words."""
    return {tuple(own[place : place + length]) for place in range(len(own) - length + 1)}


def copied_share(own: list[str] | tuple[str, ...], output: list[str], min_run: int) -> float:
    """Return which share of the words of ``own`` stands in runs of at least ``min_run`` words of ``output``."""
    known = runs(output, min_run)
    starts = [place for place in range(len(own) - min_run + 1) if tuple(own[place : place + min_run]) in known]
    return len({start + step for start in starts for step in range(min_run)}) / len(own) if own else 0.0


def candidate_text(candidate: dict) -> str:
    """Return instruction and input of a candidate as one text."""
    return "\n".join(part for part in (candidate["instruction"], candidate["input"]) if part)


@lru_cache
def _prompt_runs() -> set[tuple[str, ...]]:
    texts = [part for style in prompts.STYLES.values() for part in (style.head, style.tail)]
    texts += [prompts.FOLLOWER_WITH_INPUT, prompts.FOLLOWER_WITHOUT_INPUT]
    return {run for text in texts for run in runs(words(text), PROMPT_RUN_WORDS)}


@lru_cache
def _language_identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
