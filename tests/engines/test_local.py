"""The transformers engine against transformers itself, on tiny random models."""

import re

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    Gemma2Config,
    GPT2Config,
    MistralConfig,
)

from davidgen_hf.engines import EngineSettings, Sampling
from davidgen_hf.engines.local import LocalEngine
from davidgen_hf.engines.prefix import CopiedPrefix
from davidgen_hf.engines.shared_prefix import SharedPrefix
from davidgen_hf.errors import InputError, TooLongError

PROMPTS = ["One row", "A column of a dataset has a name and a type", "x", "Return the rows that are kept, and why"]
TARGETS = [" is kept.", "x", " and its features are declared rather than inferred", " by reason"]
GREEDY = Sampling(max_new_tokens=12, temperature=0.0)


@pytest.fixture(scope="module")
def tiny_mistral(tiny_model):
    """A sliding window of 6 tokens, shorter than most prompts."""
    return tiny_model(MistralConfig, num_key_value_heads=2, sliding_window=6)


@pytest.fixture(scope="module")
def tiny_gemma2(tiny_model):
    """Full and sliding layers in turn, and soft-capped scores and logits."""
    return tiny_model(
        Gemma2Config,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=6,
        attn_logit_softcapping=5.0,
        final_logit_softcapping=3.0,
    )


@pytest.fixture(scope="module")
def tiny_gpt2(tiny_model):
    """Learned positions, 128 of them."""
    return tiny_model(GPT2Config, max_position_embeddings=128)


@pytest.fixture(params=["tiny_llama", "tiny_mistral", "tiny_gemma2", "tiny_gpt2", "tiny_t5"])
def folder(request):
    return request.getfixturevalue(request.param)


def load(folder, **settings) -> LocalEngine:
    return LocalEngine(EngineSettings(model=str(folder), dtype="float32", **settings))


def load_reference(folder):
    auto = AutoModelForSeq2SeqLM if "t5" in str(folder) else AutoModelForCausalLM
    return auto.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)


@torch.inference_mode()
def naive_nll(folder, context: str, target: str) -> float:
    """Full logits of one pair, by the book."""
    model, tokenizer = load_reference(folder)
    context_ids = tokenizer(context, return_tensors="pt").input_ids
    target_ids = tokenizer(target, add_special_tokens=False, return_tensors="pt").input_ids
    if model.config.is_encoder_decoder:
        logits = model(input_ids=context_ids, labels=target_ids).logits[0]
    else:
        logits = model(torch.cat([context_ids, target_ids], 1)).logits[0, context_ids.shape[1] - 1 : -1]
    return -logits.log_softmax(-1).gather(1, target_ids.T).sum().item()


def test_score_equals_full_logits(folder):
    scores = load(folder).score(PROMPTS, TARGETS)
    expected = [naive_nll(folder, context, target) for context, target in zip(PROMPTS, TARGETS, strict=True)]
    assert [score.nll for score in scores] == pytest.approx(expected, rel=1e-5)


def test_score_equals_full_logits_where_all_contexts_open_alike(folder):
    contexts = ["Below is an instruction that describes a task. " + prompt for prompt in PROMPTS]
    scores = load(folder).score(contexts, TARGETS)
    expected = [naive_nll(folder, context, target) for context, target in zip(contexts, TARGETS, strict=True)]
    assert [score.nll for score in scores] == pytest.approx(expected, rel=1e-5)


def test_score_counts_the_tokens_of_the_target_alone(folder):
    engine = load(folder)
    assert [score.n_tokens for score in engine.score(PROMPTS, TARGETS)] == engine.count_tokens(TARGETS)


