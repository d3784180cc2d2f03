"""A training judges its model and rows before it begins, and its model's record says what was found."""

import json
import shutil

import pytest
from datasets import Dataset
from huggingface_hub import ModelCard

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance import Part, Provenance, Verdict, read_provenance
from davidgen_hf.sources.origins import model_part
from davidgen_hf.training import train
from davidgen_hf.training.judging import judge_training
from davidgen_hf.training.merge import merge_adapter
from davidgen_hf.training.script import train_from_command_line


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "out" / "corpus" / "rows.parquet"
    path.parent.mkdir(parents=True)
    Dataset.from_dict({"prompt": ["Ask:"] * 4, "completion": [" why"] * 4}).to_parquet(path)
    return path


def told(rows, *, allowed: bool):
    part = Part("scorer", Verdict("org/model", "restricted", "A closed model wrote it."))
    record = {"provenance": Provenance((part,), allowed).record()}
    (rows.parents[1] / "run.json").write_text(json.dumps(record))


def test_files_of_the_user_are_recorded_as_unknown(rows, tiny_llama):
    found = judge_training({"dataset_name": str(rows), "model_name_or_path": str(tiny_llama)})
    assert [(part.role, part.name, part.answer) for part in found.parts] == [
        ("data", "rows.parquet", "unknown"),
        ("base_model", tiny_llama.name, "unknown"),
    ]


def test_restricted_rows_stop_a_training(rows, tiny_llama, tmp_path):
    told(rows, allowed=False)
    argv = ["--dataset_name", str(rows), "--model_name_or_path", str(tiny_llama), "--output_dir", str(tmp_path / "m")]
    with pytest.raises(ProvenanceError, match=r"(?s)rows\.parquet: restricted.*the option --allow_restricted"):
        train_from_command_line([*argv, "--max_steps", "1", "--use_cpu"])
    assert not (tmp_path / "m").exists()
    train_from_command_line([*argv, "--max_steps", "1", "--use_cpu", "--allow_restricted"])
    assert read_provenance(tmp_path / "m").answer == "restricted"


def test_what_a_run_allowed_is_allowed_for_its_rows(rows):
    told(rows, allowed=True)
    found = judge_training({"datasets": [{"path": "parquet", "data_files": str(rows)}]})
    assert (found.answer, found.allow_restricted) == ("restricted", True)


def test_a_restricted_model_stops_a_training(rows):
    with pytest.raises(ProvenanceError, match="SmolLM2-135M-Instruct: restricted"):
        judge_training({"dataset_name": str(rows), "model_name_or_path": "embedded"})


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"prompt": "Ask:", "completion": " why"} | row) + "\n" for row in rows))
    return path


