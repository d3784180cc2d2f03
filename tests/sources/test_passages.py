"""Rows become passages with an origin; rows without text are counted, not used."""

import json

import pytest

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.recipe import load_recipe
from davidgen_hf.schema import PASSAGE
from davidgen_hf.sources.paragraphs import Paragraphs
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages


@pytest.fixture
def write(tmp_path):
    def write_rows(*rows: dict) -> str:
        path = tmp_path / "p.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return str(path)

    return write_rows


def test_rows_without_text_are_counted_by_reason_with_their_places(write):
    path = write(
        {"text": None}, {"text": "one"}, {"text": " "}, {"text": 3}, {"text": "\ud800"}, {"other": 1}, {"text": "b"}
    )
    skipped = Skipped()
    passages = list(read_passages(PassageSource(path), skipped))
    assert [row["text"] for row in passages] == ["one", "b"]
    assert skipped.counts == {"null": 2, "empty": 1, "not_text": 1, "lone_surrogate": 1}
    assert skipped.places["null"] == ["p.jsonl:1", "p.jsonl:6"]


def test_only_the_first_places_are_kept():
    skipped = Skipped()
    for number in range(100):
        skipped.add("empty", f"a:{number}")
    assert (skipped.counts, skipped.places) == ({"empty": 100}, {"empty": [f"a:{n}" for n in range(5)]})


def test_a_row_says_where_it_comes_from(write):
    own = {"id": 7, "text": "a", "lang": "de", "license": "CC0-1.0", "source": "https://example.org/a"}
    path = write(own, {"text": "b"})
    first, second = read_passages(PassageSource(path, language="fr", license="MIT", revision="r1"), Skipped())
    assert set(first) == set(PASSAGE)
    expected = {"supervised": False, "source": "p.jsonl", "config": "", "revision": "r1"}
    expected |= {"document_start": 0, "document_end": 1}
    assert first == expected | {
        "id": "7",
        "text": "a",
        "language": "de",
        "license": "CC0-1.0",
        "url": "https://example.org/a",
        "document": "7",
    }
    assert second == expected | {
        "id": "p.jsonl:2",
        "text": "b",
        "language": "fr",
        "license": "MIT",
        "url": "",
        "document": "p.jsonl:2",
    }


@pytest.mark.parametrize(
    ("row", "column", "supervised"),
    [
        ({"definition": "d", "inputs": "i", "targets": "t"}, "targets", True),
        ({"definition": "d", "inputs": "i", "targets": "t"}, "inputs", False),
        ({"instruction": "i", "context": "c", "response": "r"}, "response", True),
        ({"input": "i", "output": "o"}, "output", True),
        ({"output": "o"}, "output", False),
    ],
)
def test_the_answers_of_instruction_data_are_marked(write, row, column, supervised):
    (passage,) = read_passages(PassageSource(write(row), text_column=column), Skipped())
    assert passage["supervised"] is supervised


def test_max_rows_reads_no_further(write):
    assert [
        row["text"] for row in read_passages(PassageSource(write({"text": "a"}, {"text": "b"}), max_rows=1), Skipped())
    ] == ["a"]


def test_a_missing_column_lists_those_there_are(write):
    path = write({"id": 1, "body": "a"})
    with pytest.raises(
        InputError, match=r"p\.jsonl:1 has no column 'text'; it has \['id', 'body'\]\. .*--text-column"
    ):
        list(read_passages(PassageSource(path), Skipped()))
    assert [row["text"] for row in read_passages(PassageSource(path, text_column="body"), Skipped())] == ["a"]


def test_no_text_at_all(write):
    with pytest.raises(InputError, match=r"has no row with text in column 'text': {'empty': 2}"):
        list(read_passages(PassageSource(write({"text": ""}, {"text": "\n"})), Skipped()))


@pytest.mark.parametrize("name", ["max_rows", "rows_per_task"])
def test_numbers_of_rows_are_checked(name):
    with pytest.raises(SettingError, match=f"{name} must be at least 1, got 0"):
        PassageSource(**{name: 0})


def test_max_rows_counts_what_is_yielded(write):
    path = write({"text": ""}, {"text": "One two. Three four."}, {"text": "five six"})
    skipped = Skipped()
    passages = list(read_passages(PassageSource(path, paragraphs=Paragraphs(1, 2), max_rows=3), skipped))
    assert [row["text"] for row in passages] == ["One two.", "Three four.", "five six"]
    assert skipped.counts == {"empty": 1}


def test_a_paragraph_leads_back_to_its_characters(write):
    texts = {"a": "Intro\n\nOne two three. Four five.\n\nSix seven.", "p.jsonl:2": "One two three."}
    path = write({"id": "a", "text": texts["a"]}, {"text": texts["p.jsonl:2"]})
    passages = list(read_passages(PassageSource(path, paragraphs=Paragraphs(2, 3)), Skipped()))
    assert [row["id"] for row in passages] == ["a#7-21", "a#22-32", "a#34-44", "p.jsonl:2#0-14"]
    for row in passages:
        document, _, place = row["id"].partition("#")
        start, end = map(int, place.split("-"))
        assert texts[document][start:end] == row["text"]


def test_a_document_without_a_paragraph_is_counted(write):
    path = write({"text": "Menu"}, {"text": "One two."})
    skipped = Skipped()
    assert len(list(read_passages(PassageSource(path, paragraphs=Paragraphs(2, 3)), skipped))) == 1
    assert (skipped.counts, skipped.places) == ({"no_paragraph": 1}, {"no_paragraph": ["p.jsonl:1"]})


def test_licences_that_are_not_allowed_are_counted(write):
    path = write({"text": "a", "license": "MIT"}, {"text": "b", "license": "CC BY-NC 4.0"}, {"text": "c"})
    skipped = Skipped()
    passages = list(read_passages(PassageSource(path, allowed_licenses=("permissive",)), skipped))
    assert [row["text"] for row in passages] == ["a"]
    assert skipped.counts == {"license_not_allowed": 1, "license_unknown": 1}


def test_a_licence_can_be_declared(write):
    path = write({"text": "a"})
    assert (
        len(list(read_passages(PassageSource(path, license="CC0", allowed_licenses=("permissive",)), Skipped()))) == 1
    )


def test_licences_demanded_of_a_source_that_names_none(write):
    asked = PassageSource(write({"text": "a"}), allowed_licenses=("permissive",))
    with pytest.raises(
        InputError, match=r"p\.jsonl names no license, .*requires one of \['permissive'\].*setting license"
    ):
        list(read_passages(asked, Skipped()))


def test_the_embedded_passages_have_a_licence_too():
    asked = PassageSource(allowed_licenses=("permissive",), max_rows=3)
    assert {row["license"] for row in read_passages(asked, Skipped())} == {"PSF-2.0"}
    skipped = Skipped()
    with pytest.raises(InputError, match="license_not_allowed"):
        list(read_passages(PassageSource(allowed_licenses=("MIT",)), skipped))


def test_a_source_in_a_recipe():
    settings = "{source: a/b, config: en, paragraphs: {min_words: 9}, allowed_licenses: [permissive, MIT]}"
    asked = load_recipe("demo", [f"corpus.passages={settings}"]).corpus.passages
    assert asked == PassageSource("a/b", config="en", paragraphs=Paragraphs(9), allowed_licenses=("permissive", "MIT"))
    with pytest.raises(SettingError, match=r"passages\.paragraphs\.words: unknown key"):
        load_recipe("demo", ["corpus.passages.paragraphs={words: 9}"])
