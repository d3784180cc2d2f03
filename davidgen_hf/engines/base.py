"""What every engine can do, how candidates are drawn, and what a score is."""

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from davidgen_hf.engines.settings import EngineSettings
from davidgen_hf.errors import ModelError, SettingError
from davidgen_hf.storage.settings import check_settings

logger = logging.getLogger(__name__)

# The exponential of more nats per token does not fit into a float; a model without a clue is at about 10.
MAX_NATS = 700.0


@dataclass(frozen=True)
class Sampling:
    """How candidates are drawn; the defaults are the paper's (section 2.1).

    Args:
        max_new_tokens: Longest candidate, in tokens of the model's own tokenizer.
        temperature: Softmax temperature; 0.0 is greedy.
        top_p: Probability mass of the tokens that may be drawn, in (0, 1]; 1.0 keeps all.
        top_k: Number of tokens that may be drawn; 0 keeps all.
        seed: Seed of the sampler. What is drawn for a prompt depends on this, the prompt and the candidate's number,
            not on the other prompts of a call.
        stop: Texts at which a candidate ends; they are not part of it. A single text may be given as it is.

    Raises:
        SettingError: A value is out of range; all of them are named.
    """

    max_new_tokens: int = 64
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 40
    seed: int = 0
    stop: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        check_settings(self)
        problems = [
            message
            for broken, message in (
                (
                    not 1 <= self.max_new_tokens <= 100_000,
                    f"max_new_tokens must be 1 to 100,000, got {self.max_new_tokens}",
                ),
                (
                    not 0 <= self.temperature < math.inf,
                    f"temperature must be at least 0 and finite, got {self.temperature}",
                ),
                (not 0 < self.top_p <= 1, f"top_p must be in (0, 1], got {self.top_p}"),
                (self.top_k < 0, f"top_k must be at least 0, got {self.top_k}"),
                (not -(2**63) <= self.seed < 2**63, "seed must be an integer of at most 64 bits"),
                ("" in self.stop, "stop holds an empty text, which would end a candidate before its first word"),
            )
            if broken
        ]
        if problems:
            raise SettingError("Sampling: " + "; ".join(problems) + ".")

    def seed_of(self, prompt: str) -> int:
        """Return the seed of a prompt's candidates for a sampler that is not ours: 31 bits, which all of them take."""
        key = repr((self.seed, prompt)).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "big") >> 1


@dataclass(frozen=True)
class Score:
    """How well a context predicts a target: ``nll`` in nats, summed over the target's ``n_tokens`` tokens.

    ``token_nll`` has the nll of each of them, ``(n_tokens,)``, where the engine knows it. ``complete`` is False if the
    target has more tokens, which were not scored because other contexts were ahead; see ``elimination``.
    """

    nll: float
    n_tokens: int
    token_nll: tuple[float, ...] | None = field(default=None, compare=False, repr=False)
    complete: bool = field(default=True, compare=False)

    @property
    def perplexity(self) -> float:
        """exp(nll / n_tokens), over the target's tokens only."""
        return perplexity(self.nll / self.n_tokens)


@cache  # one warning is enough
def warn_of_endless_texts(settings: EngineSettings, sampling: Sampling, has_end_token: bool) -> None:
    """Log a warning if nothing but ``max_new_tokens`` can end what a model writes."""
    if not has_end_token and not sampling.stop:
        logger.warning(
            "%r has no token that ends a text, so each text will have max_new_tokens=%d tokens and count as "
            'unfinished. Set `stop` of the sampling to texts that end one, such as ["\\n\\n"], or name the model\'s '
            "eos_token in its tokenizer_config.json.",
            settings.model,
            sampling.max_new_tokens,
        )


def finite_score(nll: float, token_nll: Sequence[float], complete: bool = True) -> Score | None:
    """Return a score, or ``None`` where it is not a finite number."""
    return Score(nll, len(token_nll), tuple(token_nll), complete) if math.isfinite(nll) else None


def check_numbers(answers: Sequence[object], model: str, dtype: object) -> None:
    """Refuse a model that computed no finite number for any row of a call.

    Args:
        answers: ``None`` for a row without a finite number.
        model: Its name.
        dtype: Number type that the model runs in.

    Raises:
        ModelError: No row has an answer.
    """
    if answers and all(answer is None for answer in answers):
        raise ModelError(
            f"With dtype {str(dtype).removeprefix('torch.')}, {model!r} computes only NaN or infinity. Texts "
            "and scores need finite numbers, and float16 holds none above 65,504. Set dtype to bfloat16 or float32; "
            "if it is, the weights are broken."
        )


def perplexity(nats_per_token: float) -> float:
    """Return exp(``nats_per_token``), or that of ``MAX_NATS`` where a float could not hold more."""
    return math.exp(min(nats_per_token, MAX_NATS))


class Engine(Protocol):
    """Writes and scores. Answers come in the order of the questions; ``None`` marks a row that has no answer.

    ``max_length`` is the number of tokens that context and target, or prompt and candidate, may take together;
    ``None`` without a limit. ``commit`` is the Hub commit that was loaded, ``None`` for a local folder.
    ``restricted`` is set where the answers come from a host of closed models, so that their rows can be marked.

    Texts are read literally: a control token of the model in a prompt, context or target is text like any other. Only
    a ``tokens.ChatPrompt`` has those that its chat template wrote.
    """

    max_length: int | None
    commit: str | None
    restricted: bool

    def generate(self, prompts: list[str], n: int, sampling: Sampling) -> list[list[str] | None]:
        """Write ``n`` continuations of each prompt, ``(len(prompts), n)``, without the prompt or special tokens.

        Raises:
            TooLongError: A prompt leaves no room for ``sampling.max_new_tokens``; ``tokens_left`` says so beforehand.
            ModelError: The model computes no finite number for any of the prompts, or has no way to end a text.
        """
        ...

    def score(
        self, contexts: list[str], targets: list[str], max_target_tokens: list[int] | None = None
    ) -> list[Score | None]:
        """Score ``targets[i]`` given ``contexts[i]``, on its first ``max_target_tokens[i]`` tokens if that is given.

        Context and target are tokenised apart and their ids joined, so that a target has the same tokens whatever
        the context. The context gets the special tokens with which its tokenizer opens a prompt, the target none.
        Texts are never shortened unasked: to score the K candidates of a passage on the same span, pass the smallest
        ``tokens_left`` of the K contexts for each of them.

        Raises:
            InputError: A target is empty, or all of its tokens are excluded from scoring.
            TooLongError: A pair does not fit into ``max_length``.
            ModelError: The model computes no finite number for any of the pairs.
        """
        ...

    def tokens_left(self, contexts: list[str]) -> list[int]:
        """Count the tokens that still fit after each context and its special tokens; zero or less means none."""
        ...

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count the tokens of each text, without special tokens."""
        ...

    def token_ends(self, texts: list[str]) -> list[list[int]]:
        """Return where each token of each text ends, in characters, without special tokens.

        Raises:
            ModelError: The tokenizer does not report it.
        """
        ...
