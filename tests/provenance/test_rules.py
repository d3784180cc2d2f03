import json

import pytest

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance import Declaration, ProvenanceRules, judge_dataset, judge_model, require

OURS = Declaration("people", "Our own manuals, written by our editors.", "cc-by-4.0")


def test_clean_sources_pass():
    verdicts = [judge_dataset("wikimedia/wikipedia"), judge_model("google/flan-t5-xl")]
    assert require(verdicts) == verdicts


def test_what_stops_is_named_all_at_once():
    with pytest.raises(ProvenanceError) as error:
        require([judge_dataset("akoksal/LongForm"), judge_dataset("org/new"), judge_dataset("allenai/c4")])
    assert str(error.value) == (
        "2 source(s) stand against training and publishing:\n"
        "  akoksal/LongForm: restricted. LongForm: OpenAI's text-davinci-003 wrote the instructions to texts of "
        "people, and OpenAI's terms forbid to use the output for models that compete with theirs, "
        "which its own licence repeats. Name another source, or set provenance.allow_restricted=true, "
        "which marks every row and card that comes of it.\n"
        "  org/new: unknown. org/new is in no table. If you know who wrote it, declare it: written_by (people or "
        "open_model), a statement, and the license.\n"
        "To declare, add to the command, or as YAML to the recipe's provenance.yaml:\n"
        '  \'provenance.declarations={"org/new": {written_by: people, statement: "WHO WROTE IT AND HOW YOU KNOW", '
        "license: LICENCE}}'"
    )


def test_what_is_allowed_stays_restricted():
    (verdict,) = require([judge_model("embedded")], ProvenanceRules(allow_restricted=True))
    assert verdict.answer == "restricted"


def test_allowing_the_restricted_does_not_allow_the_unknown():
    with pytest.raises(ProvenanceError, match="org/new: unknown"):
        require([judge_dataset("org/new")], ProvenanceRules(allow_restricted=True))


def test_the_unknown_may_be_recorded_only():
    (verdict,) = require([judge_dataset("org/new")], ProvenanceRules(undeclared="record"))
    assert verdict.answer == "unknown"
    with pytest.raises(ProvenanceError) as error:
        require([judge_dataset("org/new"), judge_model("embedded")], ProvenanceRules(undeclared="record"))
    assert "org/new" not in str(error.value)


def test_a_declaration_is_recorded():
    (verdict,) = require([judge_dataset("org/new")], ProvenanceRules(declarations={"org/new": OURS}))
    assert (verdict.answer, verdict.license) == ("clean", "cc-by-4.0")
    assert verdict.reason == "Declared as written by people: Our own manuals, written by our editors."
    assert json.loads(json.dumps(verdict.record()))["declaration"] == OURS.statement


def test_a_declaration_does_not_change_what_is_known():
    with pytest.raises(ProvenanceError) as error:
        require([judge_dataset("tatsu-lab/alpaca")], ProvenanceRules(True, declarations={"tatsu-lab/alpaca": OURS}))
    assert "declared, but known to be restricted, which a declaration does not change." in str(error.value)
    assert "Take the declaration out." in str(error.value)


def test_a_declaration_of_no_source_is_an_error():
    with pytest.raises(
        ProvenanceError, match=r"org/old: declared, but it is not one of the sources: \['allenai/c4'\]"
    ):
        require([judge_dataset("allenai/c4")], ProvenanceRules(declarations={"org/old": OURS}))


def test_a_declaration_needs_a_statement():
    with pytest.raises(ProvenanceError, match="needs a statement that says who wrote the data and how you know"):
        Declaration("people", " ")
