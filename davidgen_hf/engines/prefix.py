"""Decoding K candidates after one prefill of their prompt, by whatever means the model allows."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

PAD = 0  # any id will do: padding is masked, or comes after all that counts


@contextmanager
def head_input(model: PreTrainedModel, select: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Let the output embeddings see ``select(hidden)`` in place of the hidden states, ``(batch, length, size)``.

    Logits are then computed for the positions that are wanted and no others, together with whatever the model does to
    them afterwards (soft capping, scaling). ``select`` must return a tensor of three dimensions too.
    """
    hook = output_embeddings(model).register_forward_pre_hook(lambda _module, inputs: (select(inputs[0]), *inputs[1:]))
    try:
        yield
    finally:
        hook.remove()


def output_embeddings(model: PreTrainedModel) -> torch.nn.Module:
    """Return the layer that turns hidden states into logits."""
    head: torch.nn.Module = model.get_output_embeddings()
    return head


def last_position(hidden: torch.Tensor) -> torch.Tensor:
    """Return the hidden state of each row's last position, ``(batch, 1, size)``."""
    return hidden[:, -1:]


def decoder_opening(model: PreTrainedModel) -> list[int]:
    """Return the ids before the first token that an encoder-decoder chooses: its start, and a token forced after it.

    BART's published configurations force ``<s>``, and multilingual models the language.
    """
    config = model.generation_config
    return [one for one in (config.decoder_start_token_id, config.forced_bos_token_id) if one is not None]


class CopiedPrefix:
    """The prompts' cache, repeated ``n`` times: works for every model whose cache can be repeated.

    Args:
        model: A causal or encoder-decoder language model.
        prompts: Token ids of each prompt, special tokens included.
        n: Candidates of each prompt.
        max_new_tokens: Longest candidate; the cache grows as it must.
    """

    def __init__(self, model: PreTrainedModel, prompts: list[list[int]], n: int, max_new_tokens: int) -> None:
        self.model = model
        ids, self.mask = _pad_left(prompts, model.device)
        inputs = {"attention_mask": self.mask, "use_cache": True}
        if model.config.is_encoder_decoder:
            start = torch.tensor(decoder_opening(model), device=model.device).expand(len(ids), -1)
            encoded = model.get_encoder()(input_ids=ids, attention_mask=self.mask)
            inputs |= {"encoder_outputs": encoded, "decoder_input_ids": start}
            self.encoded = encoded.last_hidden_state.repeat_interleave(n, 0)
        else:
            self.position = self.mask.sum(-1, keepdim=True).repeat_interleave(n, 0)
            inputs |= {"input_ids": ids, "position_ids": (self.mask.cumsum(-1) - 1).clamp(min=0)}
        with head_input(model, last_position):
            outputs = model(**inputs)
        self.cache = outputs.past_key_values
        self.cache.batch_repeat_interleave(n)
        self.mask = self.mask.repeat_interleave(n, 0)
        self.first_logits = outputs.logits[:, -1].repeat_interleave(n, 0)

    def keep(self, rows: torch.Tensor) -> None:
        """Let all rows but ``rows`` leave the batch."""
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]
        if self.model.config.is_encoder_decoder:
            self.encoded = self.encoded[rows]
        else:
            self.position = self.position[rows]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token to each row, ``(rows,)``, and return the logits of the next, ``(rows, vocabulary)``."""
        inputs = {"past_key_values": self.cache, "use_cache": True}
        if self.model.config.is_encoder_decoder:
            inputs |= {"encoder_outputs": (self.encoded,), "decoder_input_ids": tokens[:, None]}
        else:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], -1)
            inputs |= {"input_ids": tokens[:, None], "position_ids": self.position}
            self.position = self.position + 1
        logits: torch.Tensor = self.model(attention_mask=self.mask, **inputs).logits
        return logits[:, -1]


def _pad_left(sequences: list[list[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and attention mask, both ``(len(sequences), longest)``."""
    longest = max(map(len, sequences))
    ids = [[PAD] * (longest - len(sequence)) + sequence for sequence in sequences]
    mask = [[0] * (longest - len(sequence)) + [1] * len(sequence) for sequence in sequences]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def pad_right(sequences: Sequence[Sequence[int]], device: torch.device, length: int = 0) -> torch.Tensor:
    """Return ids, ``(len(sequences), length)``, or as long as the longest."""
    length = max(length, *map(len, sequences))
    return torch.tensor([[*sequence, *[PAD] * (length - len(sequence))] for sequence in sequences], device=device)
