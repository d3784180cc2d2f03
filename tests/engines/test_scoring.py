import pytest
import torch

from davidgen_hf.engines.attention import _by_products, _by_sdpa, attend_in_blocks, attention_forward
from davidgen_hf.engines.local import LocalEngine
from davidgen_hf.engines.scoring import SharedOpening, _head_nll, share_opening
from davidgen_hf.engines.settings import EngineSettings
from davidgen_hf.engines.tokens import TokenPair


@pytest.fixture
def model(tiny_llama):
    return LocalEngine(EngineSettings(model=str(tiny_llama), dtype="float32")).model


def pairs_of(*contexts):
    return [TokenPair(tuple(context), (7, 8)) for context in contexts]


@pytest.mark.parametrize(
    ("contexts", "tokens"),
    [
        (([*range(3, 13), 20, 21], [*range(3, 13), 30], [*range(3, 13), 40, 41, 42]), 10),
        (([*range(3, 13)], [*range(3, 13), 30]), 9),  # a context keeps its last token, which predicts the target
        (([*range(3, 9), 20], [*range(3, 9), 30]), None),  # too short to be worth it
        (([*range(3, 13)], [*range(3, 13)]), None),  # one pair, twice
    ],
)
def test_the_opening_is_what_all_contexts_begin_with(model, contexts, tokens):
    opening = share_opening(model, pairs_of(*contexts))
    assert (opening and opening.tokens) == tokens


@pytest.mark.parametrize(("queries", "before"), [(1, 0), (5, 3), (128, 0), (300, 0), (300, 24), (257, 130)])
def test_blocks_equal_sdpa(queries, before):
    query = torch.randn(2, 3, 2, queries, 8, generator=torch.Generator().manual_seed(0))
    key, value = torch.randn(2, 2, 3, before + queries, 8, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(queries, before + queries, dtype=torch.bool).tril(before)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key[:, :, None], value[:, :, None], attn_mask=mask, scale=1.0
    )
    for attend, size in ((_by_products, 128), (_by_sdpa, 256), (_by_sdpa, 64)):
        torch.testing.assert_close(attend_in_blocks(query, key, value, attend, size), expected)


@pytest.mark.parametrize("has_tiles", [False, True])
@pytest.mark.parametrize("before", [0, 9])
def test_attention_is_the_same_on_every_processor(monkeypatch, has_tiles, before):
    monkeypatch.setattr("davidgen_hf.engines.attention._has_tiles", lambda: has_tiles)
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(2, 6, 150, 8, generator=draw)
    key, value = torch.randn(2, 2, 3, before + 150, 8, generator=draw)
    opening = SharedOpening(before, (key[:1, :, :before],), (value[:1, :, :before],)) if before else None
    whole = [
        torch.cat([states[:1, :, :before].expand(2, -1, -1, -1), states[:, :, before:]], 2) for states in (key, value)
    ]
    module = torch.nn.Module()
    module.layer_idx, module.is_causal, module.num_key_value_groups = 0, True, 2
    got, _ = attention_forward(
        module, query, key[:, :, before:], value[:, :, before:], None, scaling=0.3, opening=opening
    )
    expected = torch.nn.functional.scaled_dot_product_attention(
        query,
        *(states.repeat_interleave(2, 1) for states in whole),
        attn_mask=torch.ones(150, before + 150, dtype=torch.bool).tril(before),
        scale=0.3,
    )
    torch.testing.assert_close(got, expected.transpose(1, 2))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 3e-5), (torch.float32, 3e-6)])
def test_logits_are_not_rounded_whatever_the_weights_are(dtype, tolerance, bias):
    torch.manual_seed(0)
    head = torch.nn.Linear(64, 3000, bias=bias, dtype=dtype).requires_grad_(requires_grad=False)
    hidden, targets = 9 * torch.randn(70, 64).to(dtype), torch.randint(3000, (70,))
    expected = torch.nn.functional.cross_entropy(head.double()(hidden.double()), targets, reduction="none")
    got = _head_nll(head.to(dtype), hidden, targets)
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance)
    assert torch.backends.mkldnn.matmul.fp32_precision == "none"
