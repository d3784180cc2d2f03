"""The lowest perplexity wins; rows without a candidate are dropped; ties and margins are defined."""

import math

import pytest
from datasets import Dataset, Features

from davidgen_hf import prompts
from davidgen_hf.errors import MissingColumnsError, SettingError
from davidgen_hf.processors import SelectInstruction, apply
from davidgen_hf.schema import empty_candidate


def rows(*nlls: float | None, reject_reason: str | None = None) -> Dataset:
    candidates = [
        empty_candidate(instruction=f"i{place}", input="", nll=nll, n_tokens=4, reject_reason=reject_reason)
        for place, nll in enumerate(nlls)
    ]
    return Dataset.from_dict({"output": ["out"], "candidates": [candidates]})


def test_the_lowest_perplexity_wins():
    pair = apply(SelectInstruction(), rows(8.0, 4.0, 6.0))[0]
    assert (pair["instruction"], pair["input"], pair["completion"]) == ("i1", "", "out")
    assert pair["prompt"] == prompts.render_follower("i1")
    assert (pair["perplexity"], pair["margin"]) == (pytest.approx(math.e), pytest.approx(0.5))


def test_the_first_of_equal_candidates_wins():
    assert apply(SelectInstruction(), rows(4.0, 4.0))["instruction"][0] == "i0"


@pytest.mark.parametrize("given", [rows(4.0, 8.0, reject_reason="empty"), rows(None, None), rows()])
def test_a_row_without_a_candidate_is_dropped(given):
    assert apply(SelectInstruction(), given).num_rows == 0


def test_a_rejected_candidate_cannot_win():
    given = rows(4.0, 8.0)[:]
    given["candidates"][0][0]["reject_reason"] = "copies_output"
    pair = SelectInstruction()(given)
    assert (pair["instruction"], pair["margin"]) == (["i1"], [None])


@pytest.mark.parametrize(("min_margin", "kept"), [(0.0, 1), (0.5, 1), (0.51, 0)])
def test_a_minimum_margin_can_be_set(min_margin, kept):
    assert apply(SelectInstruction(min_margin=min_margin), rows(4.0, 6.0)).num_rows == kept


def test_a_negative_margin_is_refused():
    with pytest.raises(SettingError, match=r"min_margin must be at least 0, got -0.1"):
        SelectInstruction(min_margin=-0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask_copied_words": 0}, "mask_copied_words must be at least 1, got 0"),
        ({"min_ifd": 1.0, "max_ifd": 0.5}, "min_ifd must be at most max_ifd, got 1.0 and 0.5"),
    ],
)
def test_bounds_are_checked(settings, message):
    with pytest.raises(SettingError, match=message):
        SelectInstruction(**settings)


def test_the_difficulty_is_the_ratio_of_perplexities():
    given = rows(4.0, 6.0)[:] | {"unconditional_nll": [8.0]}
    assert SelectInstruction()(given)["ifd"] == pytest.approx([math.exp(-1.0)])
    assert SelectInstruction()(rows(4.0)[:])["ifd"] == [None]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"min_ifd": 0.5}, None),
        ({"min_ifd": 0.7}, "outside_ifd"),
        ({"max_ifd": 1.0}, None),
        ({"max_ifd": 0.6}, "outside_ifd"),
        ({"min_ifd": 0.5, "max_ifd": 1.0, "min_margin": 1.0}, "below_margin"),
    ],
)
def test_rows_outside_the_difficulty_range_are_dropped(settings, reason):
    given = rows(4.0, 6.0)[:] | {"unconditional_nll": [6.0]}  # exp(-2 / 4) = 0.61
    row = {name: values[0] for name, values in given.items()}
    assert SelectInstruction(**settings).drop_reason(row) == reason
    assert len(SelectInstruction(**settings)(given)["output"]) == (reason is None)


OUTPUT = "The bridge over the river was built in 1849."
ENDS = [3, 10, 15, 19, 25, 29, 35, 38, 43, 44]


