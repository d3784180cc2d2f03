"""Turn texts into token ids the way every engine needs them, and check that they fit."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

from jinja2 import TemplateError
from tokenizers import Tokenizer
from transformers import BatchEncoding, PreTrainedTokenizerBase

from davidgen_hf.errors import InputError, ModelError, TooLongError

# Put around a control token in the vocabulary of ``Tokens._without_control_tokens``, so that no text contains it.
_HIDDEN = "\0davidgen-control\0"


@dataclass(frozen=True)
class TokenPair:
    """The ids of one pair to score: ``context`` opens with special tokens and is never empty, ``target`` has none."""

    context: tuple[int, ...]
    target: tuple[int, ...]


class ChatPrompt(str):
    """A prompt rendered with a chat template, and its ids: only the template's own control tokens count as such."""

    __slots__ = ("ids",)
    ids: tuple[int, ...]

    def __new__(cls, text: str, ids: Sequence[int]) -> "ChatPrompt":
        prompt = super().__new__(cls, text)
        prompt.ids = tuple(ids)
        return prompt


class Tokens:
    """Tokenizes contexts and targets separately, so that a target has the same ids whatever its context.

    A text is always read literally: ``</s>`` in a passage about HTML is text, never the model's end of text.

    Args:
        tokenizer: The model's own.
        max_length: Tokens of context and target together; ``None`` without a limit.
        model: Name of the model, for messages.
        closes_contexts: A context also gets the special tokens that close a text, as an encoder expects.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int | None, model: str, closes_contexts: bool = False
    ) -> None:
        self.tokenizer, self.max_length, self.model = tokenizer, max_length, model
        self.closes_contexts = closes_contexts

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens."""
        if not texts:
            return []
        encoded = self._encode(texts).input_ids
        return [
            ids if self._control_ids.isdisjoint(ids) else self._without_control_tokens.encode(text).ids
            for text, ids in zip(texts, encoded, strict=True)
        ]

    def ends(self, texts: Sequence[str]) -> list[list[int]]:
        """Return where each of the ``plain`` tokens of each text ends, in characters.

        Raises:
            ModelError: The tokenizer does not report it.
        """
        if not self.tokenizer.is_fast:
            raise ModelError(
                f"The tokenizer of {self.model!r} does not report where its tokens are in a text. Set score.token_nll "
                "to false, or score with a model that has a tokenizer.json."
            )
        if not texts:
            return []
        encoded = self._encode(texts, return_offsets_mapping=True)
        offsets = [
            of_text if self._control_ids.isdisjoint(ids) else self._without_control_tokens.encode(text).offsets
            for text, ids, of_text in zip(texts, encoded.input_ids, encoded.offset_mapping, strict=True)
        ]
        return [[end for _, end in of_text] for of_text in offsets]

    def contexts(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text after the special tokens that open a prompt; at least one id each.

        A ``ChatPrompt`` has the ids that its template gave it.
        """
        opening, closing = self._special_tokens
        ids = [[*opening, *plain, *(closing if self.closes_contexts else [])] for plain in self.plain(texts)]
        ids = [
            list(text.ids) if isinstance(text, ChatPrompt) else of_text
            for text, of_text in zip(texts, ids, strict=True)
        ]
        # Something must come before the first token that is predicted.
        first = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, 0)
        return [one or [next(token for token in first if token is not None)] for one in ids]

    def pairs(
        self, contexts: list[str], targets: list[str], max_target_tokens: list[int] | None = None
    ) -> list[TokenPair]:
        """Return the ids of each pair, the target cut to its first ``max_target_tokens`` tokens.

        Raises:
            InputError: A target has no token to score.
            TooLongError: A pair does not fit into ``max_length``.
        """
        spans = max_target_tokens or [sys.maxsize] * len(targets)
        ids = zip(self.contexts(contexts), self.plain(targets), spans, strict=True)
        pairs = [TokenPair(tuple(context), tuple(target[: max(span, 0)])) for context, target, span in ids]
        for row, pair in enumerate(pairs):
            if not pair.target:
                raise InputError(
                    f"Row {row} has no target token to score: the target is empty, or max_target_tokens leaves none "
                    "of it. Drop such rows before scoring."
                )
            self.check_fit(row, len(pair.context), len(pair.target))
        return pairs

    def check_fit(self, row: int, context: int, target: int) -> None:
        """Refuse a row whose ``context`` and ``target`` tokens are more than ``max_length`` together.

        Raises:
            TooLongError: They are.
        """
        if self.max_length is not None and context + target > self.max_length:
            raise TooLongError(
                f"Row {row} needs {context} + {target} tokens, but {self.model!r} takes {self.max_length}. Shorten "
                "the text, or call tokens_left first and pass what fits as max_target_tokens or max_new_tokens."
            )

    def left(self, contexts: list[str]) -> list[int]:
        """Count the tokens that still fit after each context; ``sys.maxsize`` without a limit."""
        if self.max_length is None:
            return [sys.maxsize] * len(contexts)
        return [self.max_length - len(ids) for ids in self.contexts(contexts)]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, without special tokens."""
        return [len(ids) for ids in self.plain(texts)]

    def _encode(self, texts: Sequence[str], **options: bool) -> "BatchEncoding[Any]":
        try:
            # With split_special_tokens, a special token in a text is read as text.
            encoded: BatchEncoding[Any] = self.tokenizer(
                list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False, **options
            )
            return encoded
        except (TypeError, ValueError) as error:
            row = next((row for row, text in enumerate(texts) if not _is_text(text)), None)
            if row is None:
                raise
            raise InputError(
                f"Row {row} is not text: {texts[row]!r:.60}. A text is a string without halves of surrogate pairs, "
                "which UTF-8 cannot write. Drop such rows, or replace what is not text."
            ) from error

    @cached_property
    def _control_ids(self) -> frozenset[int]:
        """The ids that no text may contain, of a fast tokenizer.

        ``split_special_tokens`` misses two kinds: control tokens that are not marked as special, such as ``<think>``
        of a chat template, and those that the vocabulary contains too, as a Unigram model's does.
        """
        if not self.tokenizer.is_fast:
            return frozenset()
        templates = self.tokenizer.chat_template or ""
        literal = " ".join(templates.values()) if isinstance(templates, dict) else templates
        added = self.tokenizer.added_tokens_decoder
        control = {
            number
            for number, token in added.items()
            if token.special or (token.content in literal and not token.content.isspace())
        }
        return frozenset(control - {self.tokenizer.unk_token_id})

    @cached_property
    def _without_control_tokens(self) -> Tokenizer:
        """The same tokenizer with its control tokens renamed, so that nothing in a text matches them; ids stay."""
        state = json.loads(self.tokenizer.backend_tokenizer.to_str())
        names = {token["content"]: token for token in state["added_tokens"] if token["id"] in self._control_ids}
        renamed = {name: f"{_HIDDEN}{name}" for name in names}
        for name, token in names.items():
            token["content"] = renamed[name]
        model = state["model"]
        if isinstance(model["vocab"], dict):
            model["vocab"] = {renamed.get(name, name): number for name, number in model["vocab"].items()}
        else:
            model["vocab"] = [[renamed.get(name, name), score] for name, score in model["vocab"]]
        if "merges" in model:
            model["merges"] = [pair for pair in model["merges"] if renamed.keys().isdisjoint([*pair, "".join(pair)])]
        state |= {"post_processor": None, "truncation": None, "padding": None}
        return Tokenizer.from_str(json.dumps(state))

    @cached_property
    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer puts before and after a text."""
        plain, full = self.plain(["a"])[0], self.tokenizer("a").input_ids
        start = next((at for at in range(len(full)) if full[at : at + len(plain)] == plain), None)
        if not plain or start is None:
            raise ModelError(
                f"The tokenizer of {self.model!r} turns the letter a into {full}, and without special tokens into "
                f"{plain}. A tokenizer must have tokens for a text, and may add special ones before and after it. "
                "Take the tokenizer that the model was trained with."
            )
        return full[:start], full[start + len(plain) :]


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


class CountsTokens:
    """The methods of an engine that need only its tokenizer; see ``Engine`` for what they promise."""

    tokens: Tokens

    def tokens_left(self, contexts: list[str]) -> list[int]:
        """Count the tokens that still fit after each context; ``sys.maxsize`` without a limit."""
        return self.tokens.left(contexts)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count the tokens of each text, without special tokens."""
        return self.tokens.count(texts)

    def token_ends(self, texts: list[str]) -> list[list[int]]:
        """Return where each token of each text ends, in characters, without special tokens."""
        return self.tokens.ends(texts)


def chat_prompt(tokenizer: PreTrainedTokenizerBase, message: str, **template_settings: Any) -> ChatPrompt:
    """Return a user's message as a prompt in the tokenizer's chat format.

    The text leaves out the opening token that a tokenizer adds by itself, as a server's would.

    Args:
        tokenizer: It has a chat template.
        message: What the user says; a control token in it is read as text.
        template_settings: Variables of the template, such as ``enable_thinking``.

    Raises:
        ModelError: The template refuses the message, or the tokenizer cannot read a control token in it as text.
    """
    turns = [{"role": "user", "content": message}]
    render = partial(tokenizer.apply_chat_template, turns, add_generation_prompt=True, **template_settings)
    try:
        text = str(render(tokenize=False))
        ids = cast("list[int]", render(tokenize=True, return_dict=False, sanitize_control_tokens=True))
    except (ValueError, TemplateError) as error:
        raise ModelError(
            f"The chat template of {tokenizer.name_or_path!r} cannot show a message: {error} A template must accept "
            "a single message of a user. Name a model or tokenizer with another template."
        ) from error
    opening = tokenizer.bos_token if tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id] else None
    return ChatPrompt(text.removeprefix(opening) if opening else text, ids)