def train_on(path, model, output, *options):
    argv = ["--dataset_name", str(path), "--model_name_or_path", str(model), "--output_dir", str(output)]
    steps = ["--max_steps", "1", "--use_cpu", "--bf16", "false", "--report_to", "none", "--save_strategy", "no"]
    return train_from_command_line([*argv, *steps, *options])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{}] * 1200 + [{"restricted": True}], "column 'restricted' marks a row"),
        ([{"candidates": [{"closed_source": False}, {"closed_source": True}]}], "column 'candidates' marks a row"),
        ([{}, {"generator": "gpt-4o-mini"}], "column 'generator' says 'gpt-4o"),
        ([{"source": "sharegpt"}], "column 'source' says 'sharegpt'"),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_rows_that_say_they_are_restricted_stop_a_training(rows, words, suffix, tiny_llama, tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", rows)
    if suffix == "json":
        path = path.rename(path.with_suffix(".json"))
    if suffix == "parquet":
        Dataset.from_json(str(path)).to_parquet(path := tmp_path / "rows.parquet")
    with pytest.raises(ProvenanceError, match=f"(?s){path.name}: restricted.*{words}.*the option --allow_restricted"):
        train_on(path, tiny_llama, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_rows_that_say_the_contrary_do_not_stop_one(tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [{"restricted": False, "candidates": [{"closed_source": False}]}])
    assert judge_training({"dataset_name": str(path)}).answer == "unknown"


@pytest.mark.parametrize("named", ["built", "built/data/train.jsonl"])
def test_a_card_that_is_tagged_restricted_stops_a_training(named, tmp_path):
    write_lines(tmp_path / "built" / "data" / "train.jsonl", [{}])
    (tmp_path / "built" / "README.md").write_text("---\ntags: [restricted]\n---\n# A corpus\n")
    with pytest.raises(ProvenanceError, match=r"restricted\. The card of .* has the tag 'restricted'"):
        judge_training({"dataset_name": str(tmp_path / named)})


@pytest.mark.parametrize("name", ["alpaca_german.jsonl", "alpaca-cleaned.jsonl", "sharegpt/train.jsonl"])
def test_copies_of_restricted_data_are_known_by_their_names(name, tmp_path):
    path = write_lines(tmp_path / name, [{}])
    with pytest.raises(ProvenanceError, match=r"restricted\. .*(alpaca|sharegpt)"):
        judge_training({"dataset_name": str(path)})
    assert judge_training({"dataset_name": str(path)}, allow_restricted=True).answer == "restricted"


@pytest.mark.parametrize(
    "address",
    ["hf://datasets/tatsu-lab/alpaca@main/data/train.parquet", "https://huggingface.co/datasets/tatsu-lab/alpaca/x"],
)
def test_files_of_a_hub_dataset_are_judged_by_its_id(address, monkeypatch):
    monkeypatch.setattr("davidgen_hf.training.judging.Source.resolved", lambda source: source)
    monkeypatch.setattr(
        "davidgen_hf.training.judging.source_part", lambda role, one: Part(role, Verdict(one.source, "clean", ""))
    )
    found = judge_training({"datasets": [{"path": "parquet", "data_files": {"train": [address]}}]})
    assert [part.name for part in found.parts] == ["tatsu-lab/alpaca"]


def test_a_model_that_was_trained_on_restricted_rows_says_so_on_its_card(tiny_llama, tmp_path):
    path = write_lines(tmp_path / "rows.jsonl", [{"restricted": True}] * 4)
    train_on(path, tiny_llama, tmp_path / "m", "--allow_restricted")
    card = ModelCard.load(tmp_path / "m" / "README.md")
    assert "restricted" in card.data.tags
    assert "**Restricted.** In rows.jsonl, column 'restricted' marks a row as restricted." in card.text
    shutil.copytree(tmp_path / "m", tmp_path / "elsewhere" / "copy")
    (tmp_path / "elsewhere" / "copy" / "run.json").unlink()
    other = write_lines(tmp_path / "own" / "rows.jsonl", [{}])
    with pytest.raises(ProvenanceError, match="The card of copy has the tag 'restricted'"):
        judge_training({"dataset_name": str(other), "model_name_or_path": str(tmp_path / "elsewhere" / "copy")})


def write_adapter(folder, base, card=""):
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "peft_type": "LORA"}))
    if card:
        (folder / "README.md").write_text(f"---\n{card}\n---\n")
    return folder


def test_an_adapter_is_at_best_what_its_base_model_is(tmp_path):
    part = model_part("base_model", str(write_adapter(tmp_path / "a", "HuggingFaceH4/zephyr-7b-beta")))
    assert part.answer == "restricted"
    assert part.reason.startswith("adapter_config.json names HuggingFaceH4/zephyr-7b-beta, which is restricted: Ultra")
    clean = write_adapter(tmp_path / "b", "google/t5-v1_1-xl", "datasets: databricks/databricks-dolly-15k")
    assert model_part("base_model", str(clean)).answer == "clean"
    nested = write_adapter(tmp_path / "c", str(tmp_path / "a"))
    assert model_part("base_model", str(nested)).answer == "restricted"


def test_an_adapter_is_under_the_licence_of_its_base_too(tmp_path):
    folder = write_adapter(tmp_path / "a", "meta-llama/Llama-3.1-8B", "license: cc-by-4.0")
    assert model_part("base_model", str(folder)).license == "llama3.1, cc-by-4.0"


def test_a_merged_model_keeps_what_is_known_of_its_adapter(recipe, rows, tmp_path):
    lora = {"use_peft": True, "lora_target_modules": ["all-linear"], "lora_r": 4}
    train(Dataset.from_parquet(str(rows)), recipe | lora, output_dir=tmp_path / "adapter")
    (tmp_path / "adapter" / "README.md").write_text("---\ntags: [restricted]\n---\n# Mine\n")
    with pytest.raises(ProvenanceError, match=r"(?s)adapter: restricted.*the option --allow-restricted"):
        merge_adapter(tmp_path / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    merge_adapter(tmp_path / "adapter", tmp_path / "merged", allow_restricted=True)
    assert read_provenance(tmp_path / "merged").answer == "restricted"
    assert "restricted" in ModelCard.load(tmp_path / "merged" / "README.md").data.tags
