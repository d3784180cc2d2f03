"""A run's rows as pairs and as preferences, which TRL's own trainer takes."""

import json
from collections import Counter

import pytest
from datasets import Dataset, load_dataset

from davidgen_hf import prompts
from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.provenance import Part, Provenance, Verdict
from davidgen_hf.publish.export import export_pairs, export_preferences
from davidgen_hf.publish.marks import is_restricted
from davidgen_hf.recipe import load_recipe
from davidgen_hf.schema import CANDIDATES, FRAGMENT, PAIR, Features, empty_candidate
from davidgen_hf.storage.shards import write_shard

OUTPUTS = [f"House number {number} stands by the river." for number in range(6)]


def candidates(number: int) -> list[dict]:
    """Three scored candidates, the second the best; of the last row only one is left."""
    rejected = "copies_output" if number == 5 else None
    shared = {"style": "chatbot", "n_tokens": 10}
    return [
        empty_candidate(instruction=f"What of {number}?", input="", nll=30.0, reject_reason=rejected, **shared),
        empty_candidate(instruction=f"What stands by the river at {number}?", input="a", nll=20.0, **shared),
        empty_candidate(instruction="Why?", input="", nll=20.0 + number * 4, reject_reason=rejected, **shared),
    ]


@pytest.fixture
def run(tmp_path):
    """Two shards of three rows."""
    for shard in range(2):
        numbers = range(3 * shard, 3 * shard + 3)
        rows = {"output": [OUTPUTS[n] for n in numbers], "candidates": [candidates(n) for n in numbers]}
        scored = Dataset.from_dict(rows, features=Features({"output": FRAGMENT["output"]} | CANDIDATES))
        write_shard(scored, tmp_path / "scored" / f"0000{shard}.parquet", Counter(), 0.0)
        pairs = {name: ["x"] * 3 if feature.dtype == "string" else [1.0] * 3 for name, feature in PAIR.items()}
        made = Dataset.from_dict(
            pairs | {"output": rows["output"]}, features=Features(PAIR | {"output": FRAGMENT["output"]})
        )
        write_shard(made, tmp_path / "corpus" / f"0000{shard}.parquet", Counter(), 0.0)
    return tmp_path


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_best_against_worst_under_the_generators_prompt(run, suffix):
    path = run / "out" / f"preferences.{suffix}"
    assert export_preferences(run, path) == 5
    read = Dataset.from_json if suffix == "jsonl" else Dataset.from_parquet
    rows = list(read(str(path), cache_dir=run / "cache"))
    assert [row["margin"] for row in rows] == pytest.approx([1.0, 1.0, 1.0, 1.2, 1.6], abs=1e-15)
    assert rows[0] == {
        "prompt": prompts.render_generator(OUTPUTS[0], "chatbot"),
        "chosen": prompts.render_answer("What stands by the river at 0?", "a"),
        "rejected": prompts.render_answer("What of 0?"),
        "margin": 1.0,
    }
    assert rows[4]["rejected"] == prompts.render_answer("Why?")
    assert list((run / "out").iterdir()) == [path]


def test_a_margin_can_be_required(run):
    assert export_preferences(run, run / "p.jsonl", min_margin=1.1) == 2


def test_the_corpus_as_pairs(run):
    assert export_pairs(run, run / "pairs.jsonl") == 6
    rows = [json.loads(line) for line in (run / "pairs.jsonl").read_text().splitlines()]
    assert rows[5] == {"instruction": "x", "input": "x", "output": OUTPUTS[5]}


def test_trl_takes_steps_on_it(run, tiny_llama):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    export_preferences(run, run / "preferences.parquet")
    rows = load_dataset("parquet", data_files=str(run / "preferences.parquet"), split="train", cache_dir=run / "cache")
    trainer = DPOTrainer(
        AutoModelForCausalLM.from_pretrained(tiny_llama),
        args=DPOConfig(
            str(run / "dpo"),
            max_steps=2,
            per_device_train_batch_size=2,
            learning_rate=1e-2,
            bf16=False,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
        ),
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(tiny_llama),
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == trainer.state.global_step == 2
    assert losses[0] == pytest.approx(0.693, abs=0.01)  # ln 2: at the first step both models are the same
    assert losses[1] != losses[0]


def test_what_cannot_be_exported(run, tmp_path):
    with pytest.raises(RunFolderError, match=r"elsewhere/scored holds no finished shard\. Name the folder of a run"):
        export_preferences(tmp_path / "elsewhere", tmp_path / "p.jsonl")
    with pytest.raises(InputError, match=r"ends in '\.csv'; name a file that ends in \.jsonl or \.parquet"):
        export_pairs(run, tmp_path / "p.csv")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written: .*Name another file with --output"):
        export_pairs(run, tmp_path / "file" / "p.jsonl")


@pytest.mark.parametrize("marked", [True, False])
def test_rows_of_a_restricted_run_stay_marked_outside_its_folder(run, marked):
    provenance = Provenance((Part("seeds", Verdict("s", "restricted" if marked else "clean", "It is.")),), marked)
    recipe = load_recipe("demo", [])
    record = {"name": recipe.name, "recipe": recipe.text, "steps": {}, "provenance": provenance.record()}
    (run / "run.json").write_text(json.dumps(record))
    for name, export in (("pairs", export_pairs), ("preferences", export_preferences)):
        export(run, run / "out" / f"{name}.jsonl")
        rows = [json.loads(line) for line in (run / "out" / f"{name}.jsonl").read_text().splitlines()]
        assert {row.get("restricted") for row in rows} == {True if marked else None}


def test_a_run_whose_candidates_a_closed_model_wrote_is_marked(run):
    scored = Dataset.from_dict(
        {"output": ["x"], "candidates": [[empty_candidate(instruction="Why?", closed_source=True)]]},
        features=Features({"output": FRAGMENT["output"]} | CANDIDATES),
    )
    assert not is_restricted(run)
    write_shard(scored, run / "scored" / "00002.parquet", Counter(), 0.0)
    assert is_restricted(run)
