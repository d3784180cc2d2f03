"""A sample stands for all rows: their number, their lengths, and all places of the input."""

import statistics

import pytest
from datasets import Dataset

from davidgen_hf.estimate.sampling import HELD, spread, spread_dataset, survey


def rows(count: int) -> list[dict]:
    return [{"place": place, "text": "x" * (1 + place % 100)} for place in range(count)]


def length(row: dict) -> int:
    return len(row["text"])


@pytest.mark.parametrize("count", [10, 500, 3 * HELD])
def test_the_sample_has_the_lengths_of_all(count):
    given = rows(count)
    found = survey(iter(given), 20, length)
    assert (found.count, len(found.sample)) == (count, min(20, count))
    assert statistics.fmean(map(length, found.sample)) == pytest.approx(statistics.fmean(map(length, given)), rel=0.05)


def test_the_sample_comes_from_all_over_the_input_and_is_the_same_again():
    found = survey(iter(rows(5 * HELD)), 100, length).sample
    assert max(row["place"] for row in found) > 4 * HELD
    assert found == survey(iter(rows(5 * HELD)), 100, length).sample


def test_reading_may_stop_early():
    given = iter(rows(100))
    assert survey(given, 5, length, stop_after=30).count == 30
    assert next(given)["place"] == 30


def test_a_dataset_keeps_its_order():
    given = Dataset.from_list(rows(50))
    places = spread_dataset(given, 5, "text")["place"][:]
    assert places == sorted(places)
    assert [row["place"] for row in spread(rows(50), 5, length)] == places
