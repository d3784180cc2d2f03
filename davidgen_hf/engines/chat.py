"""The server engine for ``/v1/chat/completions``: any server that chats can write candidates and reviews.

The server applies its model's own chat template: each prompt is the message of a user. Nothing can be scored this way.
"""

import sys
from typing import Any

from pydantic import AliasChoices, BaseModel, Field

from davidgen_hf.engines.base import Sampling, Score
from davidgen_hf.engines.http import RequestFailedError
from davidgen_hf.engines.server import ServerEngine, read_answer
from davidgen_hf.errors import ModelError
from davidgen_hf.storage.validation import Text


class _Message(BaseModel):
    content: Text | None = None
    # vLLM's name, and that of DeepSeek and SGLang.
    thoughts: Text | None = Field(default=None, validation_alias=AliasChoices("reasoning", "reasoning_content"))


class _Choice(BaseModel):
    message: _Message
    index: int = 0
    finish_reason: str | None = None


class _Chats(BaseModel):
    choices: list[_Choice]


class ChatEngine(ServerEngine):
    """Writes over ``/v1/chat/completions``; see ``ServerEngine`` for arguments and errors.

    Counting tokens needs the model's tokenizer here, as in ``ServerEngine``. Without it, only the server knows whether
    a prompt is too long.
    """

    def generate(self, prompts: list[str], n: int, sampling: Sampling) -> list[list[str] | None]:
        """Write ``n`` answers to each prompt; equal prompts are sent once."""
        return self._generate("/chat/completions", prompts, n, sampling, _read_messages)

    def score(
        self, contexts: list[str], targets: list[str], max_target_tokens: list[int] | None = None
    ) -> list[Score | None]:
        """Refuse to score.

        Raises:
            ModelError: Always.
        """
        raise ModelError(
            f"The chat endpoint of {self.settings.base_url} cannot score. A score needs the log-probabilities of a "
            "prompt, which /v1/completions of vLLM and SGLang gives. Set endpoint to completions."
        )

    def tokens_left(self, contexts: list[str]) -> list[int]:
        """Count the tokens that fit after each context in its chat format; ``sys.maxsize`` where that is unknown."""
        tokens = self._tokens_if_here
        if tokens is None or self.max_length is None:
            return [sys.maxsize] * len(contexts)
        if not tokens.tokenizer.chat_template:
            return tokens.left(contexts)
        from davidgen_hf.engines.tokens import chat_prompt

        return tokens.left([chat_prompt(tokens.tokenizer, context) for context in contexts])

    def _prompt(self, prompt: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": prompt}]}


def _read_messages(answer: dict[str, Any], n: int) -> list[str]:
    """Return the ``n`` texts of an answer; of a model that thought until its limit, the thoughts, left open."""
    choices = read_answer(_Chats, answer, f"an answer without messages, with {sorted(answer)}").choices
    if len(choices) != n:
        raise RequestFailedError(f"{len(choices)} messages where n={n} were requested", refused=True)
    if any(choice.finish_reason == "abort" for choice in choices):
        raise RequestFailedError("a message that the server aborted")
    return [_text(choice.message) for choice in sorted(choices, key=lambda choice: choice.index)]


def _text(message: _Message) -> str:
    if message.content is None and message.thoughts:
        return f"<think>{message.thoughts}"
    return message.content or ""
