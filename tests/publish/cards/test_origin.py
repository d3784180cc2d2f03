"""What run.json says of provenance comes into the cards, word by word; what it does not say is not made up."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import metadata_load

from davidgen_hf.provenance import Part, Provenance, Verdict
from davidgen_hf.publish.cards import README, write_cards
from davidgen_hf.publish.folder import build_folder

CLEAN = (
    Part("seeds", Verdict("seeds.jsonl", "clean", "Declared as written by people: me.", "mit", declaration="me")),
    Part("passages", Verdict("wikimedia/wikipedia", "clean", "People wrote it."), "20231101.en", "b04c8d1"),
    Part("base_model", Verdict("org/open", "clean", "Its data are open.", license="apache-2.0")),
    Part("follower_base", Verdict("org/open", "clean", "Its data are open.", license="apache-2.0")),
    Part("generator", Verdict("generator", "clean", "Trained by this run.", license="apache-2.0")),
)
RESTRICTED = Part("seeds", Verdict("alpaca", "restricted", "GPT-3 wrote it | in part.", license="cc-by-nc-4.0"))
UNKNOWN = Part("passages", Verdict("mine.txt", "unknown", "mine.txt does not say who wrote it."))


@pytest.fixture
def told(tiny_run, tmp_path):
    def told(*parts: Part, name: str = "run", **facts) -> Path:
        shutil.copytree(tiny_run, tmp_path / name)
        record = json.loads((tmp_path / name / "run.json").read_text())
        record["provenance"] = replace(Provenance(parts), **facts).record()
        (tmp_path / name / "run.json").write_text(json.dumps(record))
        write_cards(tmp_path / name)
        return tmp_path / name

    return told


def test_a_clean_run_says_so_and_names_its_licence(told):
    run = told(*CLEAN, license="cc-by-sa-4.0", license_reason="adaptations must carry it")
    text = (run / README).read_text("utf-8")
    assert "No closed model was involved" in text
    assert "The corpus as a whole may be published under **cc-by-sa-4.0**: adaptations must carry it." in text
    assert (
        "| passages | wikimedia/wikipedia (20231101.en) | b04c8d1 | by row, or not known | clean | People wrote it. |"
        in text
    )
    assert "| seeds | seeds.jsonl | - | mit | clean | Declared as written by people: me. |" in text
    assert metadata_load(run / README)["license"] == "cc-by-sa-4.0"
    assert metadata_load(run / "follower" / README)["license"] == "apache-2.0"


def test_restricted_parts_mark_every_card(told):
    run = told(*CLEAN, RESTRICTED, allow_restricted=True)
    for card in (run / README, run / "generator" / README, run / "follower" / README):
        text = card.read_text("utf-8")
        assert "> Restricted: some of its sources or models were written by closed models" in text
        assert "| seeds | alpaca | - | cc-by-nc-4.0 | restricted | GPT-3 wrote it \\| in part. |" in text
        assert "No closed model was involved" not in text
        assert "restricted" in metadata_load(card)["tags"]


def test_unknown_parts_are_not_a_claim(told):
    text = (told(*CLEAN, UNKNOWN) / README).read_text("utf-8")
    assert "it is not known whether a closed model was involved" in text
    assert "No closed model was involved" not in text


def test_a_run_without_a_record_of_it_claims_nothing(told):
    run = told(*CLEAN)
    record = json.loads((run / "run.json").read_text())
    record.pop("provenance")
    (run / "run.json").write_text(json.dumps(record))
    write_cards(run)
    text = (run / README).read_text("utf-8")
    assert text.count("Its sources and models were not recorded.") == 1
    assert "No closed model was involved" not in text
    assert metadata_load(run / README)["license_name"] == "not-determined"


def test_several_runs_are_as_good_as_the_worst_and_licensed_together(told, tmp_path):
    one = told(*CLEAN, name="one", license="cc-by-sa-4.0", license_reason="its own")
    two = told(*CLEAN[:3], RESTRICTED, name="two", license="cc-by-nc-4.0", license_reason="its own")
    built = build_folder([one, two], tmp_path / "built")
    text = (built / README).read_text("utf-8")
    assert text.count("| clean |") == len(CLEAN)
    assert text.count("| restricted |") == 1
    assert "restricted" in metadata_load(built / README)["tags"]
    assert metadata_load(built / README)["license"] == "cc-by-sa-4.0"  # of rows under CC BY-SA and Apache-2.0
