"""The tables that people edit: every entry is complete, and a mistake in one is named."""

import hashlib
import subprocess
import sys
from datetime import date

import pytest
from pydantic import ValidationError

from davidgen_hf.provenance import judge_file
from davidgen_hf.provenance.closed_models import closed_model
from davidgen_hf.provenance.tables import (
    KnownDataset,
    KnownFile,
    KnownModel,
    LicenseTable,
    Table,
    closed_hosts,
    datasets,
    licenses,
    models,
)

ENTRIES = [*datasets().entries, *models().entries]
DATASET = {
    "name": "Poems",
    "ids": ["org/poems"],
    "written_by": "a poet wrote it",
    "use": "clean",
    "license_declared": "mit",
    "license_concluded": "mit",
    "source": "https://example.org/poems",
    "verified_by": "a reader",
    "verified_on": date(2026, 1, 2),
}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_who_read_its_source_and_when(entry):
    assert (entry.verified_on is None) or (date(2026, 1, 1) <= entry.verified_on <= date.today())
    known = {one for group in licenses().classes.values() for one in group.licenses}
    assert entry.license_concluded is None or entry.license_concluded in known | {"llama1"}


def test_no_id_is_in_two_entries():
    for table in (datasets(), models()):
        ids = [one.lower() for entry in table.entries for one in entry.ids]
        assert sorted(ids) == sorted(set(ids))


def test_names_of_closed_models_are_in_no_table_of_models():
    assert [entry.name for entry in models().entries if closed_model(entry.name)] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"licence_declared": "mit"}, "licence_declared"),
        ({"use": "free"}, "use"),
        ({"use": "restricted"}, "because is for restricted data sets, and required of them"),
        ({"ids": []}, "ids"),
        ({"source": "example.org"}, "source"),
        ({"verified_by": None}, "verified_by and verified_on belong together"),
        ({"written_by": ""}, "written_by"),
    ],
)
def test_a_mistake_in_an_entry_is_named(change, words):
    KnownDataset(**DATASET)
    with pytest.raises(ValidationError, match=words):
        KnownDataset(**DATASET | change)


def test_a_model_says_what_it_was_trained_on():
    entry = {name: value for name, value in DATASET.items() if name not in ("use", "written_by")}
    KnownModel(**entry, gap="nothing is published")
    with pytest.raises(ValidationError, match="base, data, text or gap must say what it was trained on"):
        KnownModel(**entry)


def test_a_file_is_known_by_one_hash():
    with pytest.raises(ValidationError, match="a file needs sha256 and bytes, or git_sha1"):
        KnownFile(sha256="0" * 64)


def test_classes_of_licences_that_are_nowhere_are_named():
    content = licenses().model_dump() | {"yielding": ["free"]}
    with pytest.raises(ValidationError, match=r"\['free'\] are not among the classes"):
        LicenseTable(**content)


def test_an_id_comes_before_a_pattern_and_patterns_in_their_order():
    made = [KnownDataset(**DATASET | {"name": name, "ids": [name]}) for name in ("a/*", "a/b*", "a/bc")]
    table = Table(made)
    assert [table.find(one).name for one in ("A/BC", "a/bcd", "a/x")] == ["a/bc", "a/*", "a/*"]
    assert table.find("b/x") is None
    assert table.find_copy("bc.jsonl").name == "a/*"


def test_a_copy_of_a_known_file_is_known_whatever_its_name(tmp_path, monkeypatch):
    content = b'[{"instruction": "Name a river."}]'
    name = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    known = DATASET | {"use": "restricted", "because": "a term", "files": [{"git_sha1": name}]}
    monkeypatch.setattr("davidgen_hf.provenance.evidence.datasets", lambda: Table([KnownDataset(**known)]))
    (tmp_path / "mine.json").write_bytes(content)
    assert judge_file(tmp_path / "mine.json").reason == "Poems: a poet wrote it, and a term."
    assert judge_file(tmp_path).answer == "restricted"
    (tmp_path / "mine.json").write_bytes(content + b" ")
    assert judge_file(tmp_path / "mine.json").answer == "unknown"


def test_hosts_are_names_and_not_addresses():
    assert all("/" not in host and ":" not in host for host in closed_hosts())


def test_the_tables_are_read_when_they_are_first_needed():
    program = (
        "import davidgen_hf.provenance as p; from davidgen_hf.provenance import tables as t;"
        "n = lambda: t.datasets.cache_info().currsize; before = n(); p.judge_dataset('a/b'); print(before, n())"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "1"]
