"""Tokens of an output in runs of words that a text has too."""

import pytest

from davidgen_hf.processors.copied import copied_tokens

OUTPUT = "The old bridge, built in 1849."
ENDS = [3, 7, 14, 15, 21, 24, 29, 30]  # The| old| bridge|,| built| in| 1849|.


@pytest.mark.parametrize(
    ("text", "min_run", "tokens"),
    [
        ("the OLD bridge", 3, {0, 1, 2}),
        ("the old bridge", 4, set()),
        ("Was the old bridge built in 1850?", 4, {0, 1, 2, 4, 5}),
        ("an old bridge built in 1849", 5, {1, 2, 4, 5, 6}),
        ("", 1, set()),
        (OUTPUT, 6, {0, 1, 2, 4, 5, 6}),
    ],
)
def test_which_tokens_are_copied(text, min_run, tokens):
    assert copied_tokens(OUTPUT, ENDS, text, min_run) == tokens


def test_the_first_tokens_are_enough():
    assert copied_tokens(OUTPUT, ENDS[:2], OUTPUT, 2) == {0, 1}


def test_a_token_may_be_part_of_a_word_or_several_words():
    assert copied_tokens("in town", [1, 4, 7], "in", 1) == {0, 1}
    assert copied_tokens("in town", [7], "town", 1) == {0}
