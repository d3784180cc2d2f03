"""Scores of the candidates that guards accept, on the same tokens of the output for all candidates of a row."""

import math

import pytest
from datasets import Dataset

from davidgen_hf import prompts
from davidgen_hf.corpus.identity import stage_identity
from davidgen_hf.engines import EngineSettings, Score, load_engine
from davidgen_hf.engines.elimination import Elimination
from davidgen_hf.errors import SettingError
from davidgen_hf.methods import Stage
from davidgen_hf.processors import ScoreCandidates, SelectInstruction, apply
from davidgen_hf.processors import score as score_module
from davidgen_hf.recipe import load_recipe
from davidgen_hf.schema import empty_candidate

OUTPUT = "The bridge was built in 1849."


def one_row(*instructions: str, **fields) -> Dataset:
    candidates = [empty_candidate(instruction=text, input="", **fields) for text in instructions]
    return Dataset.from_dict({"output": [OUTPUT], "candidates": [candidates]})


def test_a_score_is_that_of_the_output_given_the_followers_prompt(tiny_llama):
    settings = EngineSettings(model=str(tiny_llama), dtype="float32")
    scored = apply(ScoreCandidates(settings), one_row("Who built it?", "When?"))["candidates"][0]
    contexts = [prompts.render_follower("Who built it?"), prompts.render_follower("When?")]
    expected = load_engine(settings).score(contexts, [OUTPUT, OUTPUT])
    assert [one["nll"] for one in scored] == pytest.approx([score.nll for score in expected], rel=1e-5)
    assert [one["n_tokens"] for one in scored] == [score.n_tokens for score in expected]


def test_a_rejected_candidate_is_not_scored():
    row = one_row("Who?", reject_reason="empty")
    assert apply(ScoreCandidates(EngineSettings(kind="echo")), row)["candidates"][0][0]["nll"] is None


def test_all_candidates_of_a_row_are_scored_on_the_same_span(tiny_llama):
    settings = EngineSettings(model=str(tiny_llama), dtype="float32", max_length=160)
    engine = load_engine(settings)
    fits = "Who built it?"
    tight = fits
    while engine.tokens_left([prompts.render_follower(tight + " why")])[0] >= 3:
        tight += " why"
    huge = "why " * 200
    scored = apply(ScoreCandidates(settings), one_row(fits, tight, fits + "?", huge))["candidates"][0]
    room = engine.tokens_left([prompts.render_follower(tight)])[0]
    assert 3 <= room < engine.count_tokens([OUTPUT])[0]
    assert [one["n_tokens"] for one in scored] == [room, room, room, None]
    assert [one["reject_reason"] for one in scored] == [None, None, None, "over_long"]


class FailingEngine:
    """An engine that gives up on every second pair."""

    def tokens_left(self, contexts):
        return [100] * len(contexts)

    def score(self, contexts, targets, max_target_tokens=None):
        return [Score(2.0, 2) if place % 2 else None for place in range(len(contexts))]


def test_a_pair_on_which_the_engine_failed_is_marked(monkeypatch):
    monkeypatch.setattr(score_module, "load_engine", lambda _: FailingEngine())
    scored = ScoreCandidates()(one_row("a", "b")[:])["candidates"][0]
    assert [one["reject_reason"] for one in scored] == ["engine_failed", None]
    assert math.exp(scored[1]["nll"] / scored[1]["n_tokens"]) == pytest.approx(math.e)


class OddEngine(FailingEngine):
    """An engine whose numbers are none, for the first pair or without a context."""

    def __init__(self, value):
        self.value = value

    def score(self, contexts, targets, max_target_tokens=None):
        return [self.value if place == 0 or not context else Score(2.0, 2) for place, context in enumerate(contexts)]


@pytest.mark.parametrize("value", [None, Score(math.nan, 2), Score(math.inf, 2)])
def test_a_score_that_is_not_a_number_is_marked(monkeypatch, value):
    monkeypatch.setattr(score_module, "load_engine", lambda _: OddEngine(value))
    scored = ScoreCandidates()(one_row("a", "b")[:])["candidates"][0]
    assert [(one["reject_reason"], one["nll"]) for one in scored] == [("engine_failed", None), (None, 2.0)]


@pytest.mark.parametrize("value", [None, Score(math.nan, 2)])
def test_a_row_without_its_unconditional_score_cannot_win(monkeypatch, value):
    monkeypatch.setattr(score_module, "load_engine", lambda _: OddEngine(value))
    row = ScoreCandidates(unconditional=True)(one_row("a", "b")[:])
    assert row["unconditional_nll"] == [None]
    assert [one["reject_reason"] for one in row["candidates"][0]] == ["engine_failed"] * 2


def test_tokens_and_the_unconditional_score_are_kept_on_request(tiny_llama):
    settings = EngineSettings(model=str(tiny_llama), dtype="float32")
    plain = apply(ScoreCandidates(settings), one_row("Who built it?", "When?"))[0]
    assert (plain["unconditional_nll"], plain["token_ends"], plain["candidates"][0]["token_nll"]) == (None,) * 3
    row = apply(ScoreCandidates(settings, unconditional=True, token_nll=True), one_row("Who built it?", "When?"))[0]
    engine = load_engine(settings)
    assert row["unconditional_nll"] == pytest.approx(engine.score([""], [OUTPUT])[0].nll, rel=1e-5)
    assert row["token_ends"][-1] == len(OUTPUT)
    assert len(row["token_ends"]) == engine.count_tokens([OUTPUT])[0]
    for one, other in zip(row["candidates"], plain["candidates"], strict=True):
        assert sum(one["token_nll"]) == pytest.approx(one["nll"], rel=1e-5)
        assert one["nll"] == pytest.approx(other["nll"], rel=1e-5)


