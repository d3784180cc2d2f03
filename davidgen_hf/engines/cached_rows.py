"""Scoring targets span by span, each from the cache of the one before: what elimination does on a causal model."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel

from davidgen_hf.engines.prefix import pad_right
from davidgen_hf.engines.scoring import SharedOpening, causal_inputs, positions_nll
from davidgen_hf.engines.tokens import TokenPair


class CachedRows:
    """Scores spans of targets one after the other, on a causal model whose attention is full; rows may leave.

    Args:
        model: The model.
        pairs: Contexts and targets.
        opening: What ``share_opening`` returned for these pairs, or for more than these.
    """

    def __init__(self, model: PreTrainedModel, pairs: Sequence[TokenPair], opening: SharedOpening | None) -> None:
        self.model, self.pairs, self.opening = model, pairs, opening
        self.cache = DynamicCache(config=model.config)
        self.rows: list[int] = []
        self.done = 0
        self.mask = torch.empty(0)

    def advance(self, rows: list[int], end: int) -> list[list[float]]:
        """Score the target tokens of ``rows`` since the last call up to ``end``; the other rows leave."""
        start, self.done = self.done, end
        spans = [self.pairs[row].target[start:end] for row in rows]
        inputs, where = self._continue(rows, start, end) if start else self._begin(rows, end)
        targets = torch.tensor([token for span in spans for token in span], device=self.model.device)
        nll = positions_nll(self.model, inputs, where, targets)
        if not start:
            self._prepend_opening()
        return [one.tolist() for one in nll.split([len(span) for span in spans])]

    def _begin(self, rows: list[int], end: int) -> tuple[dict[str, Any], torch.Tensor]:
        self.rows = rows
        pairs = [TokenPair(self.pairs[row].context, self.pairs[row].target[:end]) for row in rows]
        inputs, where = causal_inputs(self.model, pairs, self.opening)
        skipped = self.opening.tokens if self.opening else 0
        lengths = [len(pair.context) + len(pair.target) - 1 - skipped for pair in pairs]
        self.mask = pad_right([[1] * length for length in lengths], self.model.device, inputs["input_ids"].shape[1])
        return inputs | {"use_cache": True, "past_key_values": self.cache}, where

    def _prepend_opening(self) -> None:
        if self.opening is None:
            return
        layers: list[Any] = self.cache.layers
        for layer, keys, values in zip(layers, self.opening.keys, self.opening.values, strict=True):
            layer.keys = torch.cat([keys.expand(len(layer.keys), -1, -1, -1), layer.keys], 2)
            layer.values = torch.cat([values.expand(len(layer.values), -1, -1, -1), layer.values], 2)
        self.mask = torch.nn.functional.pad(self.mask, (self.opening.tokens, 0), value=1)

    def _continue(self, rows: list[int], start: int, end: int) -> tuple[dict[str, Any], torch.Tensor]:
        device = self.model.device
        places = {row: place for place, row in enumerate(self.rows)}
        kept = torch.tensor([places[row] for row in rows], device=device)
        self.rows = rows
        self.cache.batch_select_indices(kept)
        ids = [self.pairs[row].target[:-1][start - 1 : end - 1] for row in rows]
        width = max(map(len, ids))
        self.mask = torch.cat([self.mask[kept], pad_right([[1] * len(one) for one in ids], device, width)], 1)
        first = [len(self.pairs[row].context) + start - 1 for row in rows]
        positions = torch.tensor(first, device=device)[:, None] + torch.arange(width, device=device)
        limit = max(at + len(one) for at, one in zip(first, ids, strict=True)) - 1
        inputs = {
            "input_ids": pad_right(ids, device, width),
            "attention_mask": self.mask,
            "position_ids": positions.clamp(max=limit),
            "past_key_values": self.cache,
            "use_cache": True,
        }
        where = [row * width + place for row, one in enumerate(ids) for place in range(len(one))]
        return inputs, torch.tensor(where, device=device)
