import json
from itertools import permutations

import pytest
from rouge_score.rouge_scorer import RougeScorer

from davidgen_hf.evaluation.diversity import (
    Instructions,
    count_verb_nouns,
    distinct_n,
    length_statistics,
    measure_diversity,
    self_rouge_l,
)


def test_verbs_are_counted_with_their_nouns():
    pairs = [("write", "story")] * 3 + [("write", "poem")] * 2 + [("bake", "bread")] * 2
    pairs += [("go", None)] * 9 + [(None, None)] * 4

    counts = count_verb_nouns(pairs, top_verbs=2, top_nouns=1)

    assert counts == {
        "n_with_verb": 16,
        "n_with_verb_and_noun": 7,
        "n_verbs": 2,
        "n_pairs": 3,
        "top": [
            {"verb": "write", "count": 5, "nouns": [{"noun": "story", "count": 3}]},
            {"verb": "bake", "count": 2, "nouns": [{"noun": "bread", "count": 2}]},
        ],
    }


@pytest.mark.parametrize("pairs", list(permutations([("b", "x"), ("a", "z"), ("a", "y"), ("b", "w")])))
def test_equal_counts_go_by_the_alphabet(pairs):
    top = count_verb_nouns(pairs)["top"]

    assert [(verb["verb"], [noun["noun"] for noun in verb["nouns"]]) for verb in top] == [
        ("a", ["y", "z"]),
        ("b", ["w", "x"]),
    ]


def test_at_most_20_verbs_with_4_nouns_are_listed():
    top = count_verb_nouns([(f"verb{v}", f"noun{n}") for v in range(30) for n in range(9)])["top"]

    assert [len(verb["nouns"]) for verb in top] == [4] * 20


def test_no_verbs_at_all_are_counted_as_none():
    assert count_verb_nouns([(None, None)]) == {
        "n_with_verb": 0,
        "n_with_verb_and_noun": 0,
        "n_verbs": 0,
        "n_pairs": 0,
        "top": [],
    }


def test_distinct_n_is_the_share_of_different_ngrams():
    assert distinct_n(["a b a b", "A c!"]) == {"1": 3 / 6, "2": 3 / 4, "3": 2 / 2}


def test_texts_too_short_have_no_distinct_n():
    assert distinct_n(["one", ""]) == {"1": 1.0, "2": None, "3": None}


def test_self_rouge_l_is_the_best_of_rouge_score_against_the_others(shared_data):
    lines = (shared_data / "self_instruct" / "seed_tasks.jsonl").read_text().splitlines()
    texts = [json.loads(line)["instruction"] for line in lines[:12]]
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    expected = [
        max(scorer.score(other, text)["rougeL"].fmeasure for other in texts if other is not text) for text in texts
    ]

    assert self_rouge_l(texts) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("texts", "scores"), [([], []), (["one"], []), (["a b", "a b", "c"], [1, 1, 0])], ids=["none", "one", "copies"]
)
def test_a_copy_is_as_near_as_can_be(texts, scores):
    assert self_rouge_l(texts) == scores


def test_lengths_are_described():
    assert length_statistics([1, 2, 3, 4, 10]) == {
        "n": 5,
        "mean": 4.0,
        "std": pytest.approx(10**0.5),
        "median": 3.0,
        "p95": pytest.approx(8.8),
        "min": 1,
        "max": 10,
    }


@pytest.fixture
def rows():
    return Instructions(["Write it.", "Bake bread.", "Write it."], ["", "the flour", "so"], ["a", "b c", "d e f"])


def test_each_different_instruction_is_kept_once_with_its_first_input(rows):
    assert rows.unique() == Instructions(["Write it.", "Bake bread."], ["", "the flour"], ["a", "b c"])


def test_lengths_are_in_words_or_in_tokens(rows):
    pairs = [(None, None)] * 3
    words = measure_diversity(rows, pairs)["lengths"]
    letters = measure_diversity(rows, pairs, lambda texts: [len(text) for text in texts])["lengths"]

    assert (words["unit"], letters["unit"]) == ("words", "tokens")
    assert words["instruction"]["mean"] == 2
    assert words["instruction_and_input"]["mean"] == (2 + 4 + 3) / 3
    assert words["output"]["max"] == 3
    assert letters["instruction"]["max"] == len("Bake bread.")


def test_the_sample_is_the_same_for_the_same_seed(rows):
    many = Instructions([f"Write {number} of them." for number in range(50)], [""] * 50, [""] * 50)
    pairs = [("write", None)] * 50

    first = measure_diversity(many, pairs, sample_size=10, seed=1)

    assert first == measure_diversity(many, pairs, sample_size=10, seed=1)
    assert first["sample"]["n"] == 10
    assert first["sample"]["self_rougeL"] == pytest.approx(0.75)
    assert measure_diversity(rows, [(None, None)] * 3, sample_size=10)["sample"]["n"] == 3


def test_equal_texts_in_any_script_are_near_each_other():
    assert self_rouge_l(["说出两条河。", "说出两条河。", "ตั้งชื่อแม่น้ำ"]) == [1.0, 1.0, 0.0]
