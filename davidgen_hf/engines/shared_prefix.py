"""Decoding with each prompt's keys and values held once for all its candidates.

The K candidates of a prompt attend to its cache together, as one product, and each to its own tokens separately; one
softmax runs over both. Nothing of the prompt is copied, and the candidates' own keys and values are written in place.
"""

from typing import Any, cast

import torch
from torch.nn.functional import pad
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer

from davidgen_hf.engines.attention import ATTENTION
from davidgen_hf.engines.batching import CPU_PASS_TOKENS
from davidgen_hf.engines.prefix import CopiedPrefix, head_input, pad_right

# Between logits of the same model in bfloat16 about 0.03 was found, and with a position off by one 0.18 and more.
_MAX_DISTANCE = 0.1


class OwnTokens(CacheLayerMixin):
    """One layer's keys and values of the candidates' own tokens, ``(rows, heads, max_new_tokens, size)``."""

    is_sliding = False
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, max_new_tokens: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.max_new_tokens, self.length = max_new_tokens, 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys, self.values = (
            states.new_empty(*states.shape[:2], self.max_new_tokens, states.shape[3])
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one token per row and return all of the row's own tokens."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys[:, :, self.length] = key_states[:, :, 0]
        self.values[:, :, self.length] = value_states[:, :, 0]
        self.length += 1
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def keep(self, rows: torch.Tensor) -> None:
        self.keys, self.values = self.keys[rows], self.values[rows]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return self.max_new_tokens


class SharedPrefix:
    """The prompts' cache, held once; takes the place of ``CopiedPrefix`` where ``choose_prefix`` finds that it can.

    Args:
        model: A causal language model whose attention is ``ATTENTION``.
        prompts: Token ids of each prompt, special tokens included.
        n: Candidates of each prompt.
        max_new_tokens: Longest candidate.
    """

    def __init__(self, model: PreTrainedModel, prompts: list[list[int]], n: int, max_new_tokens: int) -> None:
        self.model, self.prompts, self.n = model, len(prompts), n
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        longest = max(map(len, prompts))
        at_once = max(1, CPU_PASS_TOKENS // longest) if model.device.type == "cpu" else len(prompts)
        parts = [_prefill(model, prompts[start : start + at_once]) for start in range(0, len(prompts), at_once)]
        self.first_logits = torch.cat([logits for logits, _, _ in parts]).repeat_interleave(n, 0)
        self.keys, self.values = (
            tuple(_join(layer, longest) for layer in zip(*caches, strict=True))
            for caches in zip(*((keys, values) for _, keys, values in parts), strict=True)
        )
        padding = torch.arange(longest, device=model.device) >= lengths[:, None]
        self.bias = None
        if padding.any():
            self.bias = torch.zeros(padding.shape, dtype=model.dtype, device=model.device)
            self.bias = self.bias.masked_fill_(padding, float("-inf"))[:, None, None]
        self.own_layers = [OwnTokens(max_new_tokens) for _ in self.keys]
        self.own = Cache(layers=list(self.own_layers))
        self.position = lengths.repeat_interleave(n)[:, None]
        # Which place each row has among the prompts' candidates; None while all of them are there.
        self.places: torch.Tensor | None = None

    def keep(self, rows: torch.Tensor) -> None:
        """Let all rows but ``rows`` leave the batch."""
        self.places = rows if self.places is None else self.places[rows]
        self.position = self.position[rows]
        for layer in self.own_layers:
            if layer.is_initialized:
                layer.keep(rows)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token to each row, ``(rows,)``, and return the logits of the next, ``(rows, vocabulary)``."""
        outputs = self.model(
            input_ids=tokens[:, None],
            position_ids=self.position,
            past_key_values=self.own,
            use_cache=True,
            shared_prefix=self,
        )
        self.position = self.position + 1
        logits: torch.Tensor = outputs.logits
        return logits[:, -1]

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attend to the prompts and to own tokens under one softmax.

        Args:
            layer: Number of the layer.
            query: Scaled, ``(rows, key heads, groups, size)``.
            key: The rows' own tokens, ``(rows, key heads, length, size)``.
            value: ``(rows, key heads, length, value size)``.

        Returns:
            ``(rows, key heads, groups, value size)``.
        """
        prefix_scores = self._gather(query) @ self.keys[layer].mT
        if self.bias is not None:
            prefix_scores += self.bias
        own_scores = self._gather(query @ key.mT)
        weights = torch.cat([prefix_scores, own_scores], -1).softmax(-1)
        prefix_weights, own_weights = weights.split([prefix_scores.shape[-1], own_scores.shape[-1]], -1)
        return self._scatter(prefix_weights @ self.values[layer]) + self._scatter(own_weights) @ value

    def _gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Bring ``(rows, heads, groups, size)`` together by prompt: ``(prompts, heads, n * groups, size)``."""
        if self.places is not None:
            rows = rows.new_zeros(self.prompts * self.n, *rows.shape[1:]).index_copy_(0, self.places, rows)
        gathered: torch.Tensor = rows.unflatten(0, (self.prompts, self.n)).transpose(1, 2).flatten(2, 3)
        return gathered

    def _scatter(self, gathered: torch.Tensor) -> torch.Tensor:
        """Undo ``_gather``."""
        rows: torch.Tensor = gathered.unflatten(2, (self.n, -1)).transpose(1, 2).flatten(0, 1)
        return rows if self.places is None else rows[self.places]


def _prefill(
    model: PreTrainedModel, prompts: list[list[int]]
) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
    """Return the logits after each prompt, ``(len(prompts), vocabulary)``, and each layer's keys and values."""
    rows = torch.arange(len(prompts), device=model.device)
    last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=model.device)
    # Padding comes last, where the prompt's tokens cannot see it: no mask is needed here.
    with head_input(model, lambda hidden: hidden[rows, last, None]):
        outputs = model(input_ids=pad_right(prompts, model.device), use_cache=True)
    layers = outputs.past_key_values.layers
    return outputs.logits[:, -1], [layer.keys for layer in layers], [layer.values for layer in layers]


def _join(parts: tuple[torch.Tensor, ...], length: int) -> torch.Tensor:
    """Join the prompts' keys or values of one layer, each part padded to ``length`` tokens."""
    if len(parts) == 1:
        return parts[0]
    return torch.cat([pad(part, (0, 0, 0, length - part.shape[2])) for part in parts])


@torch.inference_mode()
def choose_prefix(model: PreTrainedModel) -> type[SharedPrefix] | type[CopiedPrefix]:
    """Find out by trial whether ``model`` can share prefixes; if so, its attention is ``ATTENTION`` from now on.

    Encoder-decoders, sliding windows, and models whose attention does not go through the interface cannot.
    """
    layers = [] if model.config.is_encoder_decoder else DynamicCache(config=model.config).layers
    if not model._supports_attention_backend or not layers or any(type(layer) is not DynamicLayer for layer in layers):
        return CopiedPrefix
    usual = model.config._attn_implementation
    # Ids from all over the vocabulary: among the first are control tokens, whose logits show nothing in bfloat16.
    vocabulary = cast("int", model.get_input_embeddings().num_embeddings)
    if vocabulary < 20:  # a toy
        return CopiedPrefix
    spread = range(0, vocabulary, vocabulary // 20)
    prompts, tokens = [[*spread[1:13]], [*spread[3:10]]], torch.tensor(spread[14:18], device=model.device)
    expected = CopiedPrefix(model, prompts, 2, 1).step(tokens)
    model.set_attn_implementation(ATTENTION)
    try:
        found = SharedPrefix(model, prompts, 2, 1).step(tokens)
    except (NotImplementedError, TypeError, AttributeError):
        found = None
    if found is not None and _relative_distance(found, expected) < _MAX_DISTANCE:
        return SharedPrefix
    model.set_attn_implementation(usual)
    return CopiedPrefix


def _relative_distance(logits: torch.Tensor, expected: torch.Tensor) -> float:
    """Return how far logits are apart, as a share of their spread; what they all have in common does not count."""
    logits, expected = ((one - one.mean(-1, keepdim=True)) for one in (logits.float(), expected.float()))
    return float((logits - expected).norm() / expected.norm())
