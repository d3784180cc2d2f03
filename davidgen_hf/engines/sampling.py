"""Drawing tokens so that a candidate depends on its seed, its prompt and its number, not on the rest of the batch."""

import hashlib

import torch

from davidgen_hf.engines.base import Sampling

NOT_A_NUMBER = -1  # in place of a token


def draw_uniforms(prompt: str, n: int, sampling: Sampling) -> torch.Tensor:
    """Return the random numbers of a prompt's candidates, in [0, 1), ``(n, max_new_tokens)``, float64, on the CPU."""
    return torch.stack([_uniforms(prompt, number, sampling) for number in range(n)])


def _uniforms(prompt: str, number: int, sampling: Sampling) -> torch.Tensor:
    key = repr((sampling.seed, number, prompt)).encode("utf-8", "surrogatepass")
    seed = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big", signed=True)
    return torch.rand(sampling.max_new_tokens, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def choose_tokens(logits: torch.Tensor, uniforms: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Choose the next token of each row.

    Temperature, top-k and top-p are applied in that order, as in ``transformers``; what is left is drawn by inverting
    its cumulative distribution, the likeliest token first.

    Args:
        logits: ``(rows, vocabulary)``.
        uniforms: One random number per row, ``(rows,)``; not used where the temperature is 0.
        sampling: Temperature, top_k and top_p.

    Returns:
        Token ids, ``(rows,)``; ``NOT_A_NUMBER`` for a row whose greatest logit is not a finite number.
    """
    if sampling.temperature == 0:
        greatest, chosen = logits.max(-1)
        return chosen.masked_fill(~greatest.isfinite(), NOT_A_NUMBER)
    kept = min(sampling.top_k or logits.shape[-1], logits.shape[-1])
    values, tokens = logits.topk(kept)
    cumulative = (values.double() / sampling.temperature).softmax(-1).cumsum(-1)
    # The nucleus ends with the first token that brings its mass to top_p.
    last = (cumulative < sampling.top_p).sum(-1, keepdim=True).clamp(max=kept - 1)
    wanted = uniforms.unsqueeze(-1) * cumulative.gather(-1, last)
    drawn = torch.searchsorted(cumulative, wanted, right=True).minimum(last)
    # Of NaN and numbers, topk takes NaN for the greatest.
    return tokens.gather(-1, drawn).squeeze(-1).masked_fill(~values[:, 0].isfinite(), NOT_A_NUMBER)
