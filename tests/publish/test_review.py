"""Decisions of reviewers in everything that leaves a run: pairs, preferences, seeds, data sets and cards."""

import io
import json
import shutil
from pathlib import Path
from uuid import uuid4

import mlcroissant
import pytest
from datasets import load_dataset
from huggingface_hub import snapshot_download
from rich.console import Console

from davidgen_hf.corpus.facts import ranked_rows
from davidgen_hf.corpus.review import log_path
from davidgen_hf.errors import RunFolderError
from davidgen_hf.publish.builder import DavidGen
from davidgen_hf.publish.cards import write_cards
from davidgen_hf.publish.export import export_pairs, export_preferences, export_seeds
from davidgen_hf.publish.folder import build_folder
from davidgen_hf.publish.hub import Push, push
from davidgen_hf.report.review.desk import Desk
from davidgen_hf.report.review.requests import Decision
from davidgen_hf.run.review import print_review, remove_reviewed_rows, review_digest, reviewed_rows
from davidgen_hf.sources.origins import judge_local
from davidgen_hf.sources.seeds import SeedSource, read_seeds
from davidgen_hf.sources.source import Skipped
from davidgen_hf.storage.record import read_record

EDITED = "Which house stands by the river?"


def decide(desk: Desk, n: int, action: str, reviewer: str = "ada", **fields) -> None:
    row = desk.row(n, reviewer)
    seen = {"row": row["key"], "version": row["state"]["version"]}
    desk.decide(Decision(id=uuid4().hex, reviewer=reviewer, action=action, **seen, **fields))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def use(run: Path, value: str) -> None:
    record = json.loads((run / "run.json").read_text())
    record["recipe"]["corpus"]["review"] = {"use": value}
    (run / "run.json").write_text(json.dumps(record))


@pytest.fixture
def run(declared_run, tmp_path) -> Path:
    """Row 0 is accepted, 1 rejected, 2 edited, 3 has its last candidate promoted, and the others are undecided."""
    run = shutil.copytree(declared_run, tmp_path / "run")
    desk = Desk(run)
    decide(desk, 0, "accept")
    decide(desk, 1, "reject", reason="dull")
    decide(desk, 1, "accept", "ben")
    decide(desk, 1, "reject", "ben")
    decide(desk, 2, "edit", instruction=EDITED)
    last = max(desk.row(3, "ada")["candidates"], key=lambda one: one["rank"])
    assert last["rank"] > 1
    decide(desk, 3, "promote", candidate=last["number"])
    desk.close()
    return run


def test_pairs_are_those_that_people_left(run, declared_run, tmp_path):
    rows = [row for _, _, row in ranked_rows(run, read_record(run))]
    export_pairs(declared_run, tmp_path / "before.jsonl")
    before = lines(tmp_path / "before.jsonl")
    assert "instruction_written_by" not in before[0]
    export_pairs(run, tmp_path / "pairs.jsonl")
    pairs = lines(tmp_path / "pairs.jsonl")
    assert [one["output"] for one in pairs] == [one["output"] for n, one in enumerate(before) if n != 1]
    assert [one["instruction_written_by"] for one in pairs] == [None, "person"] + [None] * (len(pairs) - 2)
    assert pairs[0]["instruction"] == before[0]["instruction"]
    assert pairs[1]["instruction"] == EDITED
    assert pairs[2]["instruction"] in {one["instruction"] for one in rows[3]["candidates"]}
    assert pairs[2]["instruction"] != before[3]["instruction"]

    trained_on, digest = reviewed_rows(run), review_digest(run)
    assert trained_on["completion"] == [one["output"] for one in pairs]
    assert EDITED in trained_on["prompt"][1]
    assert trained_on.cache_files  # on disk, so that memory does not grow with the corpus
    remove_reviewed_rows(run)
    assert sorted(path.name for path in (run / "review").iterdir()) == ["log.jsonl"]
    for value, count in (("accepted", 3), ("ignore", len(before))):
        use(run, value)
        assert export_pairs(run, tmp_path / "pairs.jsonl") == count
        assert review_digest(run) != digest
    assert lines(tmp_path / "pairs.jsonl") == before
    assert reviewed_rows(run) is None
    use(declared_run_copy := shutil.copytree(declared_run, tmp_path / "unseen"), "accepted")
    with pytest.raises(RunFolderError, match="no row left to train on"):
        reviewed_rows(declared_run_copy)


