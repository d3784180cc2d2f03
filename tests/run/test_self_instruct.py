"""Runs of method self_instruct: the same tasks however they are built, and outputs that name who wrote them."""

import json
import multiprocessing
import time
from pathlib import Path

import pytest
from datasets import load_dataset

from davidgen_hf import prompts
from davidgen_hf.corpus.facts import pairs_per_hour, read_facts
from davidgen_hf.errors import InputError, RunFolderError, SettingError
from davidgen_hf.provenance import read_provenance
from davidgen_hf.publish.builder import kinds_of
from davidgen_hf.publish.export import export_pairs, export_preferences
from davidgen_hf.publish.folder import build_folder
from davidgen_hf.recipe import Recipe, load_recipe
from davidgen_hf.report import write_report
from davidgen_hf.run.run import run_part, run_recipe
from davidgen_hf.sources.source import Skipped
from davidgen_hf.storage.shards import Part, read_shards

STAGES = ("tasks", "guarded", "novel", "corpus")
SUBJECTS = ("rivers", "lakes", "hills", "towns", "birds", "trees", "songs", "books", "games", "tools")


@pytest.fixture
def recipe(tmp_path):
    rows = [
        {
            "instruction": f"Name {n + 2} {name} that you like.",
            "input": "",
            "output": f"One of the {name}.",
            "license": "MIT",
        }
        for n, name in enumerate(SUBJECTS)
    ]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def recipe(*more: str) -> Recipe:
        asked = [f"seeds.source.source={tmp_path}/seeds.jsonl", "seeds.held_out=2", "corpus.shard_rows=4"]
        asked += ["corpus.prompts=18", "corpus.generate.engine={kind: echo, model: echo}"]
        return load_recipe("self_instruct", [*asked, *more])

    return recipe


def build(recipe: Recipe, folder: Path) -> dict[str, dict]:
    run_recipe(recipe, folder, lambda _: None, steps=("corpus",))
    return {stage: read_shards(folder / stage)[:] for stage in STAGES}


def test_tasks_become_pairs_that_name_their_writer(recipe, tmp_path):
    run = tmp_path / "run"
    rows = build(recipe(), run)
    tasks, pairs = rows["tasks"], rows["corpus"]
    assert [int(name.split("-")[1]) for name in dict.fromkeys(tasks["document"])] == list(range(18))
    assert len(set(tasks["id"])) == len(tasks["id"]) > 18
    seeds = {f"Name {n + 2} {name} that you like." for n, name in enumerate(SUBJECTS)}
    held_out = {row["instruction"] for row in recipe().seeds.read(Skipped())["held_out"]}
    given = [row["text"] for row in recipe().corpus.rows(recipe().seeds, Skipped())]
    assert len(set(given)) > 15
    shown = {task[0] for text in given for task in prompts.parse_tasks(text)}
    assert not any(seed in text for seed in seeds for text in tasks["text"])  # their license may not allow it
    assert shown == seeds - held_out
    reasons = read_facts(run).reasons
    assert reasons["no_output"] > 0
    assert len(pairs["id"]) > 5
    assert set(pairs["output_written_by"]) == {"echo"} == set(pairs["source"])
    assert pairs["made_with"][0]["seeds"] == ["seeds.jsonl"]
    assert set(pairs["strategy"]) == {"self_instruct"}
    assert {part.role for part in read_provenance(run).parts} == {"seeds", "generator"}
    record = json.loads((run / "run.json").read_text())
    assert record["steps"]["corpus"]["counts"]["tasks"]["prompts"] == 18
    record["steps"]["corpus"]["stage_seconds"] = {"tasks": 1700.0, "novel": 100.0}
    assert pairs_per_hour(record) == 2 * len(pairs["id"])
    # What is shown and given away.
    assert kinds_of([run]) == ["self_instruct", "combined"]
    card = (run / "README.md").read_text()
    assert "The outputs of all of them are **a model's**" in card
    assert "written by echo" in card.replace("\n", " ")
    assert "existing text" not in card
    page = write_report(run).read_text()
    assert "18 prompts became" in page
    assert "A model wrote the outputs too" in page
    assert export_pairs(run, tmp_path / "pairs.jsonl", "messages") == len(pairs["id"])
    with pytest.raises(RunFolderError, match=r"method self_instruct, which .*Export its pairs instead \(alpaca, mess"):
        export_preferences(run, tmp_path / "preferences.jsonl")
    loaded = load_dataset(str(build_folder([run], tmp_path / "built")), "self_instruct", split="train")
    assert loaded["output_written_by"][:] == pairs["output_written_by"]


def test_the_same_rows_in_parts(recipe, tmp_path):
    for number in (1, 0):
        run_part(recipe(), tmp_path / "parts", Part(number, 2))
    assert build(recipe(), tmp_path / "parts") == build(recipe(), tmp_path / "whole")


@pytest.mark.slow
def test_the_same_rows_after_kills(recipe, tmp_path):
    asked = recipe("corpus.prompts=200")
    whole = build(asked, tmp_path / "whole")
    processes = multiprocessing.get_context("forkserver")
    for _ in range(3):
        process = processes.Process(target=build, args=(asked, tmp_path / "killed"))
        process.start()
        until = time.monotonic() + 30
        before = len(list((tmp_path / "killed").glob("*/*.parquet")))
        while process.is_alive() and time.monotonic() < until:
            if len(list((tmp_path / "killed").glob("*/*.parquet"))) > before + 9:
                break
        process.kill()
        process.join()
    assert build(asked, tmp_path / "killed") == whole


@pytest.mark.slow
def test_the_same_rows_on_ray(recipe, tmp_path):
    from davidgen_hf.corpus.executors import ExecutorSettings

    asked = recipe()
    settings = ExecutorSettings("ray", workers=2)
    run_recipe(asked, tmp_path / "ray", lambda _: None, steps=("corpus",), executor=settings)
    assert {stage: read_shards(tmp_path / "ray" / stage)[:] for stage in STAGES} == build(asked, tmp_path / "whole")


def test_seeds_are_an_input_of_the_corpus(recipe, tmp_path):
    with pytest.raises(InputError, match="A list of tasks needs 40 of them with different instructions"):
        build(recipe("seeds.tasks.examples=38"), tmp_path / "few")
    with pytest.raises(SettingError, match="passages: unknown key"):
        recipe("corpus.passages.source=embedded")
    with pytest.raises(SettingError, match="prompts must be 1 to"):
        recipe("corpus.prompts=0")


def test_exactly_so_many_pairs(recipe, tmp_path):
    whole = build(recipe("corpus.prompts=60"), tmp_path / "whole")["corpus"]
    some = build(recipe("corpus.prompts=60", "corpus.target_pairs=9"), tmp_path / "some")["corpus"]
    assert some["id"] == whole["id"][:9]


def test_without_guards_whole_tasks_stay(recipe, tmp_path):
    asked = recipe("corpus.guards=none")
    run_recipe(asked, tmp_path / "run", lambda _: None, steps=("corpus",))
    tasks, pairs = (read_shards(tmp_path / "run" / stage) for stage in ("tasks", "corpus"))
    assert len(pairs) == sum(many[0]["reject_reason"] is None for many in tasks["candidates"])