def masked_rows(**token_nll: list[float]) -> dict:
    """One row whose candidates are the names, with an underscore for a blank."""
    candidates = [
        empty_candidate(instruction=text.replace("_", " "), input="", nll=sum(nll), n_tokens=len(ENDS), token_nll=nll)
        for text, nll in token_nll.items()
    ]
    return {"output": [OUTPUT], "candidates": [candidates], "token_ends": [ENDS]}


def test_copied_tokens_gain_nothing():
    """The copy has five cheap tokens, the question has all others cheaper."""
    given = masked_rows(
        Tell_me_about_the_bridge_over_the_river=[0.1] * 5 + [2.0] * 5, When_was_it_made=[2.0] * 5 + [1.0] * 5
    )
    assert SelectInstruction()(given)["instruction"] == ["Tell me about the bridge over the river"]
    pair = SelectInstruction(mask_copied_words=4)(given)
    assert (pair["instruction"], pair["margin"]) == (["When was it made"], [pytest.approx(1.0)])
    assert pair["perplexity"] == [pytest.approx(math.exp(1.5))]  # of the whole output, as ever
    # A run of six words is not there: all tokens count again.
    assert SelectInstruction(mask_copied_words=6)(given)["instruction"] != pair["instruction"]


def test_a_candidate_that_copies_most_of_the_output_cannot_win():
    given = masked_rows(The_bridge_over_the_river_was_built_in=[0.1] * 10, When=[3.0] * 10)
    assert SelectInstruction(mask_copied_words=4)(given)["instruction"] == ["When"]


def test_two_candidates_that_copy_one_half_each_leave_nothing_to_compare():
    given = masked_rows(The_bridge_over_the_river=[1.0] * 10, was_built_in_1849=[1.0] * 10)
    given["token_ends"] = [[10, 25, 35, 43]]
    assert len(SelectInstruction(mask_copied_words=4)(given)["output"]) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask_copied_words": 4}, r"needs 'token_ends' .* Score with token_nll: true \(score.token_nll"),
        ({"max_ifd": 1.0}, r"needs 'unconditional_nll' .* Score with unconditional: true"),
    ],
)
def test_missing_scores_are_named(settings, message):
    with pytest.raises(MissingColumnsError, match=message):
        SelectInstruction(**settings)(rows(4.0, 6.0)[:])
    assert SelectInstruction(**settings)(rows(None, None)[:])["output"] == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_a_number_never_wins(value):
    """Rows of old runs hold such scores, and NaN is less than nothing and not greater either."""
    for nlls in ((value, 4.0, 6.0), (4.0, value, 6.0), (4.0, 6.0, value)):
        pair = apply(SelectInstruction(), rows(*nlls))[0]
        assert (pair["perplexity"], pair["margin"]) == (pytest.approx(math.e), pytest.approx(0.5))
    assert apply(SelectInstruction(), rows(value, value)).num_rows == 0


def test_a_perplexity_too_large_for_a_float_is_infinite():
    given = rows(1e6)[:] | {"unconditional_nll": [4.0]}
    pair = SelectInstruction()(given)
    assert pair["perplexity"] == pair["ifd"] == [math.exp(700)]


def instructions(step: SelectInstruction, given: Dataset) -> list[str]:
    """Return the instructions that a step chooses in a plain ``Dataset.map``."""
    features = Features(given.features | step.writes)
    made = given.map(step, batched=True, remove_columns=given.column_names, features=features)
    return made["instruction"][:]


