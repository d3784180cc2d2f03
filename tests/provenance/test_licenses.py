import csv

import pytest

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance import compose_licenses, normalise_license
from davidgen_hf.provenance.tables import licenses


@pytest.mark.parametrize(
    ("texts", "models", "license"),
    [
        (["mit"], [], "mit"),
        (["cc-by-sa-3.0"], ["apache-2.0"], "cc-by-sa-3.0"),
        (["cc0-1.0", "Public Domain"], [], "cc0-1.0"),
        (["PSF-2.0"], ["apache-2.0"], "psf-2.0"),
        (["PSF-2.0", "BSD-3-Clause"], [], "cc-by-4.0"),
        (["mit", "cc-by-3.0"], [], "cc-by-4.0"),
        (["cc-by-sa-3.0, gfdl", "odc-by"], ["apache-2.0"], "cc-by-sa-4.0"),
        (["cc-by-sa-3.0", "CC BY-SA 4.0", "Apache 2.0"], ["mit"], "cc-by-sa-4.0"),
        (["cc-by-nc-4.0", "mit"], [], "cc-by-nc-4.0"),
        (["cc-by-nc-sa-4.0", "cc-by-nc-4.0", "cc-by-4.0"], [], "cc-by-nc-sa-4.0"),
        (["odc-by"], ["llama3.1"], "llama3.1"),
        (["cc0-1.0"], ["llama2"], "llama2"),
    ],
)
def test_the_licence_of_the_whole(texts, models, license):
    composed = compose_licenses(texts, models)
    assert composed.license == license
    assert composed.reason
    assert not composed.declared


@pytest.mark.parametrize(
    ("texts", "models", "reason"),
    [
        (["cc-by-sa-4.0", "cc-by-nc-4.0"], [], "share-alike text must not be put under a ban of commercial use"),
        (["cc-by-sa-4.0", "cc-by-nc-sa-4.0"], [], "both ask that the whole carry their own licence"),
        (["cc-by-sa-3.0", "mit"], ["llama3"], "the Llama licence limits what it may be used for"),
        (["cc-by-sa-3.0"], ["llama3.1"], "the Llama licence demands a name"),
        (["cc-by-nd-4.0", "mit"], [], "one of them forbids to pass on adaptations, which a corpus is"),
    ],
)
def test_parts_that_no_licence_holds_together(texts, models, reason):
    with pytest.raises(ProvenanceError) as error:
        compose_licenses(texts, models, declared="mit")
    assert str(error.value).startswith("No licence fits a corpus of [")
    assert reason in str(error.value)
    assert str(error.value).endswith("Make a corpus of each, or leave one out.")


@pytest.mark.parametrize(
    ("texts", "models"),
    [
        ([None], []),
        ([""], []),
        (["gfdl"], []),
        (["CC BY-SA", "mit"], []),
        (["mit"], ["llama1"]),
        (["mit"], ["llama3.1", "llama3.2"]),
        (["mit"], ["gemma"]),
        (["cc-by-nc-4.0"], ["llama3.1"]),
        ([], []),
    ],
)
def test_what_is_not_in_the_table_must_be_declared(texts, models):
    with pytest.raises(ProvenanceError) as error:
        compose_licenses(texts, models)
    assert str(error.value).startswith("It is not known which licence a corpus of [")
    assert "name the licence in the recipe; the table knows ['afl-3.0', 'apache-2.0'," in str(error.value)
    declared = compose_licenses(texts, models, declared="other")
    assert (declared.license, declared.declared) == ("other", True)


def test_a_model_that_only_scored_does_not_count():
    assert compose_licenses(["mit"]).parts == ("mit",)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("Apache 2.0", "apache-2.0"),
        ("Apache License 2.0", "apache-2.0"),
        ("The MIT License", "mit"),
        ("CC BY-SA 4.0 International", "cc-by-sa-4.0"),
        ("BSD 2-Clause", "bsd-2-clause"),
        ("CC0", "cc0-1.0"),
        ("Public Domain", "public-domain"),
        (None, "unknown"),
    ],
)
def test_the_spelling_of_a_licence(written, normal):
    assert normalise_license(written) == normal


def test_the_licences_of_superni_are_known(shared_data):
    with (shared_data / "superni" / "index.tsv").open(encoding="utf-8") as file:
        licences = {row["instance_license"] for row in csv.DictReader(file, delimiter="\t")}
    known = {one for group in licenses().classes.values() for one in group.licenses}
    assert {normalise_license(one) for one in licences} - known == {"cc-by-sa"}  # without a version
    assert compose_licenses(licences - {"CC BY-SA"}).license == "cc-by-sa-4.0"


def test_every_row_of_the_table_has_its_reason():
    for row in licenses().composed:
        assert set(row.of) <= licenses().classes.keys()
        assert row.reason