def test_a_promoted_candidate_is_preferred_to_what_the_selection_chose(run, declared_run, tmp_path):
    export_preferences(declared_run, tmp_path / "before.jsonl")
    export_preferences(run, tmp_path / "after.jsonl")
    after = {one["prompt"]: one for one in lines(tmp_path / "after.jsonl") if one["chosen_by"] == "person"}
    before = {one["prompt"]: one for one in lines(tmp_path / "before.jsonl")}
    promoted = [one for one in after.values() if EDITED not in one["chosen"]]
    assert [EDITED in one["chosen"] for one in after.values()].count(True) == 1
    for one in promoted:
        assert one["margin"] < 0
        assert one["rejected"] == before[one["prompt"]]["chosen"] if one["prompt"] in before else True
    outputs = [row["output"] for _, _, row in ranked_rows(run, read_record(run))]
    assert not any(outputs[1] in one["prompt"] for one in lines(tmp_path / "after.jsonl"))


def test_the_report_fits_a_terminal(run):
    console = Console(width=80, record=True, file=io.StringIO())
    print_review(run, console)
    shown = console.export_text()
    for words in ("0.02 to 0.05", "95% interval", "rejected", "Reviewed by 2"):
        assert words in shown
    log_path(run).unlink()
    desk = Desk(run)
    decide(desk, 0, "note", note="look at this again")
    desk.close()
    print_review(run, console)
    assert "No reviewed row left a choice" in console.export_text()


def test_seeds_have_their_provenance(run, declared_run, tmp_path):
    path = run / "reviewed_seeds.jsonl"
    assert export_seeds(run, path) == 3
    seeds = lines(path)
    assert [one["instruction_written_by"] for one in seeds] == [None, "person", None]
    assert {one["license"] for one in seeds} == {"CC BY 4.0"}
    assert seeds[0]["made_with"]["generator"]
    assert read_seeds([SeedSource(str(path))], Skipped())["instruction"] == [one["instruction"] for one in seeds]
    assert judge_local(path).answer == "clean"  # by the run that it lies in
    assert judge_local(path).license
    with pytest.raises(RunFolderError, match="has no accepted row"):
        export_seeds(declared_run, tmp_path / "none.jsonl")


def test_data_sets_and_cards_say_who_reviewed_what(run, tmp_path):
    folder = build_folder([run], tmp_path / "folder")
    rows = load_dataset(str(folder), "combined", split="train", cache_dir=tmp_path / "cache")
    assert EDITED in rows["instruction"]
    assert rows.filter(lambda row: row["instruction_written_by"] == "person").num_rows == 1
    card = (folder / "README.md").read_text("utf-8")
    assert "4 rows were reviewed by 2 people." in card
    assert "3 were accepted, of which 1 have an instruction that a person wrote and 1 have a candidate" in card
    assert "1 were rejected." in card
    assert "Reviewers disagreed" not in card
    assert "Rejected rows are left out." in card
    assert f"{len(rows)} pairs of an instruction" in card
    assert "`instruction_written_by`" in card
    described = mlcroissant.Dataset(folder / "croissant.json")
    assert not described.metadata.ctx.issues.warnings
    found = {row["combined/instruction"].decode(): row for row in described.records("combined")}
    assert found[EDITED]["combined/instruction_written_by"] == b"person"
    assert "People reviewed" in (folder / "croissant.json").read_text("utf-8")
    builder = DavidGen(config_name="combined", runs=[run], cache_dir=str(tmp_path / "cache"))
    assert builder.info.features == rows.features
    write_cards(run)
    assert "holds the corpus as it was built" in (run / "README.md").read_text("utf-8")


def test_what_is_pushed_is_what_people_left(near_hub, run, tmp_path):
    push(run, Push("org/houses", ("corpus",), publish_restricted=True), lambda _: None)
    pulled = snapshot_download("org/houses", repo_type="dataset", local_dir=tmp_path / "pulled")
    rows = load_dataset(pulled, "unsupervised", split="train", cache_dir=str(tmp_path / "cache"))
    outputs = [row["output"] for _, _, row in ranked_rows(run, read_record(run))]
    assert outputs[1] not in rows["output"]
    assert rows.filter(lambda row: row["instruction_written_by"] == "person")["instruction"] == [EDITED]
    assert "4 rows were reviewed by 2 people." in (Path(pulled) / "README.md").read_text("utf-8")
    decide(desk := Desk(run), outputs.index(rows["output"][-1]), "reject", "ben", reason="dull")
    desk.close()
    push(run, Push("org/houses", ("corpus",), publish_restricted=True), lambda _: None)
    assert len(near_hub.commits("org/houses", "dataset")) == 3
    pulled = snapshot_download("org/houses", repo_type="dataset", local_dir=tmp_path / "again")
    again = load_dataset(pulled, "unsupervised", split="train", cache_dir=str(tmp_path / "cache"))
    assert again["output"] == rows["output"][:-1]
