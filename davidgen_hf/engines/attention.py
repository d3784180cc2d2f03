"""The attention function that the transformers engine registers: SDPA, and what SDPA cannot do.

It lets many queries attend to a part of the context that is held once: the prompt of K candidates (``SharedPrefix``),
or the words with which all contexts open (``Opening``).
"""

from functools import cache, lru_cache
from typing import Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "davidgen"
# Arguments that some models hand to their attention function, and that a plain softmax over scores knows nothing of.
_BEYOND_SOFTMAX = ("softcap", "s_aux", "sliding_window", "position_bias")
# Queries of one block on a CPU: its scores stay in the processor's cache, and half the square is left out.
_BLOCK = 128


class Prefix(Protocol):
    """What ``SharedPrefix.step`` hands through the model."""

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor: ...


class Opening(Protocol):
    """Keys and values of tokens that come before those of every row, by layer: ``(1, key heads, length, size)``."""

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]


def attention_forward(  # noqa: PLR0913, PLR0917 - the signature is transformers'
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    shared_prefix: Prefix | None = None,
    opening: Opening | None = None,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """Attend to a shared prefix or opening and to the rows' own tokens under one softmax; without either, as SDPA.

    Args:
        module: The attention layer; its ``layer_idx`` finds the layer's keys and values.
        query: ``(rows, heads, queries, size)``.
        key: The rows' own tokens, ``(rows, key heads, length, size)``.
        value: ``(rows, key heads, length, value size)``.
        attention_mask: For SDPA only: with a prefix or an opening, nothing that counts comes after padding.
        scaling: Factor of the scores; ``None`` is ``size ** -0.5``.
        shared_prefix: For queries of one token.
        opening: For queries of as many tokens as there are keys, causal.
        kwargs: What else the model hands to its attention function.

    Returns:
        ``(rows, queries, heads, value size)``, and no weights.

    Raises:
        NotImplementedError: The layer wants more than a softmax over scores.
    """
    is_shared = shared_prefix is not None or opening is not None
    in_blocks = query.device.type == "cpu" and not _has_tiles()
    beyond = [name for name in _BEYOND_SOFTMAX if kwargs.get(name) is not None]
    if beyond and is_shared:
        raise NotImplementedError(f"{type(module).__name__} wants {beyond}")
    whole = attention_mask is None and query.shape[2] == key.shape[2] > 1
    if not is_shared and (beyond or not whole or not in_blocks):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    grouped = query.unflatten(1, (key.shape[1], -1))
    if shared_prefix is not None:
        return shared_prefix.attend(module.layer_idx, grouped.squeeze(3), key, value).flatten(1, 2)[:, None], None
    if opening is not None:
        key = torch.cat([opening.keys[module.layer_idx].expand(len(key), -1, -1, -1), key], 2)
        value = torch.cat([opening.values[module.layer_idx].expand(len(value), -1, -1, -1), value], 2)
    if in_blocks:
        attended = attend_in_blocks(grouped, key, value).flatten(1, 2)
    else:
        mask = _causal_mask(query.shape[2], key.shape[2], query.dtype, query.device)
        attended = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0, enable_gqa=True)
    return attended.transpose(1, 2).contiguous(), None


@cache
def _has_tiles() -> bool:
    """Say whether the processor multiplies by tiles (AMX): SDPA's kernel then beats attention in blocks."""
    return torch.cpu.get_capabilities().get("amx_bf16", False)


@lru_cache(maxsize=1)  # all layers of a pass want the same one
def _causal_mask(queries: int, keys: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return what to add to scores so that the last query sees all keys and each earlier one a key less."""
    later = torch.ones(queries, keys, dtype=torch.bool, device=device).triu(keys - queries + 1)
    return torch.zeros(queries, keys, dtype=dtype, device=device).masked_fill_(later, float("-inf"))


def attend_in_blocks(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attend causally, a block of queries at a time, each to the keys up to its own last token.

    Args:
        query: Scaled, ``(rows, key heads, groups, queries, size)``; its last token is that of ``key``.
        key: ``(rows, key heads, length, size)``.
        value: ``(rows, key heads, length, value size)``.

    Returns:
        ``(rows, key heads, groups, queries, value size)``.
    """
    queries = query.shape[3]
    before = key.shape[2] - queries
    blocks = []
    for start in range(0, queries, _BLOCK):
        block = query[:, :, :, start : start + _BLOCK]
        size = block.shape[3]
        end = before + start + size
        scores = (block.flatten(2, 3) @ key[:, :, :end].mT).unflatten(2, (-1, size))
        later = torch.ones(size, size, dtype=torch.bool, device=query.device).triu(1)
        scores[..., end - size :].masked_fill_(later, float("-inf"))
        weights = scores.softmax(-1).flatten(2, 3)
        blocks.append((weights @ value[:, :, :end]).unflatten(2, (-1, size)))
    return torch.cat(blocks, 3)


AttentionInterface.register(ATTENTION, attention_forward)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