@pytest.mark.parametrize("pieces_of", [1, 3])
def test_score_is_the_same_in_small_pieces_of_logits(folder, monkeypatch, pieces_of):
    expected = load(folder).score(PROMPTS, TARGETS)
    monkeypatch.setattr("davidgen_hf.engines.scoring._LOGITS_BYTES", pieces_of * 400 * 4)
    monkeypatch.setattr("davidgen_hf.engines.scoring._CACHED_VOCABULARY", 7 * pieces_of)
    for got, want in zip(load(folder).score(PROMPTS, TARGETS), expected, strict=True):
        assert got.nll == pytest.approx(want.nll, rel=1e-5)


def test_score_does_not_depend_on_the_batch(folder):
    engine = load(folder)
    together = engine.score(PROMPTS, TARGETS)
    alone = [engine.score([context], [target])[0] for context, target in zip(PROMPTS, TARGETS, strict=True)]
    assert [score.nll for score in together] == pytest.approx([score.nll for score in alone], rel=1e-5)


def test_score_up_to_the_last_position_of_the_model(folder):
    engine = load(folder)
    last = engine.max_length or 140
    contexts = [f"Below is an instruction that describes a task. {word}" for word in ("one", "another")]
    room = min(engine.tokens_left(contexts)) if engine.max_length else last
    target = engine.tokenizer.decode(engine.tokenizer("row " * last, add_special_tokens=False).input_ids[: room - 1])
    for score, context in zip(engine.score(contexts, [target] * 2), contexts, strict=True):
        assert score.nll == pytest.approx(naive_nll(folder, context, target), rel=1e-5)


def test_score_of_a_span_counts_its_first_tokens_only(tiny_llama):
    engine = load(tiny_llama)
    whole, first, one = engine.score([PROMPTS[0]] * 3, [TARGETS[2]] * 3, max_target_tokens=[999, 3, 1])
    assert (first.n_tokens, one.n_tokens) == (3, 1)
    assert 0 < one.nll < first.nll < whole.nll


