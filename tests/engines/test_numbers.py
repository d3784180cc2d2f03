"""Models that compute NaN or infinity, or cannot end a text."""

import logging

import pytest
import torch
from transformers import AutoModelForCausalLM

from davidgen_hf.engines import EngineSettings, Sampling
from davidgen_hf.engines.base import check_numbers, warn_of_endless_texts
from davidgen_hf.engines.local import LocalEngine
from davidgen_hf.engines.sampling import NOT_A_NUMBER, choose_tokens
from davidgen_hf.errors import ModelError

SAMPLINGS = [Sampling(max_new_tokens=4, temperature=0.0), Sampling(max_new_tokens=4)]


@pytest.fixture(scope="module")
def overflowing(tiny_model, tmp_path_factory):
    """A model whose hidden states are finite in float32 and bfloat16, and above 65,504 in float16."""
    from transformers import AutoTokenizer, LlamaConfig

    source = tiny_model(LlamaConfig, num_key_value_heads=2)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.up_proj.weight *= 1e4
            layer.mlp.down_proj.weight *= 1e4
    folder = tmp_path_factory.mktemp("overflowing")
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def break_rows(engine: LocalEngine, token: int) -> None:
    """Let the model compute NaN after every text that holds ``token``."""

    def poison(_module, inputs, output):
        return output.masked_fill((inputs[0] == token).any(-1)[:, None, None], float("nan"))

    engine.model.get_input_embeddings().register_forward_hook(poison)


def test_a_number_type_that_overflows_is_an_error_that_names_the_others(overflowing):
    with pytest.raises(ModelError) as error:
        LocalEngine(EngineSettings(model=str(overflowing), dtype="float16"))
    assert str(error.value) == (
        f"With dtype float16, {str(overflowing)!r} computes only NaN or infinity. Texts and scores need finite "
        "numbers, and float16 holds none above 65,504. Set dtype to bfloat16 or float32; if it is, the weights are "
        "broken."
    )
    [score] = LocalEngine(EngineSettings(model=str(overflowing), dtype="float32")).score(["a"], ["b"])
    assert score.nll > 0


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "drawn"])
def test_a_row_without_numbers_has_no_answer_and_leaves_the_others_alone(tiny_llama, sampling):
    engine = LocalEngine(EngineSettings(model=str(tiny_llama), dtype="float32"))
    prompts, [poison] = ["Who wrote it?", "Z"], engine.tokens.plain(["Z"])[0]
    expected = engine.generate(prompts[:1], 2, sampling)
    scores = engine.score(prompts[:1], ["A woman."])
    break_rows(engine, poison)
    assert engine.generate(prompts, 2, sampling) == [*expected, None]
    found, none = engine.score(prompts, ["A woman."] * 2)
    assert found.nll == pytest.approx(scores[0].nll, rel=1e-5)
    assert none is None


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "drawn"])
def test_no_numbers_at_all_are_an_error(tiny_llama, sampling):
    engine = LocalEngine(EngineSettings(model=str(tiny_llama), dtype="float32"))
    break_rows(engine, engine.tokens.plain(["Z"])[0][0])
    with pytest.raises(ModelError, match=r"With dtype float32, .* computes only NaN or infinity"):
        engine.generate(["Z", "ZZ"], 2, sampling)
    with pytest.raises(ModelError, match="computes only NaN or infinity"):
        engine.score(["Z", "ZZ"], ["x", "x"])
    assert engine.generate([], 2, sampling) == engine.score([], []) == []


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "drawn"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_token_is_chosen_where_the_greatest_logit_is_not_a_number(sampling, value):
    logits = torch.tensor([[0.0, 3.0, 0.0], [value, value, value], [0.0, 1.0, value]])
    chosen = choose_tokens(logits, torch.tensor([0.5] * 3), sampling).tolist()
    assert chosen[:2] == [1, NOT_A_NUMBER]
    assert chosen[2] == (1 if value == float("-inf") else NOT_A_NUMBER)  # a model may rule tokens out


def test_some_answers_are_enough():
    check_numbers([None, 1.0], "m", torch.float16)
    check_numbers([], "m", torch.float16)


def test_a_model_without_an_end_of_text_is_warned_of_once_before_the_work(tiny_llama, caplog):
    warn_of_endless_texts.cache_clear()
    engine = LocalEngine(EngineSettings(model=str(tiny_llama), dtype="float32"))
    engine.generate(["a"], 1, SAMPLINGS[0])
    engine.end_tokens = set()
    engine.generate(["a"], 1, Sampling(max_new_tokens=4, stop="\n"))
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            engine.generate(["a"], 1, SAMPLINGS[0])
    [record] = caplog.records
    assert "has no token that ends a text, so each text will have max_new_tokens=4 tokens" in record.getMessage()
    assert "Set `stop` of the sampling" in record.getMessage()
