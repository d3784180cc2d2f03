"""Decoding: the candidates of a batch of prompts step by step, and finished ones leave the batch."""

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from davidgen_hf.engines.base import Sampling
from davidgen_hf.engines.prefix import CopiedPrefix
from davidgen_hf.engines.sampling import NOT_A_NUMBER, choose_tokens, draw_uniforms
from davidgen_hf.engines.shared_prefix import SharedPrefix


def decode(
    prefix: CopiedPrefix | SharedPrefix,
    prompts: list[str],
    tokenizer: PreTrainedTokenizerBase,
    ends: set[int],
    sampling: Sampling,
) -> list[list[str] | None]:
    """Write the candidates of each prompt in one batch.

    Args:
        prefix: The prompts, prefilled for n candidates each.
        prompts: Their texts, which seed the sampler.
        tokenizer: The model's own.
        ends: Ids of the tokens that end a text.
        sampling: How candidates are drawn, and where they stop.

    Returns:
        Texts, ``(len(prompts), n)``; ``None`` for a prompt after which the model computed no finite number.
    """
    logits = prefix.first_logits
    n = len(logits) // len(prompts)
    uniforms = torch.cat([draw_uniforms(prompt, n, sampling) for prompt in prompts]).to(logits.device)
    written: list[list[int]] = [[] for _ in logits]
    rows = list(range(len(written)))
    failed: set[int] = set()  # prompts
    for position in range(sampling.max_new_tokens):
        chosen = choose_tokens(logits, uniforms[rows, position], sampling)
        going = []
        for place, (row, token) in enumerate(zip(rows, chosen.tolist(), strict=True)):
            if token in ends:
                continue
            if token == NOT_A_NUMBER:
                failed.add(row // n)
                continue
            written[row].append(token)
            text = str(tokenizer.decode(written[row])) if sampling.stop else ""
            if not any(stop in text for stop in sampling.stop):
                going.append(place)
        if not going or position + 1 == sampling.max_new_tokens:
            break
        if len(going) < len(rows):
            kept = torch.tensor(going, device=logits.device)
            prefix.keep(kept)
            chosen, rows = chosen[kept], [rows[place] for place in going]
        logits = prefix.step(chosen)
    texts = [_cut(text, sampling.stop) for text in tokenizer.batch_decode(written, skip_special_tokens=True)]
    return [None if row in failed else texts[row * n : row * n + n] for row in range(len(prompts))]


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Return the ids that end a text, of the generation settings and of the tokenizer."""
    configured = model.generation_config.eos_token_id
    several = configured if isinstance(configured, list) else [configured]
    return {token for token in (*several, tokenizer.eos_token_id) if token is not None}


def _cut(text: str, stops: tuple[str, ...]) -> str:
    """Return ``text`` up to the stop that comes first."""
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]
