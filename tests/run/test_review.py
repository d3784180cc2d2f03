"""A full round: run, review, export as seeds, train the next generator, report; and what a rerun keeps of a review."""

import json
import shutil
from pathlib import Path
from uuid import uuid4

import pytest
from fuzzing import run_command

from davidgen_hf.corpus.review import read_reviews
from davidgen_hf.recipe import load_recipe
from davidgen_hf.report.review.desk import Desk
from davidgen_hf.report.review.requests import Decision
from davidgen_hf.run.run import run_recipe


def decide(desk: Desk, n: int, action: str, **fields) -> None:
    row = desk.row(n, "ada")
    seen = {"row": row["key"], "version": row["state"]["version"]}
    desk.decide(Decision(id=uuid4().hex, reviewer="ada", action=action, **seen, **fields))


@pytest.fixture
def asked(declared_run) -> list[str]:
    return json.loads((declared_run.parent / "asked.json").read_text())


@pytest.mark.slow
def test_from_a_run_to_the_next_generator_and_back(declared_run, asked, tmp_path):
    run = shutil.copytree(declared_run, tmp_path / "run")
    recipe = load_recipe("demo", asked)
    before = (run / "follower" / "model.safetensors").stat().st_mtime_ns
    desk = Desk(run)
    for n in range(desk.total):
        second = next((one for one in desk.row(n, "ada")["candidates"] if one["rank"] == 2), None)
        match n % 4:
            case 1 if second:
                decide(desk, n, "promote", candidate=second["number"])
            case 2:
                decide(desk, n, "edit", instruction=f"What stands by the river at {n}?")
            case 3:
                decide(desk, n, "reject", reason="dull")
            case _:
                decide(desk, n, "accept")
    desk.close()

    said: list[str] = []
    run_recipe(recipe, run, said.append)
    assert any("Reviewers have decided since the follower was trained. Add --update" in line for line in said)
    record = run_recipe(recipe, run, said.append, update=True)
    assert record.steps["follower"]["review"]
    assert not (run / "review" / "training").exists()
    assert (run / "follower" / "model.safetensors").stat().st_mtime_ns > before
    said.clear()
    run_recipe(recipe, run, said.append)
    assert not any("Reviewers" in line for line in said)

    assert "rows in" in run_command("export", run, "--as", "seeds")[1]
    seeds = run / "reviewed_seeds.jsonl"
    count = len(seeds.read_text().splitlines())
    assert count == read_reviews(run).counts()["accepted"]
    # The seeds are in the run's folder, so they need no declaration: the run is known.
    name, _, declared = next(one for one in asked if one.startswith("provenance.declarations")).partition("=")
    model = {source: one for source, one in json.loads(declared).items() if not source.endswith(".jsonl")}
    following = load_recipe("demo", [*asked, f"{name}={json.dumps(model)}", f"seeds.source.source={seeds}"])
    trained = run_recipe(following, tmp_path / "next", lambda _: None, steps=("seeds", "generator"))
    assert trained.steps["seeds"]["counts"] == {"read": count, "held_out": 2}
    assert (tmp_path / "next" / "generator" / "config.json").is_file()

    code, printed = run_command("review", run, "--report")
    assert code == 0
    assert "How often the selection was right" in printed
    assert "dull" in printed


def test_a_rerun_keeps_decisions_on_rows_that_stayed_and_counts_the_others(declared_run, asked, tmp_path):
    passages = declared_run.parent / "passages.jsonl"
    run = shutil.copytree(declared_run, tmp_path / "run")
    desk = Desk(run)
    for n in range(desk.total):
        decide(desk, n, "accept")
    total = desk.total
    desk.close()
    rows = [json.loads(line) for line in passages.read_text().splitlines()]
    rows[-1]["text"] = "Another passage, about a mill that stands by the sea."
    changed = Path(tmp_path / "passages.jsonl")
    changed.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    asked = [one for one in asked if not one.startswith("corpus.passages.source")]
    recipe = load_recipe("demo", [*asked, f"corpus.passages.source={changed}"])
    said: list[str] = []
    run_recipe(recipe, run, said.append, update=True, steps=("seeds", "generator", "corpus"))
    lost = next(line for line in said if "no longer apply" in line)
    assert 0 < int(lost.split()[0]) < total
    opened = Desk(run)
    assert len(opened.without_row) == int(lost.split()[0])
    assert opened.row(0, "ada")["state"]["verdict"] == "accepted"
    opened.close()
    assert f"{len(opened.without_row)} decisions no longer apply" in run_command("review", run, "--report")[1]
