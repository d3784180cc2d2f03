import json

import pytest

from davidgen_hf.errors import EvaluationError, InputError
from davidgen_hf.evaluation.reviews import (
    FAILURES,
    ORDERS,
    Review,
    explain_failures,
    parse_scores,
    read_reviews,
    summarize_reviews,
    write_reviews,
)

STORED = (
    "others/review_llama_alpaca-13b",
    "vicuna-13b_20230322-clean-lang/review_alpaca-13b_vicuna-13b",
    "vicuna-13b_20230322-clean-lang/review_bard_vicuna-13b",
    "vicuna-13b_20230322-clean-lang/review_gpt35_vicuna-13b",
    "vicuna-13b_20230322-clean-lang/review_llama-13b_vicuna-13b",
)


def reviews(*texts_of_questions):
    """Make reviews of question 1, 2, ...: a pair of texts each, in the two orders."""
    return [
        Review.from_text(number, order, text)
        for number, texts in enumerate(texts_of_questions, start=1)
        for order, text in zip(ORDERS, texts, strict=False)
    ]


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("8 9\nBoth are helpful.", (8, 9)),
        ("9 8.5", (9, 8.5)),
        ("7, 10", (7, 10)),
        ("7,10\r\nwhy", (7, 10)),
        ("\n  6 4 \nwhy", (6, 4)),
        ("0 9\nThe first is empty.", (0, 9)),
    ],
)
def test_two_scores_on_the_first_line_are_read(text, scores):
    assert parse_scores(text) == scores


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8",
        "8 9 7",
        "8/10 9/10",
        "Assistant 1: 8, Assistant 2: 9",
        "11 9",
        "-3 9",
        "8\n9",
        "eight nine",
        "nan 8",
        "First, I solve it.\n8 9",
        "8 9 because the first is short",
    ],
)
def test_anything_else_is_not_a_score(text):
    assert parse_scores(text) is None


@pytest.mark.parametrize("name", STORED)
def test_stored_reviews_give_the_stored_scores_but_for_mathematics(shared_data, name):
    path = shared_data / "vicuna80" / "eval_table" / "review" / f"{name}.jsonl"
    stored = {row["question_id"]: row["score"] for row in map(json.loads, path.open())}

    read = read_reviews(path)

    assert len(read) == len(stored) == 80
    assert {r.question_id: r.failure for r in read if list(r.scores or ()) != stored[r.question_id]} == {
        68: "no_scores",
        69: "no_scores",
        70: "no_scores",
    }


def test_the_scores_belong_to_the_models_whatever_the_order():
    first, second = reviews(("9 3", "9 3"))

    assert first.scores == (9, 3)
    assert second.scores == (3, 9)


def test_written_reviews_are_read_back(tmp_path):
    written = [
        *reviews(("9 3\nGröße", "no idea")),
        Review(2, ORDERS[0], "", "prompt_too_long"),
        Review(2, ORDERS[1], "", "no_answer"),
    ]
    write_reviews(tmp_path / "reviews.jsonl", written)

    assert read_reviews(tmp_path / "reviews.jsonl") == written


def test_what_was_judged_before_an_interruption_is_on_disk(tmp_path):
    def interrupted():
        yield from reviews(("9 3", "3 9"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_reviews(tmp_path / "reviews.jsonl", interrupted())

    assert read_reviews(tmp_path / "reviews.jsonl") == reviews(("9 3", "3 9"))


def test_a_second_file_holds_the_other_order(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"question_id": 1, "text": "9 3"}\n')

    assert [review.scores for review in read_reviews(tmp_path / "a.jsonl", tmp_path / "b.jsonl")] == [(9, 3), (3, 9)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"question_id": 1, "text": "9 3"}'] * 2, r"r.jsonl:2 is the second review of question 1 .*as two files"),
        (['{"question_id": 1}'], r"r.jsonl:1: text: Field required\. A review has"),
        (['{"question_id": 1, "text": "", "order": "ab"}'], "order: Input should be 'model_first' or .*got 'ab'"),
    ],
)
def test_unusable_reviews_are_named(tmp_path, lines, message):
    (tmp_path / "r.jsonl").write_text("\n".join(lines))

    with pytest.raises(InputError, match=message):
        read_reviews(tmp_path / "r.jsonl")


def test_a_third_file_is_refused():
    with pytest.raises(InputError, match="one file or in two, one an order; 3 were named"):
        read_reviews("a.jsonl", "b.jsonl", "c.jsonl")


def test_relative_quality_is_the_ratio_of_the_sums():
    summary = summarize_reviews(reviews(("8 10", "10 6"), ("4 10", "5 1")))

    assert summary["relative_quality"] == pytest.approx((8 + 6 + 4 + 1) / (10 + 10 + 10 + 5))
    assert summary["orders"]["model_first"]["relative_quality"] == pytest.approx(12 / 20)
    assert summary["orders"]["reference_first"]["relative_quality"] == pytest.approx(7 / 15)


