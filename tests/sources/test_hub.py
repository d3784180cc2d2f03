"""What is read from the Hub is read at a commit, and says which one and under which licence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def found(shared_data) -> dict:
    """What ``hub_reading.py`` reads from a Hub on loopback."""
    path = os.pathsep.join([str(shared_data / "hub_double"), os.environ.get("PYTHONPATH", "")])
    script = Path(__file__).with_name("hub_reading.py")
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_branch_is_read_and_recorded_at_its_commit(found):
    first, second = found["commits"]
    (row,) = found["branch"]["rows"]
    assert (row["text"], row["revision"]) == ("Changed.", second)
    assert {row["revision"] for row in found["commit"]["rows"]} == {first}


def test_paragraphs_lead_back_to_the_characters_of_their_document(found):
    document = "One two. Three."
    assert [row["id"] for row in found["commit"]["rows"]] == ["12#0-8", "12#9-15"]
    for row in found["commit"]["rows"]:
        start, end = row["id"].partition("#")[2].split("-")
        assert document[int(start) : int(end)] == row["text"]


def test_licence_and_address_come_from_the_row_the_recipe_or_the_card(found):
    (row,) = found["branch"]["rows"]
    assert (row["license"], row["url"]) == ("cc-by-sa-3.0, gfdl", "https://a.example/12")
    (row,) = found["declared"]["rows"]
    assert (row["license"], row["url"]) == ("MIT", "https://huggingface.co/datasets/org/plain")


def test_a_configuration_is_read_and_recorded(found):
    (row,) = found["configured"]["rows"]
    assert (row["id"], row["text"], row["config"], row["license"]) == ("org/c4:1", "In a folder.", "en", "odc-by")


def test_dollys_columns_need_no_setting(found):
    (seed,) = found["seeds"]
    assert (seed["instruction"], seed["input"], seed["output"]) == ("i", "c", "r")
    assert (seed["id"], seed["license"]) == ("org/dolly:1", "cc-by-sa-3.0")


def test_the_cards_licence_must_be_allowed(found):
    assert len(found["allowed"]["rows"]) == 1
    assert "has no row with text in column 'text': {'license_not_allowed': 1}" in found["refused"]["error"]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("absent", "There is no local path 'org/absent', and no dataset of that id could be opened on the Hub: 404"),
        ("no_revision", "Revision Not Found"),
        ("no_split", "Bad split: dev. Available splits: ['train']"),
        ("no_config", "BuilderConfig 'de' not found. Available: ['default']"),
        (
            "unlicensed",
            "org/plain names no license, neither in a column 'license' nor on a dataset card. allowed_l",
        ),
        ("out_of_reach", "There is no local path 'org/wiki', and no dataset of that id could be opened on the Hub"),
    ],
)
def test_what_goes_wrong(found, case, words):
    assert words in found[case]["error"]


def test_a_sample_is_drawn_by_its_seed(found):
    one, again, other = found["drawn"]
    texts = [row["text"] for row in one]
    assert one == again
    assert texts not in ([f"Text {number}." for number in range(9)], [row["text"] for row in other])
    assert len({row["id"] for row in one}) == 9
    assert {row["id"] for row in one if row["text"] == texts[0]}.isdisjoint(
        row["id"] for row in other if row["text"] != texts[0]
    )
