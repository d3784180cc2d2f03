"""A recipe to a run folder, end to end: on a tiny random model, resumed, refused; and once on the real one."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from davidgen_hf.corpus.facts import read_choices
from davidgen_hf.errors import InputError, ModelError, RunFolderError
from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.record import check_folder
from davidgen_hf.run.run import run_recipe
from davidgen_hf.run.steps import STEPS
from davidgen_hf.run.summary import attrition_table, perplexities
from davidgen_hf.storage.lock import LOCK
from davidgen_hf.storage.shards import read_shards, shard_paths

PASSAGES = [
    f"The house number {n} stands by the river. It was built long ago, and {n} people live in it." for n in range(7)
]
SEEDS = [{"instruction": f"Name {n} rivers.", "output": f"The Nile and {n} others flow."} for n in range(8)]


@pytest.fixture
def asked(tmp_path, tiny_llama) -> list[str]:
    """Overrides of the demo recipe for a tiny model and texts of the test's own."""
    for name, rows in (("p", [{"text": text} for text in PASSAGES] + [{"text": None}]), ("s", SEEDS)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return [
        f"corpus.passages.source={tmp_path}/p.jsonl",
        f"seeds.source.source={tmp_path}/s.jsonl",
        "seeds.held_out=2",
        *(
            f"{step}.{key}"
            for step in ("generator", "follower")
            for key in (f"model_name_or_path={tiny_llama}", "max_steps=2")
        ),
        "generator.bf16=false",
        "follower.bf16=false",
        "corpus.shard_rows=3",
        "corpus.guards=none",
        "corpus.limit.max_tokens=100",
        "corpus.generate.sampling.max_new_tokens=8",
        "evaluation.max_new_tokens=8",
    ]


def run(asked: list[str], output: Path) -> tuple[dict, list[str]]:
    said = []
    record = run_recipe(load_recipe("demo", asked), output, said.append)
    return record.content, said


def files_of(folder: Path) -> dict[str, int]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def test_the_whole_way_on_a_tiny_model(asked, tmp_path):
    content, said = run(asked, tmp_path / "out")
    assert [line.split()[1] for line in said if line[0].isdigit()] == list(STEPS)
    counts = content["steps"]["corpus"]["counts"]
    assert (counts["fragments"]["passages"], counts["fragments"]["fragments.whole"]) == (7, 7)
    assert counts["candidates"]["candidates"] == 4 * len(read_shards(tmp_path / "out" / "fragments"))
    assert content["steps"]["corpus"]["skipped"] == {"counts": {"null": 1}, "places": {"null": ["p.jsonl:8"]}}
    for stage in ("fragments", "candidates", "scored", "corpus"):
        assert len(shard_paths(tmp_path / "out" / stage)) == 3
    for model in ("generator", "follower"):
        assert (tmp_path / "out" / model / "model.safetensors").is_file()
        assert not list((tmp_path / "out" / model).glob("checkpoint-*"))
    pairs = read_shards(tmp_path / "out" / "corpus")
    assert len(pairs) == counts["corpus"]["pairs"] > 0
    for pair in pairs:
        assert pair["output"] == (pair["text"][pair["start"] : pair["end"]])
        eligible = [one for one in pair["candidates"] if one["nll"] is not None]
        assert pair["instruction"] == min(eligible, key=lambda one: one["nll"])["instruction"]
    assert set(content["steps"]["evaluation"]["scores"]) == {"base", "follower"}
    assert str(tmp_path) not in (tmp_path / "out" / "run.json").read_text()


def test_a_second_call_does_nothing_twice(asked, tmp_path):
    run(asked, tmp_path / "out")
    before = files_of(tmp_path / "out")
    _, said = run(asked, tmp_path / "out")
    assert [line.endswith("done before, skipped") for line in said] == [True] * len(STEPS)
    assert files_of(tmp_path / "out") == before


def test_what_is_missing_is_made_again_the_same(asked, tmp_path):
    out = tmp_path / "out"
    run(asked, out)
    stages = [stage.name for stage in load_recipe("demo", asked).corpus.stages()]
    whole = {stage: read_shards(out / stage)[:] for stage in stages}
    before = files_of(out)
    for stage in ("candidates", "scored", "corpus"):
        (out / stage / "00001.parquet").unlink()
    (out / "fragments" / "finished.json").unlink()
    record = json.loads((out / "run.json").read_text())
    for step in ("corpus", "follower", "evaluation"):
        record["steps"].pop(step)
    (out / "run.json").write_text(json.dumps(record))
    run(asked, out)
    assert {stage: read_shards(out / stage)[:] for stage in stages} == whole
    after = files_of(out)
    untouched = [name for name in before if name.endswith("00000.parquet") or name.startswith("generator/")]
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("corpus.generate.n=5", "recipe.corpus.generate.n: was 4, is 5"),
        ("seeds.held_out=3", "recipe.seeds.held_out: was 2, is 3"),
    ],
)
def test_a_folder_of_another_recipe_is_refused(asked, tmp_path, change, difference):
    run([*asked, "corpus.extract={whole: {}}"], tmp_path / "out")
    before = files_of(tmp_path / "out")
    with pytest.raises(RunFolderError, match="holds a run of another recipe or input; nothing was changed") as refused:
        run([*asked, "corpus.extract={whole: {}}", change], tmp_path / "out")
    assert difference in str(refused.value)
    assert files_of(tmp_path / "out") == before


