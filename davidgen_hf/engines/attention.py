"""The attention function that the transformers engine registers: SDPA, and what SDPA cannot do.

It lets many queries attend to a part of the context that is held once: the prompt of K candidates (``SharedPrefix``),
or the words with which all contexts open (``Opening``).
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Protocol, cast

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "davidgen"
# Arguments that some models hand to their attention function, and that a plain softmax over scores knows nothing of.
_BEYOND_SOFTMAX = ("softcap", "s_aux", "sliding_window", "position_bias")
# One block of queries: query, key and value as ``attend_in_blocks`` has them.
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


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
    **kwargs: Any,
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
        NotImplementedError: The layer needs more than a softmax over scores.
    """
    is_shared = shared_prefix is not None or opening is not None
    beyond = [name for name in _BEYOND_SOFTMAX if kwargs.get(name) is not None]
    if beyond and is_shared:
        raise NotImplementedError(f"{type(module).__name__} needs {beyond}")
    whole = attention_mask is None and query.shape[2] == key.shape[2] > 1
    if not is_shared and (beyond or not whole or query.device.type != "cpu"):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    grouped = query.unflatten(1, (key.shape[1], -1))
    layer = cast("int", module.layer_idx)
    if shared_prefix is not None:
        return shared_prefix.attend(layer, grouped.squeeze(3), key, value).flatten(1, 2)[:, None], None
    if opening is not None:
        key = torch.cat([opening.keys[layer].expand(len(key), -1, -1, -1), key], 2)
        value = torch.cat([opening.values[layer].expand(len(value), -1, -1, -1), value], 2)
    attended = attend_in_blocks(grouped, key, value, *((_by_sdpa, 256) if _has_tiles() else (_by_products, 128)))
    return attended.flatten(1, 2).transpose(1, 2).contiguous(), None


@cache
def _has_tiles() -> bool:
    """Say whether the processor multiplies by tiles (AMX): SDPA's kernel then beats attention in blocks."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def attend_in_blocks(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attend: Attend, size: int
) -> torch.Tensor:
    """Attend causally, a block of queries at a time, each to the keys up to its own last token.

    Args:
        query: Scaled, ``(rows, key heads, groups, queries, size)``; its last token is that of ``key``.
        key: ``(rows, key heads, length, size)``.
        value: ``(rows, key heads, length, value size)``.
        attend: Does so for one block.
        size: Queries of a block.

    Returns:
        ``(rows, key heads, groups, queries, value size)``.
    """
    before = key.shape[2] - query.shape[3]
    blocks = []
    for block in query.split(size, 3):
        before += block.shape[3]
        blocks.append(attend(block, key[:, :, :before], value[:, :, :before]))
    return torch.cat(blocks, 3)


def _by_products(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    queries, keys = query.shape[3], key.shape[2]
    scores: torch.Tensor = (query.flatten(2, 3) @ key.mT).unflatten(2, (-1, queries))
    scores[..., keys - queries :].masked_fill_(_later(queries, queries, query.device), float("-inf"))
    attended: torch.Tensor = (scores.softmax(-1).flatten(2, 3) @ value).unflatten(2, (-1, queries))
    return attended


def _by_sdpa(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    mask = _mask(query.shape[3], key.shape[2], query.dtype, query.device)
    heads = query.flatten(1, 2)
    attended = scaled_dot_product_attention(heads, key, value, attn_mask=mask, scale=1.0, enable_gqa=True)
    grouped: torch.Tensor = attended.unflatten(1, query.shape[1:3])
    return grouped


@lru_cache(maxsize=8)  # the blocks of a pass, the same in all layers
def _mask(queries: int, keys: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    mask = torch.zeros(queries, keys, dtype=dtype, device=device)
    return mask.masked_fill_(_later(queries, keys, device), float("-inf"))


def _later(queries: int, keys: int, device: torch.device) -> torch.Tensor:
    """Say which keys come after each query, ``(queries, keys)``, where the last of both are the same token."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).triu(keys - queries + 1)


AttentionInterface.register(ATTENTION, attention_forward)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