def test_columns_of_an_output_cover_the_same_tokens_as_its_candidates(tiny_llama):
    settings = EngineSettings(model=str(tiny_llama), dtype="float32", max_length=160)
    engine = load_engine(settings)
    tight = "Who built it?"
    while engine.tokens_left([prompts.render_follower(tight + " why")])[0] >= 3:
        tight += " why"
    row = apply(ScoreCandidates(settings, unconditional=True, token_nll=True), one_row("Who?", tight))[0]
    span = row["candidates"][0]["n_tokens"]
    assert span < engine.count_tokens([OUTPUT])[0]
    assert len(row["token_ends"]) == len(row["candidates"][1]["token_nll"]) == span
    alone = engine.score([""], [OUTPUT], max_target_tokens=[span])[0]
    assert row["unconditional_nll"] == pytest.approx(alone.nll, rel=1e-5)


def test_only_the_first_tokens_are_scored_on_request(tiny_llama):
    settings = EngineSettings(model=str(tiny_llama), dtype="float32")
    whole = apply(ScoreCandidates(settings, token_nll=True), one_row("Who built it?", "When?"))[0]
    first = apply(ScoreCandidates(settings, token_nll=True, max_target_tokens=3), one_row("Who built it?", "When?"))[0]
    assert first["token_ends"] == whole["token_ends"][:3]
    for one, other in zip(first["candidates"], whole["candidates"], strict=True):
        assert one["n_tokens"] == 3
        assert one["token_nll"] == pytest.approx(other["token_nll"][:3], rel=1e-5)
    every = ScoreCandidates(settings, max_target_tokens=10_000)
    assert [one["n_tokens"] for one in apply(every, one_row("Who?"))[0]["candidates"]] == [len(whole["token_ends"])]
    with pytest.raises(SettingError, match="max_target_tokens must be at least 1, got 0"):
        ScoreCandidates(max_target_tokens=0)


def test_a_row_without_candidates_left_has_neither():
    step = ScoreCandidates(EngineSettings(kind="echo"), unconditional=True, token_nll=True)
    row = apply(step, one_row("Who?", reject_reason="empty"))[0]
    assert (row["unconditional_nll"], row["token_ends"]) == (None, None)


@pytest.mark.parametrize("first_tokens", [3, 8])
def test_elimination_drops_those_far_behind_and_scores_the_rest_as_ever(tiny_llama, first_tokens):
    settings = EngineSettings(model=str(tiny_llama), dtype="float32")
    asked = ("Who built it?", "When?", "Name the river that runs by it, please.", "Why was it built?", "When?")
    rows = one_row(*asked)
    whole = apply(ScoreCandidates(settings, token_nll=True), rows)[0]["candidates"]
    never = ScoreCandidates(settings, token_nll=True, eliminate=Elimination(first_tokens, 1e6))
    for one, other in zip(apply(never, rows)[0]["candidates"], whole, strict=True):
        assert (one["reject_reason"], one["n_tokens"]) == (None, other["n_tokens"])
        assert one["token_nll"] == pytest.approx(other["token_nll"], rel=1e-4, abs=1e-4)
    at_once = ScoreCandidates(settings, token_nll=True, eliminate=Elimination(first_tokens, 0.0))
    row = apply(at_once, rows)[0]
    prefixes = [sum(one["token_nll"][:first_tokens]) for one in whole]
    for place, (one, other) in enumerate(zip(row["candidates"], whole, strict=True)):
        if place == prefixes.index(min(prefixes)):
            assert one["nll"] == pytest.approx(other["nll"], rel=1e-4)
            assert one["reject_reason"] is None
        else:
            assert (one["reject_reason"], one["n_tokens"], one["token_nll"]) == ("eliminated", first_tokens, None)
            assert one["nll"] == pytest.approx(prefixes[place], rel=1e-4)
    assert len(SelectInstruction().rank(row)) == 1
    assert stage_identity(Stage("s", (ScoreCandidates(settings),))) != stage_identity(Stage("s", (never,)))


def test_elimination_is_refused_where_it_cannot_be_or_all_scores_are_needed():
    with pytest.raises(SettingError, match=r"engine is of kind 'server'\. Only transformers and vllm score by elim"):
        ScoreCandidates(EngineSettings("server", "m", base_url="http://localhost:1/v1"), eliminate=Elimination())
    with pytest.raises(SettingError, match=r"first_tokens must be at least 1, got 0\."):
        Elimination(first_tokens=0)
    for needed in ("choose=worst", "min_margin=0.1", "keep=2", "mask_copied_words=4"):
        overrides = ["score.eliminate={first_tokens: 32}", f"select.{needed}", "score.token_nll=true"]
        with pytest.raises(SettingError, match=r"score\.eliminate drops candidates by their nll, and select needs"):
            load_recipe("demo", [f"corpus.{one}" for one in overrides])
