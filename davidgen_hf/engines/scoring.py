"""Scoring: the negative log-likelihood of targets given contexts, with logits for the target's positions only."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from davidgen_hf.engines.attention import ATTENTION
from davidgen_hf.engines.prefix import decoder_opening, head_input, output_embeddings, pad_right
from davidgen_hf.engines.tokens import TokenPair

# Logits are made in pieces of at most this size in float32, and a model may copy them a few times.
_LOGITS_BYTES = 128 * 2**20
# On a CPU, the logits of so many tokens of the vocabulary at a time stay in the processor's cache.
_CACHED_VOCABULARY = 1024
# Rows are padded to a multiple of this: on a CPU each new shape compiles its kernels, and keeps them.
_GRID = 16
# Below so many tokens, an opening that all contexts share is not worth its own forward pass.
_MIN_OPENING = 8


@dataclass(frozen=True)
class SharedOpening:
    """The tokens with which all contexts of a call open, such as a template's, and their cache; see ``Opening``."""

    tokens: int
    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]


def share_opening(model: PreTrainedModel, pairs: Sequence[TokenPair]) -> SharedOpening | None:
    """Run the tokens that all contexts have in common, but the last, once; ``None`` where that is not worth it.

    On CUDA it is not: SDPA's kernels are faster than attention in blocks, and want whole rows.
    """
    if len(set(pairs)) < 2 or model.config._attn_implementation != ATTENTION or model.device.type != "cpu":
        return None
    first, last = min(pair.context for pair in pairs), max(pair.context for pair in pairs)
    common = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    common = min(common, len(first) - 1)
    if common < _MIN_OPENING:
        return None
    ids = torch.tensor([first[:common]], device=model.device)
    with head_input(model, lambda hidden: hidden[:, -1:]):
        layers = model(input_ids=ids, use_cache=True).past_key_values.layers
    return SharedOpening(common, tuple(layer.keys for layer in layers), tuple(layer.values for layer in layers))


def target_nll(
    model: PreTrainedModel, pairs: Sequence[TokenPair], opening: SharedOpening | None = None
) -> list[torch.Tensor]:
    """Return the negative log-likelihood of each target's tokens, in nats: ``(tokens of the target,)`` each, float32.

    Args:
        model: A causal or encoder-decoder language model.
        pairs: Token ids of context and target, special tokens included.
        opening: What ``share_opening`` returned for these pairs, or for more than these.
    """
    if model.config.is_encoder_decoder:
        inputs, where = _encoder_inputs(model, pairs)
    else:
        inputs, where = causal_inputs(model, pairs, opening)
    targets = torch.tensor([token for pair in pairs for token in pair.target], device=model.device)
    nll = positions_nll(model, inputs, where, targets)
    return list(nll.split([len(pair.target) for pair in pairs]))


def causal_inputs(
    model: PreTrainedModel, pairs: Sequence[TokenPair], opening: SharedOpening | None
) -> tuple[dict[str, Any], torch.Tensor]:
    """Return the inputs and the positions that predict a target token, as places in the flattened batch.

    Padding comes last, where no token that counts can see it: no mask is needed.
    """
    skipped = opening.tokens if opening else 0
    ids = _pad(model, [[*pair.context[skipped:], *pair.target[:-1]] for pair in pairs], skipped)
    where = [
        row * ids.shape[1] + len(pair.context) - skipped - 1 + offset
        for row, pair in enumerate(pairs)
        for offset in range(len(pair.target))
    ]
    inputs = {"input_ids": ids, "use_cache": False}
    if opening:
        positions = torch.arange(skipped, skipped + ids.shape[1], device=model.device)
        inputs |= {"position_ids": positions[None], "opening": opening}
    return inputs, torch.tensor(where, device=model.device)