def test_changed_passages_are_another_input(asked, tmp_path):
    run(asked, tmp_path / "out")
    (tmp_path / "p.jsonl").write_text(json.dumps({"text": "other"}))
    with pytest.raises(RunFolderError, match=r"inputs\.passages: was '"):
        run(asked, tmp_path / "out")


def test_a_folder_of_something_else_is_refused(asked, tmp_path):
    (tmp_path / "out").mkdir()
    for draft in (".run.json.host.1.part", "progress.json.0-of-2", ".lock.0-of-2"):  # of another part that starts too
        (tmp_path / "out" / draft).touch()
    check_folder(tmp_path / "out")
    (tmp_path / "out" / "letter.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"is not empty and holds no run\.json: it is not a run folder"):
        run(asked, tmp_path / "out")


@pytest.mark.parametrize("content", ["{", "[]", '{"recipe": {}}'])
def test_a_damaged_record_is_named(asked, tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"run\.json: .*this one is damaged\. Put back a copy"):
        run(asked, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("generator.model_name_or_path=no/model/here", ModelError, "The model folder 'no/model/here' does not exist"),
        ("corpus.passages.source=nowhere.txt", InputError, r"There is no file or folder 'nowhere\.txt'"),
        ("corpus.passages.text_column=body", InputError, "has no column 'body'"),
        ("seeds.source.source=nowhere.jsonl", InputError, r"There is no file or folder 'nowhere\.jsonl'"),
    ],
)
def test_bad_input_shows_before_anything_is_written(asked, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        run([*asked, change], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_encoder_is_not_a_causal_model(asked, tmp_path, tiny_t5):
    with pytest.raises(ModelError, match=r"is an encoder-decoder \(t5\), and a causal language model is needed"):
        run([*asked, f"generator.model_name_or_path={tiny_t5}"], tmp_path / "out")


def test_more_held_out_than_there_are_seeds(asked, tmp_path):
    with pytest.raises(InputError, match="held_out=8 leaves nothing of 8 seeds to train on"):
        run([*asked, "seeds.held_out=8"], tmp_path / "out")


def test_no_pair_at_all_is_an_error_that_says_why(asked, tmp_path):
    with pytest.raises(RunFolderError, match=r"7 passages gave no pair: .*'rejected\.[a-z_]+'"):
        run(
            [*asked, "corpus.generate.engine={kind: echo, model: echo}", "corpus.guards={rules: {max_words: 1}}"],
            tmp_path / "out",
        )


def test_the_summary_counts_what_the_files_hold(asked, tmp_path):
    run(asked, tmp_path / "out")
    record = run_recipe(load_recipe("demo", asked), tmp_path / "out", lambda _: None)
    shown = {
        (row[1]): row[2] for row in zip(*(column._cells for column in attrition_table(record).columns), strict=True)
    }
    assert shown["passages skipped: null (p.jsonl:8)"] == "1"
    assert shown["passages"] == "7"
    assert shown["pairs"] == str(len(read_shards(tmp_path / "out" / "corpus")))
    means = [float(cell) for cell in perplexities(read_choices(tmp_path / "out")).columns[1]._cells]
    assert means[0] <= means[1] <= means[2]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_killed_while_it_trains_resumes_from_the_last_checkpoint(asked, tmp_path):
    asked += ["generator.max_steps=60", "generator.save_strategy=steps", "generator.save_steps=20"]
    command = [sys.executable, "-m", "davidgen_hf", "run", "demo", *asked, "--output", str(tmp_path / "out")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        while not list(tmp_path.glob("out/generator/checkpoint-*/trainer_state.json")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    content, said = run(asked, tmp_path / "out")
    assert said[0] == f"1/{len(STEPS)} seeds: done before, skipped"
    record = json.loads((tmp_path / "out" / "generator" / "run.json").read_text())
    assert [step for step, _ in record["loss_history"]][-1] == content["steps"]["generator"]["steps"] == 60
    whole = record["rows"]["tokens"] * 60 * 8 / record["rows"]["used"]
    assert record["tokens_seen"] < 0.7 * whole


@pytest.mark.slow
def test_the_whole_way_on_the_real_model(embedded_model, tmp_path):
    few = ["corpus.passages.max_rows=8", "generator.num_train_epochs=1"]
    content, _ = run(few, tmp_path / "out")
    assert content["provenance"]["answer"] == "restricted"
    generator = content["steps"]["generator"]
    assert generator["loss_end"] < generator["loss_start"]
    assert content["steps"]["corpus"]["counts"]["corpus"]["pairs"] >= 8
    means = [float(cell) for cell in perplexities(read_choices(tmp_path / "out")).columns[1]._cells]
    assert means[0] < means[1] < means[2]
    shutil.rmtree(tmp_path / "out")