def test_failures_are_counted_and_take_part_in_nothing():
    summary = summarize_reviews(reviews(("8 10", "none"), ("none", "none")))

    assert (summary["n_reviews"], summary["n_failures"]) == (4, 3)
    assert summary["relative_quality"] == pytest.approx(0.8)
    assert [(f["question_id"], f["order"]) for f in summary["failures"]] == [
        (1, "reference_first"),
        (2, "model_first"),
        (2, "reference_first"),
    ]
    assert summary["orders"]["reference_first"] == {
        "n_reviews": 2,
        "n_failures": 2,
        "relative_quality": None,
        "wins": 0,
        "ties": 0,
        "losses": 0,
    }


@pytest.mark.parametrize("texts", [[("none", "none")] * 3, [("8 10", "9 9")], [("5 0", "0 5")] * 2])
def test_no_interval_is_invented(texts):
    summary = summarize_reviews(reviews(*texts))

    assert summary["interval"] is None


def test_the_interval_holds_the_quality_and_is_the_same_twice():
    texts = [(f"{5 + number % 5} 8", f"8 {4 + number % 6}") for number in range(30)]
    summary = summarize_reviews(reviews(*texts))
    low, high = summary["interval"]

    assert low < summary["relative_quality"] < high
    assert summarize_reviews(reviews(*texts)) == summary


def test_the_interval_is_that_of_scipy():
    from scipy.stats import bootstrap

    texts = [(f"{5 + number % 5} {6 + number % 4}",) for number in range(40)]
    made = reviews(*texts)
    model, reference = zip(*(review.scores for review in made), strict=True)
    theirs = bootstrap(
        (model, reference),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=10_000,
        rng=1,
    ).confidence_interval

    assert summarize_reviews(made)["interval"] == pytest.approx([theirs.low, theirs.high], abs=0.003)


def test_orders_agree_where_both_prefer_the_same_answer():
    summary = summarize_reviews(
        reviews(("9 3", "3 9"), ("5 5", "7 7"), ("9 3", "9 3"), ("9 3", "5 5"), ("9 3", "none"))
    )

    assert summary["agreement"] == {
        "n_questions": 4,
        "same_preference": 2,
        "opposite_preference": 1,
        "share": 0.5,
    }


@pytest.mark.parametrize(
    "thoughts",
    [
        "<think>\nThe first is 3 4.\n</think>\n\n",
        "The template opened them.</think>",
        "<think></think>\n",
        "<think>a</think><think>b</think>\n",
        "<thinking>1 2</thinking> ",
        "<seed:think>1 2</seed:think>",
        "[THINK]1 2[/THINK]",
        "<|begin_of_thought|>1 2<|end_of_thought|>\n",
    ],
)
def test_scores_are_read_behind_thoughts(thoughts):
    review = Review.from_text(1, "reference_first", f"{thoughts}8 7\nThe first is better.")
    assert (review.scores, review.failure) == ((7.0, 8.0), None)


def test_thoughts_without_an_end_are_a_failure_of_their_own():
    assert Review.from_text(1, "model_first", "<think>\n8 7\nor rather").failure == "unfinished_thoughts"
    assert Review.from_text(1, "model_first", "<think>Hm.</think>\nBoth are fine.").failure == "no_scores"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"question_id": 1, "text": 5}, "text: Input should be a valid string, got 5"),
        ({"question_id": [1], "text": "8 9"}, r"question_id: Input should be a valid integer, got \[1\]"),
        ({"question_id": 1, "text": "8 9", "failure": 3}, "failure: Input should be a valid string, got 3"),
    ],
)
def test_the_line_and_the_field_of_an_odd_review_are_named(tmp_path, row, problem):
    (tmp_path / "r.jsonl").write_text(json.dumps(row))
    with pytest.raises(InputError, match=rf"^r\.jsonl:1: {problem}.* Fix that line\.$"):
        read_reviews(tmp_path / "r.jsonl")


def test_ids_as_text_belong_to_the_same_question(tmp_path):
    rows = [{"question_id": "3", "text": "8 9"}, {"question_id": 3, "text": "7 6", "order": "reference_first"}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert summarize_reviews(read_reviews(tmp_path / "r.jsonl"))["n_questions"] == 1


def test_each_reason_that_reviews_fail_is_explained():
    texts = ["8 7", "<think>Hm.", "<think>Hm.", "Both."]
    summary = summarize_reviews([Review.from_text(number, "model_first", text) for number, text in enumerate(texts)])
    first, second = explain_failures(summary)
    assert first.startswith("2 reviews (unfinished_thoughts): The judge thinks aloud")
    assert "Raise --max-review-tokens" in first
    assert second.startswith("1 reviews (no_scores): ")


def test_a_judge_that_finished_and_gave_no_scores_is_a_result():
    summary = summarize_reviews([Review.from_text(1, order, "Both are fine.") for order in ORDERS])
    assert explain_failures(summary) == [f"2 reviews (no_scores): {FAILURES['no_scores']}"]


def test_reviews_without_any_scores_end_in_an_error_that_says_why():
    summary = summarize_reviews([Review.from_text(1, order, "<think>Hm.") for order in ORDERS])
    with pytest.raises(
        EvaluationError, match=r"None of the 2 reviews has scores\.\n  2 reviews \(unfinished_thoughts\)"
    ):
        explain_failures(summary)


def test_a_summary_of_both_orders_is_ready_for_json():
    reviews = [Review.from_text(1, order, "8 7") for order in ORDERS]
    assert json.loads(json.dumps(summarize_reviews(reviews)))["agreement"]["opposite_preference"] == 1
