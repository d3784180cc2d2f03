"""Scoring: the negative log-likelihood of targets given contexts, with logits for the target's positions only."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import log_softmax
from transformers import PreTrainedModel

from davidgen_hf.engines.attention import ATTENTION
from davidgen_hf.engines.prefix import head_input, pad_right
from davidgen_hf.engines.tokens import TokenPair

# Logits are made in pieces of at most this size, whatever the vocabulary, and a model may copy them a few times.
_LOGITS_BYTES = 128 * 2**20
# On a CPU, the softmax over so many logits at a time stays in the processor's cache.
_CACHED_LOGITS = 2**18
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
        inputs, where = _causal_inputs(model, pairs, opening)
    targets = torch.tensor([token for pair in pairs for token in pair.target], device=model.device)
    nll = _positions_nll(model, inputs, where, targets)
    return list(nll.split([len(pair.target) for pair in pairs]))


def _causal_inputs(
    model: PreTrainedModel, pairs: Sequence[TokenPair], opening: SharedOpening | None
) -> tuple[dict, torch.Tensor]:
    """Return the inputs and the positions that predict a target token, as places in the flattened batch.

    Padding comes last, where no token that counts can see it: no mask is needed.
    """
    skipped = opening.tokens if opening else 0
    ids = pad_right([[*pair.context[skipped:], *pair.target[:-1]] for pair in pairs], model.device)
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


def _encoder_inputs(model: PreTrainedModel, pairs: Sequence[TokenPair]) -> tuple[dict, torch.Tensor]:
    """Return the inputs of an encoder-decoder and the places that predict a target token; the encoder is masked."""
    ids = pad_right([pair.context for pair in pairs], model.device)
    mask = pad_right([[1] * len(pair.context) for pair in pairs], model.device)
    start = model.generation_config.decoder_start_token_id
    decoder_ids = pad_right([[start, *pair.target[:-1]] for pair in pairs], model.device)
    where = [
        row * decoder_ids.shape[1] + offset for row, pair in enumerate(pairs) for offset in range(len(pair.target))
    ]
    inputs = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": decoder_ids, "use_cache": False}
    return inputs, torch.tensor(where, device=model.device)


def _positions_nll(model: PreTrainedModel, inputs: dict, where: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the negative log-likelihood of each target token, ``(tokens,)``, float32.

    The first piece of logits comes with the forward pass. Each further piece comes with a pass over a single position,
    whose hidden state is exchanged for those of the piece: whatever a model does to its logits is then done.
    """
    vocabulary = model.config.get_text_config(decoder=True).vocab_size
    size = max(1, _LOGITS_BYTES // (vocabulary * model.dtype.itemsize))
    hidden: list[torch.Tensor] = []

    def first_piece(states: torch.Tensor) -> torch.Tensor:
        hidden.append(states.flatten(0, 1)[where])
        return hidden[0][None, :size]

    with head_input(model, first_piece):
        logits = model(**inputs).logits[0]
    nll = [_token_nll(logits, targets[:size])]
    one_position = {name: ids[:1, :1] for name, ids in inputs.items() if name.endswith(("input_ids", "mask"))}
    for start in range(size, len(targets), size):
        piece = slice(start, start + size)
        with head_input(model, lambda _states, piece=piece: hidden[0][None, piece]):
            logits = model(**one_position, use_cache=False).logits[0]
        nll.append(_token_nll(logits, targets[piece]))
    return torch.cat(nll)


def _token_nll(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the negative log-likelihood of each row's target, in float32, ``(rows,)``."""
    rows = max(1, _CACHED_LOGITS // logits.shape[1]) if logits.device.type == "cpu" else len(logits)
    parts = zip(logits.split(rows), targets[:, None].split(rows), strict=True)
    return -torch.cat([log_softmax(part, -1, dtype=torch.float32).gather(1, one)[:, 0] for part, one in parts])