def test_equal_pairs_are_run_once(tiny_llama):
    engine = load(tiny_llama)
    rows = []
    engine.model.register_forward_pre_hook(
        lambda _module, _args, kwargs: rows.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    scores = engine.score(["a", "b", "a", "a"], ["x y"] * 4)
    assert sum(rows) == 2
    assert scores[0] == scores[2] == scores[3] != scores[1]


def test_an_empty_context_still_predicts_the_first_token(folder):
    assert load(folder).score([""], ["x"])[0].nll > 0


def test_empty_lists_give_empty_lists(tiny_llama):
    engine = load(tiny_llama)
    assert engine.generate([], 4, Sampling()) == engine.score([], []) == engine.tokens_left([]) == []


@pytest.mark.parametrize(("target", "span"), [("", 9), ("x", 0), ("x", -3)])
def test_nothing_to_score_is_an_error_that_names_the_row(tiny_llama, target, span):
    with pytest.raises(InputError, match=r"Row 1 has no target token to score: .* Drop such rows"):
        load(tiny_llama).score(["a", "b"], ["x", target], max_target_tokens=[9, span])


def test_a_pair_that_does_not_fit_is_an_error_that_names_the_row(tiny_llama):
    engine = load(tiny_llama, max_length=20)
    with pytest.raises(TooLongError, match=r"Row 1 needs \d+ \+ 1 tokens, but .* takes 20\. .*tokens_left"):
        engine.score(["a", "a long context " * 9], ["x", "x"])


def test_a_prompt_that_leaves_no_room_is_an_error_that_names_the_row(tiny_llama):
    with pytest.raises(TooLongError, match=r"Row 1 needs \d+ \+ 12 tokens, but .* takes 20\."):
        load(tiny_llama, max_length=20).generate(["a", "a long prompt " * 9], 1, GREEDY)


def test_long_and_short_contexts_are_scored_on_the_same_span(tiny_llama):
    engine = load(tiny_llama, max_length=40)
    contexts, target = ["a long context indeed " * 2, "b", "c", "d"], "one two three four five " * 2
    span = min(engine.tokens_left(contexts))
    scores = engine.score(contexts, [target] * 4, max_target_tokens=[span] * 4)
    assert {score.n_tokens for score in scores} == {span}
    assert span < engine.count_tokens([target])[0]


def test_greedy_equals_generate(folder):
    model, tokenizer = load_reference(folder)
    expected = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        written = model.generate(ids, max_new_tokens=12, do_sample=False)[0]
        start = 1 if model.config.is_encoder_decoder else ids.shape[1]
        expected.append([tokenizer.decode(written[start:], skip_special_tokens=True)] * 2)
    engine = load(folder)
    assert engine.generate(PROMPTS, 2, GREEDY) == expected


def test_candidates_depend_on_seed_prompt_and_number_alone(folder):
    engine = load(folder)
    together = engine.generate(PROMPTS, 3, Sampling(max_new_tokens=10, seed=5))
    alone = [engine.generate([prompt], 3, Sampling(max_new_tokens=10, seed=5))[0] for prompt in reversed(PROMPTS)]
    assert together == alone[::-1]
    assert together != engine.generate(PROMPTS, 3, Sampling(max_new_tokens=10, seed=6))
    assert all(len(set(candidates)) > 1 for candidates in together)


def test_a_prefill_in_parts_writes_the_same(tiny_llama, monkeypatch):
    expected = load(tiny_llama).generate(PROMPTS, 3, Sampling(max_new_tokens=10))
    monkeypatch.setattr("davidgen_hf.engines.shared_prefix.CPU_PASS_TOKENS", 30)
    assert load(tiny_llama).generate(PROMPTS, 3, Sampling(max_new_tokens=10)) == expected


def test_the_first_candidates_are_the_same_for_any_n(tiny_llama):
    engine = load(tiny_llama)
    four = engine.generate(PROMPTS, 4, Sampling(max_new_tokens=10))
    assert [candidates[:2] for candidates in four] == engine.generate(PROMPTS, 2, Sampling(max_new_tokens=10))


def test_a_candidate_ends_before_the_stop_text_and_leaves_the_others_alone(folder):
    engine = load(folder)
    whole = engine.generate(PROMPTS, 3, Sampling(max_new_tokens=30, seed=1))
    stops = ("e", whole[0][0][6:8], "\0 never")
    stopped = engine.generate(PROMPTS, 3, Sampling(max_new_tokens=30, seed=1, stop=stops))
    cut = [[re.split("|".join(map(re.escape, stops)), text)[0] for text in texts] for texts in whole]
    assert stopped == cut
    assert len({len(text) for texts in cut for text in texts}) > 3


def test_max_length_takes_the_models_own_limit(tiny_llama, tiny_gpt2, tiny_t5):
    assert [load(folder).max_length for folder in (tiny_llama, tiny_gpt2, tiny_t5)] == [512, 128, None]


def test_tokens_left_takes_off_the_special_tokens(tiny_llama):
    engine = load(tiny_llama, max_length=20)
    (count,) = engine.count_tokens(["x y"])
    assert engine.tokens_left(["x y", ""]) == [20 - 1 - count, 19]


def test_prefixes_are_shared_where_attention_is_full(folder):
    shares = "llama" in str(folder) or "gpt2" in str(folder)
    assert load(folder)._prefix_class is (SharedPrefix if shares else CopiedPrefix)


def test_token_ends_cut_the_text_as_the_score_does(tiny_llama):
    engine = LocalEngine(EngineSettings(model=str(tiny_llama), dtype="float32"))
    text = "Zürich lies by the lake, 黑豹."
    (ends,) = engine.token_ends([text])
    (score,) = engine.score(["Where?"], [text])
    assert len(ends) == score.n_tokens == len(score.token_nll)
    assert sum(score.token_nll) == pytest.approx(score.nll, rel=1e-5)
    assert (ends[-1], ends) == (len(text), sorted(ends))
    assert engine.token_ends([]) == []
