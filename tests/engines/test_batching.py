import logging

import pytest
import torch

from davidgen_hf.engines.batching import TokenBudget, split_by_budget
from davidgen_hf.errors import TooLongError


def test_batches_stay_within_the_budget_and_hold_every_place_once():
    sizes = [3, 9, 4, 1, 30, 5, 5]
    batches = list(split_by_budget(dict(enumerate(sizes)), 12))
    assert sorted(place for batch in batches for place in batch) == list(range(len(sizes)))
    assert all(len(batch) == 1 or len(batch) * max(sizes[place] for place in batch) <= 12 for batch in batches)
    assert batches[0] == [4]


def test_running_out_of_memory_halves_the_budget_and_says_so_once(caplog):
    budget, done = TokenBudget(64), []

    def work(places):
        if len(places) * 4 > 10:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        done.extend(places)

    with caplog.at_level(logging.WARNING):
        budget.run(dict.fromkeys(range(20), 4), work, "score")
    assert sorted(done) == list(range(20))
    assert budget.tokens == 8
    assert [record.getMessage() for record in caplog.records] == [
        "Out of memory; continuing with at most 32 tokens per batch."
    ]


def test_a_row_that_does_not_fit_alone_is_named():
    def work(places):
        if 2 in places:
            raise MemoryError

    with pytest.raises(TooLongError, match=r"Row 2 with its 7 tokens does not fit into memory, even alone\."):
        TokenBudget(100).run({0: 1, 1: 2, 2: 7}, work, "score", name="Row {}".format)


def test_other_errors_are_not_taken_for_missing_memory():
    def work(places):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        TokenBudget(100).run({0: 1}, work, "score")
