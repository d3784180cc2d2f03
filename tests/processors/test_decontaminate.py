"""Runs of words from an evaluation set are found in outputs and instructions; short texts count whole."""

import json

import pytest

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.processors import Decontaminate
from davidgen_hf.processors.decontaminate import evaluation_runs
from davidgen_hf.schema import empty_candidate
from davidgen_hf.sources.source import Source

WORDS = [f"word{number}" for number in range(1, 16)]
SHORT = "name the eight words that stand here now"


@pytest.fixture
def sources(tmp_path) -> tuple[Source, ...]:
    path = tmp_path / "test.jsonl"
    rows = [{"instruction": SHORT, "instances": [{"input": "", "output": " ".join(WORDS)}], "id": 7}, {"input": "Yes"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return (Source(str(path)),)


def reasons(sources, output: str, *instructions: str, **settings) -> list[str | None]:
    candidates = [empty_candidate(instruction=text, input="") for text in instructions or ("Why is it so?",)]
    marked = Decontaminate(sources, **settings)({"output": [output], "candidates": [candidates]})
    return [one["reject_reason"] for one in marked["candidates"][0]]


@pytest.mark.parametrize(
    ("output", "overlap"),
    [
        (" ".join(WORDS[:13]), True),
        ("First: " + ", ".join(WORDS[2:]).upper() + "!", True),
        (" ".join(WORDS[:12]), False),
        (" ".join([*WORDS[:7], "and", *WORDS[7:]]), False),
        ("Please " + SHORT + ".", True),
        ("name the eight words that stand here", False),
        ("Yes", False),
    ],
)
def test_an_overlapping_output_rejects_its_whole_row(sources, output, overlap):
    expected = "overlaps_evaluation" if overlap else None
    assert reasons(sources, output, "Why?", "How?") == [expected, expected]


def test_an_overlapping_instruction_rejects_itself(sources):
    assert reasons(sources, "It rains.", "Why?", SHORT) == [None, "overlaps_evaluation"]


def test_the_lengths_can_be_set(sources):
    assert reasons(sources, " ".join(WORDS[:8]), ngram_words=8) == ["overlaps_evaluation"]
    assert reasons(sources, SHORT, min_words=9) == [None]
    assert {length: len(runs) for length, runs in evaluation_runs(sources, 13, 8).items()} == {13: 3, 8: 1}


def test_an_earlier_reason_is_kept(sources):
    one = empty_candidate(instruction="", input="", reject_reason="empty")
    marked = Decontaminate(sources)({"output": [SHORT], "candidates": [[one]]})
    assert marked["candidates"] == [[one]]


@pytest.mark.parametrize("settings", [{"ngram_words": 7}, {"min_words": 0}])
def test_bounds_are_checked(sources, settings):
    with pytest.raises(SettingError, match="min_words must be at least 1 and at most ngram_words, got"):
        Decontaminate(sources, **settings)


def test_an_evaluation_set_must_be_named_and_exist():
    with pytest.raises(SettingError, match="decontaminate names no evaluation set"):
        Decontaminate()
    with pytest.raises(InputError, match=r"There is no file or folder 'nowhere\.jsonl'"):
        reasons((Source("nowhere.jsonl"),), "a")


def test_real_test_tasks_are_found_in_a_passage(shared_data):
    sources = (Source(str(shared_data / "superni"), split="test"),)
    task = json.loads((shared_data / "superni" / "tasks" / "task1439_doqa_cooking_isanswerable.json").read_text())
    text = task["Instances"][5]["input"]
    assert reasons(sources, f"Somebody wrote: {text[100:]}") == ["overlaps_evaluation"]
    assert reasons(sources, "A lake is a body of water that lies in a basin and is surrounded by land.") == [None]


def test_deeply_nested_texts_are_found(tmp_path):
    text = "one two three four five six seven eight nine ten eleven twelve thirteen"
    for depth in (1, 100, 900):
        path = tmp_path / f"{depth}.jsonl"
        path.write_text('{"a": ' + "[" * depth + f'"{text}"' + "]" * depth + "}")
        (length,) = evaluation_runs((Source(str(path)),), 13, 8)
        assert length == 13
