"""An engine without a model, for tests and dry runs: fast, deterministic, and different for each candidate."""

import hashlib
import re
import sys

from davidgen_hf.engines.base import Sampling, Score
from davidgen_hf.engines.settings import EngineSettings
from davidgen_hf.prompts import render_tasks

# How a prompt ends that is a list of tasks.
LIST_OPENING = re.compile(r"^(\d+)\. Instruction:\n\Z", re.MULTILINE)


class EchoEngine:
    """Answers with words of the prompt, and scores by a hash of context and target."""

    max_length: int | None = None
    commit: str | None = None
    restricted: bool = False

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings

    def generate(self, prompts: list[str], n: int, sampling: Sampling) -> list[list[str] | None]:
        """Return ``n`` texts per prompt: four of its words, chosen by seed, prompt and candidate number.

        A list of tasks (Table 8) gets two more: a whole one, and one that often lacks its input or output.
        """
        return [[self._text(prompt, number, sampling.seed) for number in range(n)] for prompt in prompts]

    def score(
        self, contexts: list[str], targets: list[str], max_target_tokens: list[int] | None = None
    ) -> list[Score | None]:
        """Return a pseudo-random nll of 1 to 4 nats a word, the same for the same pair of texts."""
        spans = max_target_tokens or [sys.maxsize] * len(targets)
        return [self._score(*pair) for pair in zip(contexts, targets, spans, strict=True)]

    def tokens_left(self, contexts: list[str]) -> list[int]:
        """Return ``sys.maxsize`` for each context: the length is not limited."""
        return [sys.maxsize] * len(contexts)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Return the number of words of each text."""
        return [len(text.split()) for text in texts]

    def token_ends(self, texts: list[str]) -> list[list[int]]:
        """Return where each word of each text ends."""
        return [[word.end() for word in re.finditer(r"\S+", text)] for text in texts]

    def _text(self, prompt: str, number: int, seed: int) -> str:
        opening = LIST_OPENING.search(prompt)
        if opening is None:
            return self._words(prompt, number, seed)
        texts = [self._words(prompt, place, seed) for place in range(6 * number, 6 * number + 6)]
        written = render_tasks([(texts[0], "", texts[1]), (texts[2], texts[3], texts[4])], int(opening[1]))
        lines = written.split("\n")
        return "\n".join(lines[: len(lines) - 2 * (_hash(seed, prompt, number) % 3)])

    def _words(self, prompt: str, number: int, seed: int) -> str:
        words = prompt.split() or ["nothing"]
        picks = [words[_hash(seed, prompt, number, place) % len(words)] for place in range(4)]
        return "Explain " + " ".join(picks)

    def _score(self, context: str, target: str, span: int) -> Score:
        n_tokens = min(span, max(1, len(target.split())))
        each = 1 + _hash(context, target) % 3000 / 1000
        return Score(nll=n_tokens * each, n_tokens=n_tokens, token_nll=(each,) * n_tokens)


def _hash(*parts: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big")