def test_the_choice_is_a_setting():
    scored, unscored = rows(8.0, 4.0, 6.0), rows(None, None, None)
    found = {choose: instructions(SelectInstruction(choose=choose), scored) for choose in ("best", "worst", "first")}
    assert found == {"best": ["i1"], "worst": ["i0"], "first": ["i0"]}
    worst = SelectInstruction(choose="worst")(scored[:])
    assert (worst["perplexity"], worst["margin"]) == ([pytest.approx(math.exp(2))], [pytest.approx(0.5)])
    drawn = [instructions(SelectInstruction(choose="random", seed=seed), unscored)[0] for seed in (*range(9), 0)]
    assert set(drawn) == {"i0", "i1", "i2"}
    assert drawn[0] == drawn[-1] == instructions(SelectInstruction(choose="random"), scored)[0]
    pair = SelectInstruction(choose="first")(unscored[:])
    assert (pair["instruction"], pair["perplexity"], pair["margin"], pair["ifd"]) == (["i0"], [None], [None], [None])


@pytest.mark.parametrize("settings", [{"min_margin": 0.1}, {"mask_copied_words": 4}])
def test_a_choice_without_scores_takes_no_setting_that_compares_them(settings):
    with pytest.raises(SettingError, match="choose is 'random', which compares no scores"):
        SelectInstruction(choose="random", **settings)


def several(*texts_and_nlls: tuple[str, float]) -> Dataset:
    candidates = [
        empty_candidate(instruction=text, input="", nll=nll, n_tokens=4, style="chatbot")
        for text, nll in texts_and_nlls
    ]
    return Dataset.from_dict({"id": ["a"], "output": ["out"], "candidates": [candidates]})


BRIDGE, BRIDGE_TOO, TORN = "When was the bridge built?", "when was the bridge built", "When was the bridge torn down?"
RIVER, TOWN = "Name a river.", "A town?"


def test_several_candidates_that_differ_are_kept():
    given = several((BRIDGE_TOO, 5.0), (BRIDGE, 4.0), (RIVER, 6.0), (TOWN, 8.0))
    pairs = given.map(SelectInstruction(keep=2), batched=True, remove_columns=given.column_names)[:]
    assert (pairs["instruction"], pairs["id"]) == ([BRIDGE, RIVER], ["a", "a#pair-2"])
    assert pairs["margin"] == pytest.approx([1.0, 0.5])  # over the town, which follows the last that is kept
    assert instructions(SelectInstruction(keep=9), given) == [BRIDGE, RIVER, TOWN]
    assert instructions(SelectInstruction(keep=9, near_duplicates={"threshold": 1.0}), given)[:2] == [BRIDGE, RIVER]
    assert instructions(
        SelectInstruction(keep=9, near_duplicates={"threshold": 0.5}), several((BRIDGE, 1.0), (TORN, 2.0))
    ) == [BRIDGE]
    assert instructions(SelectInstruction(keep=1), given) == instructions(SelectInstruction(), given) == [BRIDGE]
    counts = SelectInstruction(keep=2).counts(given[:], pairs)
    assert counts == {
        **{"pairs": 2, "style.chatbot.candidates": 4, "style.chatbot.accepted": 4, "style.chatbot.pairs": 2},
    }


@pytest.mark.parametrize(("min_margin", "kept"), [(0.4, 2), (0.5, 2), (0.6, 1), (2.1, 0)])
def test_the_last_that_is_kept_leads_the_rest_by_the_margin(min_margin, kept):
    """Leads of 1.0 nats per token, 0.5 and none: two of the three lead the last by 0.5, and one leads both by 1.0."""
    given = several((BRIDGE, 4.0), (RIVER, 8.0), (TOWN, 10.0))
    assert len(instructions(SelectInstruction(keep=2, min_margin=min_margin), given)) == kept


def test_a_difficulty_outside_the_range_drops_one_pair_and_not_the_others():
    given = several((BRIDGE, 2.0), (RIVER, 6.0))[:] | {"unconditional_nll": [8.0]}  # exp(-1.5) and exp(-0.5)
    assert SelectInstruction(keep=2, min_ifd=0.5)(given)["instruction"] == [RIVER]


def test_keep_is_checked():
    with pytest.raises(SettingError, match="keep must be 1 to 100, got 0"):
        SelectInstruction(keep=0)
