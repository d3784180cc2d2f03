"""Tasks to marked tasks: the rules by which Self-Instruct and Alpaca reject what their generators wrote."""

import re
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch
from davidgen_hf.processors.counting import count_candidates
from davidgen_hf.schema import CANDIDATES, Candidate
from davidgen_hf.storage.settings import check_settings

# Alpaca's list, which has Self-Instruct's in it: what a language model can neither see nor make, and an action.
UNFIT_WORDS = (
    *("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot"),
    *("go to", "video", "audio", "music", "flowchart", "diagram"),
)


@dataclass(frozen=True)
class GuardTasks:
    """Mark tasks that must not be kept, each with the first reason that holds.

    Batch in:  ``output`` (n,) str, ``candidates`` (n, k) structs.
    Batch out: ``candidates`` (n, k) with ``reject_reason`` set where it was None and a rule holds, in this order:

    - ``too_short``, ``over_long``: the instruction has fewer than ``min_words`` or more than ``max_words``.
    - ``unfit_word``: it has one of ``unfit_words``, as whole words without case.
    - ``asks_for_program``: it begins with "Write a program", which both projects found to be ambiguous.
    - ``starts_with_punctuation``: it begins with ASCII punctuation.
    - ``not_english``: its first character is not ASCII.
    - ``repeats_input``: the output is the input.
    - ``open_end``: input or output ends with a colon, so something is missing.

    The bounds and the rules on the instruction are Alpaca's, the last two Self-Instruct's.

    Args:
        min_words: Shortest instruction, in words between white space.
        max_words: Longest instruction.
        unfit_words: Words that ask for what a language model cannot do.

    Raises:
        SettingError: The bounds are not 1 <= ``min_words`` <= ``max_words``, or a word is empty.
    """

    reads: ClassVar[tuple[str, ...]] = ("output", "candidates")
    writes: ClassVar = CANDIDATES
    changes_row_count: ClassVar[bool] = False

    min_words: int = 4
    max_words: int = 150
    unfit_words: tuple[str, ...] = UNFIT_WORDS
    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)
        if not 1 <= self.min_words <= self.max_words:
            raise SettingError(
                f"min_words must be at least 1 and at most max_words, got {self.min_words} and {self.max_words}."
            )
        if not all(word.strip() for word in self.unfit_words):
            raise SettingError("unfit_words has an empty word, which every instruction would have. Leave it out.")

    def __call__(self, batch: Batch) -> Batch:
        rows = zip(batch["output"], batch["candidates"], strict=True)
        return {
            "candidates": [
                [one | {"reject_reason": one["reject_reason"] or self._reason(one, output)} for one in many]
                for output, many in rows
            ]
        }

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of candidates, accepted ones, and rejected ones by reason."""
        return count_candidates(made)

    def _reason(self, candidate: Candidate, output: str) -> str | None:
        instruction, given = candidate["instruction"].strip(), (candidate["input"] or "").strip()
        n_words = len(instruction.split())
        rules: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("too_short", lambda: n_words < self.min_words),
            ("over_long", lambda: n_words > self.max_words),
            ("unfit_word", lambda: bool(_pattern(self.unfit_words).search(instruction))),
            ("asks_for_program", lambda: instruction.startswith("Write a program")),
            ("starts_with_punctuation", lambda: instruction[0] in string.punctuation),
            ("not_english", lambda: not instruction[0].isascii()),
            ("repeats_input", lambda: output.strip() == given),
            ("open_end", lambda: given.endswith(":") or output.strip().endswith(":")),
        )
        return next((reason for reason, holds in rules if holds()), None)


@lru_cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return what finds one of the words, as whole words; without any words, nothing."""
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b" if words else r"(?!)", re.IGNORECASE)
