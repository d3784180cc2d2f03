"""The page of the study says nothing that its results do not."""

import json

import pytest

from benchmarks.study_page import BEGIN, END, PAGE, RESULTS, insert, render, unknown_numbers
from davidgen_hf.study import read_study

RESULTS_OF_STUDY = json.loads(RESULTS.read_text("utf-8"))


def test_tables_are_those_of_the_results():
    page = PAGE.read_text("utf-8")
    assert insert(page, render(RESULTS_OF_STUDY)) == page, "Run benchmarks/study_page.py."


def test_every_number_in_the_prose_is_one_of_the_results():
    page = PAGE.read_text("utf-8")
    prose = page[: page.index(BEGIN)] + page[page.index(END) :]
    assert unknown_numbers(prose, RESULTS_OF_STUDY) == []


@pytest.mark.parametrize("number", ["14.651", "-0.987", "99.99"])
def test_an_invented_number_is_found(number):
    assert unknown_numbers(f"It falls to {number} nats.", RESULTS_OF_STUDY) == [number]


def test_every_arm_is_measured_or_named_as_missing():
    arms = set(read_study(PAGE.parents[1] / "recipes" / "study").arms)
    measured = set(RESULTS_OF_STUDY["study"]["arms"])
    assert measured <= arms
    assert set(RESULTS_OF_STUDY["missing"]) == arms - measured


def test_every_claim_whose_arms_are_measured_has_a_verdict():
    content = RESULTS_OF_STUDY["study"]
    for name, claim in content["claims"].items():
        if set(claim["arms"]) <= set(content["arms"]):
            assert claim["found"], name
            assert all(one["verdict"] for one in claim["found"])