def _encoder_inputs(model: PreTrainedModel, pairs: Sequence[TokenPair]) -> tuple[dict[str, Any], torch.Tensor]:
    """Return the inputs of an encoder-decoder and the places that predict a target token; the encoder is masked."""
    ids = _pad(model, [pair.context for pair in pairs])
    mask = _pad(model, [[1] * len(pair.context) for pair in pairs])
    opening = decoder_opening(model)
    decoder_ids = _pad(model, [[*opening, *pair.target[:-1]] for pair in pairs])
    where = [
        row * decoder_ids.shape[1] + len(opening) - 1 + offset
        for row, pair in enumerate(pairs)
        for offset in range(len(pair.target))
    ]
    inputs = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": decoder_ids, "use_cache": False}
    return inputs, torch.tensor(where, device=model.device)


def _pad(model: PreTrainedModel, sequences: Sequence[Sequence[int]], before: int = 0) -> torch.Tensor:
    """Return ids, ``(len(sequences), length)``: a multiple of ``_GRID`` where the model's positions allow it."""
    positions = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None) or sys.maxsize
    longest = max(map(len, sequences))
    length = max(longest, min(-(-longest // _GRID) * _GRID, positions - before))
    return pad_right(sequences, model.device, length)


def positions_nll(
    model: PreTrainedModel, inputs: dict[str, Any], where: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return the negative log-likelihood of each target token, ``(tokens,)``, float32.

    The logits of one position come with the forward pass. Where they are what the head alone makes of its hidden
    state, the head alone makes those of the others. Else they come with passes over one position, whose hidden state
    is exchanged for theirs: whatever a model does to its logits is then done.
    """
    hidden: list[torch.Tensor] = []

    def first_position(states: torch.Tensor) -> torch.Tensor:
        hidden.append(states.flatten(0, 1)[where])
        return hidden[0][None, :1]

    with head_input(model, first_position):
        logits = model(**inputs).logits[0]
    head, on_cpu = output_embeddings(model), logits.device.type == "cpu"
    alone = head if type(head) is torch.nn.Linear and torch.equal(head(hidden[0][None, :1])[0], logits) else None
    if alone is not None and on_cpu:
        return _head_nll(alone, hidden[0], targets)
    one_position = {name: ids[:1, :1] for name, ids in inputs.items() if name.endswith(("input_ids", "mask"))}
    size = max(1, _LOGITS_BYTES // (4 * logits.shape[-1]))
    nll = []
    for states, tokens in zip(hidden[0].split(size), targets.split(size), strict=True):
        if alone is not None:
            logits = alone(states)
        else:
            with head_input(model, partial(_instead, states[None])):
                logits = model(**one_position, use_cache=False).logits[0]
        nll.append(cross_entropy(logits.float(), tokens, reduction="none"))
    return torch.cat(nll)


def _instead(states: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return states


def _head_nll(head: torch.nn.Linear, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the negative log-likelihood of each target token under ``head`` alone, ``(tokens,)``, float32.

    A part of the vocabulary at a time, so that logits stay in the processor's cache, and in float32, whatever the
    weights are: logits rounded to bfloat16 would be the largest error of all.
    """
    states, bias = hidden.float(), torch.zeros(len(head.weight)) if head.bias is None else head.bias.float()
    parts = zip(head.weight.split(_CACHED_VOCABULARY), bias.split(_CACHED_VOCABULARY), strict=True)
    with _native_products(hidden.dtype):
        sums = [torch.addmm(offset, states, weight.float().T).logsumexp(-1) for weight, offset in parts]
    own = (states * head.weight[targets].float()).sum(-1) + bias[targets]
    return torch.stack(sums).logsumexp(0) - own


@contextmanager
def _native_products(dtype: torch.dtype) -> Iterator[None]:
    """Let a CPU that multiplies bfloat16 do so where float32 factors came from it, which loses nothing."""
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16" if dtype == torch.bfloat16 else before
    try:
        yield
    finally:
        matmul.fp32_precision = before
