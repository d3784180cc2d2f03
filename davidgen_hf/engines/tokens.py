"""Texts to token ids as every engine must cut them, and the check that they fit."""

import sys
from dataclasses import dataclass
from functools import cached_property

from transformers import PreTrainedTokenizerBase

from davidgen_hf.errors import InputError, ModelError, TooLongError


@dataclass(frozen=True)
class TokenPair:
    """The ids of one pair to score: ``context`` opened by special tokens and never empty, ``target`` without any."""

    context: tuple[int, ...]
    target: tuple[int, ...]


class Tokens:
    """Cuts contexts and targets apart, so that a target has the same ids whatever the context.

    Args:
        tokenizer: The model's own.
        max_length: Tokens of context and target together; ``None`` where there is no limit.
        model: Name of the model, for messages.
        closes_contexts: A context also gets the special tokens that close a text, as an encoder expects.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int | None, model: str, closes_contexts: bool = False
    ) -> None:
        self.tokenizer, self.max_length, self.model = tokenizer, max_length, model
        self.closes_contexts = closes_contexts

    def plain(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens."""
        return self.tokenizer(texts, add_special_tokens=False, verbose=False).input_ids if texts else []

    def ends(self, texts: list[str]) -> list[list[int]]:
        """Return where each of the ``plain`` tokens of each text ends, in characters.

        Raises:
            ModelError: The tokenizer does not tell.
        """
        if not self.tokenizer.is_fast:
            raise ModelError(
                f"The tokenizer of {self.model!r} does not tell where its tokens stand in a text. Set score.token_nll "
                "to false, or score with a model that has a tokenizer.json."
            )
        if not texts:
            return []
        cut = self.tokenizer(texts, add_special_tokens=False, verbose=False, return_offsets_mapping=True)
        return [[end for _, end in offsets] for offsets in cut.offset_mapping]

    def contexts(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of each text behind the special tokens that open a prompt, at least one."""
        opening, closing = self._special_tokens
        ids = [[*opening, *plain, *(closing if self.closes_contexts else [])] for plain in self.plain(texts)]
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
                "the text, or ask tokens_left beforehand and pass what fits as max_target_tokens or max_new_tokens."
            )

    def left(self, contexts: list[str]) -> list[int]:
        """Count the tokens that fit beside each context; ``sys.maxsize`` where there is no limit."""
        if self.max_length is None:
            return [sys.maxsize] * len(contexts)
        return [self.max_length - len(ids) for ids in self.contexts(contexts)]

    def count(self, texts: list[str]) -> list[int]:
        """Count the tokens of each text, without special tokens."""
        return [len(ids) for ids in self.plain(texts)]

    @cached_property
    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer puts before and after a text."""
        plain, full = self.plain(["a"])[0], self.tokenizer("a").input_ids
        start = next(at for at in range(len(full)) if full[at : at + len(plain)] == plain)
        return full[:start], full[start + len(plain) :]
