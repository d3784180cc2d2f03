"""A run's rows as pairs and as preferences, in the formats that TRL's own trainers read."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset
from typer.testing import CliRunner

from davidgen_hf import prompts
from davidgen_hf.cli import app
from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.processors.select import perplexity
from davidgen_hf.provenance import Part, Provenance, Verdict
from davidgen_hf.publish.eu_summary import MARK, write_eu_summary
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


def test_a_candidate_that_was_not_scored_in_full_is_no_rejected_answer(run):
    shared = {"style": "chatbot", "input": ""}
    of_first_tokens = empty_candidate(instruction="Who?", nll=9.0, n_tokens=2, reject_reason="eliminated", **shared)
    full = [empty_candidate(instruction=f"{n}?", nll=20.0 + n, n_tokens=10, **shared) for n in range(2)]
    rows = {"output": ["One."] * 2, "candidates": [[of_first_tokens, *full], [of_first_tokens, full[0]]]}
    scored = Dataset.from_dict(rows, features=Features({"output": FRAGMENT["output"]} | CANDIDATES))
    write_shard(scored, run / "scored" / "00000.parquet", Counter(), 0.0)
    assert export_preferences(run, run / "p.jsonl") == 1 + 2
    first = json.loads((run / "p.jsonl").read_text().splitlines()[0])
    assert (first["chosen"], first["rejected"]) == tuple(map(prompts.render_answer, ("0?", "1?")))
    assert [perplexity(one) is None for one in rows["candidates"][0]] == [True, False, False]


def test_the_corpus_as_pairs(run):
    assert export_pairs(run, run / "pairs.jsonl") == 6
    rows = [json.loads(line) for line in (run / "pairs.jsonl").read_text().splitlines()]
    assert rows[5] == {"instruction": "x", "input": "x", "output": OUTPUTS[5]}


CHAT_TEMPLATE = "{% for one in messages %}{{ one.role ~ ': ' ~ one.content ~ '\\n' }}{% endfor %}"


def two_steps(trainer: str, rows: Dataset, model: Path, folder: Path) -> list[float]:
    """Let TRL's own trainer take two steps, and return their losses."""
    import trl
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = CHAT_TEMPLATE
    settings = {"per_device_train_batch_size": 2, "max_steps": 2, "learning_rate": 1e-2, "logging_steps": 1}
    settings |= {"bf16": False, "use_cpu": True, "report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    trained = getattr(trl, f"{trainer}Trainer")(
        AutoModelForCausalLM.from_pretrained(model),
        args=getattr(trl, f"{trainer}Config")(str(folder), **settings),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    trained.train()
    losses = [entry["loss"] for entry in trained.state.log_history if "loss" in entry]
    assert len(losses) == trained.state.global_step == 2
    return losses


def exported(run: Path, form: str, suffix: str = "parquet") -> Dataset:
    path = run / "out" / f"{form}.{suffix}"
    (export_preferences if form in {"dpo", "kto"} else export_pairs)(run, path, form=form)
    read = Dataset.from_json if suffix == "jsonl" else Dataset.from_parquet
    return read(str(path), cache_dir=run / "cache")


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_every_format_says_the_same(run, suffix):
    pairs, messages = exported(run, "alpaca", suffix), exported(run, "messages", suffix)
    assert (len(pairs), len(messages)) == (6, 6)
    question, answer = {"role": "user", "content": "x\n\nx"}, {"role": "assistant", "content": OUTPUTS[0]}
    assert messages[0] == {"messages": [question, answer]}
    turns = [{"from": "human", "value": "x\n\nx"}, {"from": "gpt", "value": OUTPUTS[0]}]
    assert exported(run, "sharegpt", suffix)[0] == {"conversations": turns}
    labeled, preferences = exported(run, "kto", suffix), exported(run, "dpo", suffix)
    assert labeled["prompt"][::2] == labeled["prompt"][1::2] == preferences["prompt"][:]
    assert [row["completion"] for row in labeled if row["label"]] == preferences["chosen"][:]
    assert [row["completion"] for row in labeled if not row["label"]] == preferences["rejected"][:]


@pytest.mark.slow
def test_trl_trains_on_every_format(run, tiny_llama, tmp_path):
    losses = two_steps("DPO", exported(run, "dpo"), tiny_llama, tmp_path / "dpo")
    assert losses[0] == pytest.approx(0.693, abs=0.01)  # ln 2: at the first step both models are the same
    assert losses[1] != losses[0]
    losses = two_steps("KTO", exported(run, "kto"), tiny_llama, tmp_path / "kto")
    assert losses[0] == pytest.approx(0.5, abs=0.01)  # 1 - sigmoid(0)
    as_completions = exported(run, "alpaca").map(  # as docs/publish.md has it
        lambda row: {"prompt": prompts.render_follower(row["instruction"], row["input"]), "completion": row["output"]},
        remove_columns=["instruction", "input", "output"],
    )
    conversations = {form: exported(run, form) for form in ("messages", "sharegpt")}
    for name, rows in (conversations | {"alpaca": as_completions}).items():
        losses = two_steps("SFT", rows, tiny_llama, tmp_path / name)
        assert 0 < losses[1] < losses[0]


@pytest.mark.parametrize(
    ("options", "file", "columns"),
    [
        ((), "corpus", ["instruction", "input", "output"]),
        (("--format", "messages"), "corpus_messages", ["messages"]),
        (("--format", "dpo"), "preferences", ["prompt", "chosen", "rejected", "margin"]),
        (("--preferences", "--format", "kto"), "preferences_kto", ["prompt", "completion", "label", "margin"]),
    ],
)
def test_a_format_says_which_rows_are_meant(run, options, file, columns):
    assert CliRunner().invoke(app, ["export", str(run), *options]).exit_code == 0
    assert list(json.loads((run / f"{file}.jsonl").read_text().splitlines()[0])) == columns


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--as", "pairs", "--format", "kto"), "kto is a format of preferences. Rows of pairs have --format alpaca"),
        (("--as", "seeds", "--format", "messages"), "messages is a format of pairs. Rows of seeds have no --format"),
        (("--as", "rows"), "--as is 'rows'. It must be one of pairs, preferences, seeds"),
        (("--format", "csv"), "--format is 'csv'. It must be one of alpaca, messages, sharegpt, dpo, kto"),
    ],
)
def test_options_that_contradict_each_other(run, options, message):
    found = CliRunner().invoke(app, ["export", str(run), *options])
    assert message in str(found.exception)
    assert not list(run.glob("*.jsonl"))


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


def test_the_eu_summary_says_what_the_run_knows_and_marks_the_rest(declared_run, tmp_path):
    run = shutil.copytree(declared_run, tmp_path / "run")
    said = CliRunner().invoke(app, ["export", str(run), "--as", "eu-summary"])
    assert said.exit_code == 0, said.output
    text = (run / "eu_summary.md").read_text("utf-8")
    count = text.count(MARK)
    assert f"{count} fields are left for you" in said.output
    assert f"**{count} fields**" in text
    headings = re.findall(r"^### (\d\.\d) ", text, re.M)
    assert headings == ["1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "3.1", "3.2", "3.3"]
    assert "| passages.jsonl | outputs of the pairs | none | none | apache-2.0 | 12 |" in text
    assert "| seeds.jsonl | instructions that the generator learns from | none | none | apache-2.0 | 8 |" in text
    assert "- passages.jsonl: Made for this test." in text
    assert "instructions of the pairs: " in text
    assert "outputs of the pairs: " not in text
    assert "tokens (less than 1 billion)" in text
    record = json.loads((run / "run.json").read_text())
    del record["steps"]["follower"], record["steps"]["generator"]
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunFolderError, match="no trained model or no finished corpus"):
        write_eu_summary(run, tmp_path / "summary.md")
    with pytest.raises(InputError, match="cannot be written"):
        write_eu_summary(declared_run, tmp_path / "run" / "run.json" / "summary.md")
