"""Trainings on preferences: what is learned, from which reference, and what is refused."""

import json

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from davidgen_hf.errors import InputError, MissingColumnsError, SettingError
from davidgen_hf.provenance import read_provenance
from davidgen_hf.training.dpo import SECTIONS, train_preferences
from davidgen_hf.training.rows import PreferenceIds, encode_rows
from davidgen_hf.training.script import load_splits, parse_arguments, train_from_command_line


@pytest.fixture(scope="module")
def preferences() -> Dataset:
    rows = [
        {"prompt": f"House {n}.\n\nX:", "chosen": f" Which house is number {n}?", "rejected": " Why? Why? Why?"}
        for n in range(24)
    ]
    return Dataset.from_list(rows)


@pytest.fixture
def dpo_recipe(recipe) -> dict:
    return recipe | {"learning_rate": 2e-3, "beta": 0.1, "max_steps": 5}


def log_probability(model, tokenizer, row: dict, answer: str) -> float:
    """The log-probability of an answer in nats, summed over its tokens and the end token."""
    ids = PreferenceIds(tokenizer, None)({name: [text] for name, text in row.items()})
    context, target = ids["prompt_ids"][0], ids[f"{answer}_ids"][0]
    with torch.no_grad():
        logits = model(torch.tensor([context + target])).logits[0, len(context) - 1 : -1]
    return float(logits.log_softmax(-1)[range(len(target)), target].sum())


def lead(folder, rows: Dataset) -> float:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    leads = [
        log_probability(model, tokenizer, row, "chosen") - log_probability(model, tokenizer, row, "rejected")
        for row in rows.select(range(4))
    ]
    return sum(leads) / len(leads)


def test_it_learns_to_prefer_and_is_recorded(preferences, dpo_recipe, tiny_llama, tmp_path):
    summary = train_preferences(preferences, dpo_recipe, output_dir=tmp_path / "model")
    assert (summary.trainer, summary.rows.used, summary.steps) == ("dpo", 24, 5)
    assert summary.loss_start == pytest.approx(0.693, abs=0.001)  # ln 2: the model is its own reference
    assert summary.loss_end < 0.6
    assert lead(tmp_path / "model", preferences) > lead(tiny_llama, preferences) + 1
    card = (tmp_path / "model" / "README.md").read_text()
    assert "- dpo" in card
    assert "trained with davidgen_hf and TRL on preferences (DPO)" in card
    # The same call finds it finished, and a reference that stays in memory gives the same weights.
    assert train_preferences(preferences, dpo_recipe, output_dir=tmp_path / "model") == summary
    in_memory = dpo_recipe | {"precompute_ref_log_probs": False}
    train_preferences(preferences, in_memory, output_dir=tmp_path / "in_memory")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("model", "in_memory"))
    assert all(torch.allclose(before[name], after[name], atol=1e-5) for name in before)


def test_the_command_line_trains_an_adapter_and_judges_what_it_uses(preferences, dpo_recipe, tmp_path):
    preferences.add_column("restricted", [True] * 24).to_json(tmp_path / "rows.jsonl")
    (tmp_path / "recipe.yaml").write_text(json.dumps(dpo_recipe | {"max_steps": 2}))
    argv = ["--config", str(tmp_path / "recipe.yaml"), "--dataset_name", str(tmp_path / "rows.jsonl"), "--use_peft"]
    argv += ["--output_dir", str(tmp_path / "adapter"), "--test_split_size", "4", "--eval_strategy", "epoch"]
    argv += ["--train_sampling_strategy", "group_by_length", "--allow_restricted"]
    summary = train_from_command_line(argv, "dpo")
    assert (summary.rows.given, summary.steps, len(summary.eval_history)) == (20, 2, 1)
    assert summary.loss_start == pytest.approx(0.693, abs=0.001)  # a new adapter changes nothing
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert read_provenance(tmp_path / "adapter").restricted


def test_rows_are_cut_dropped_and_counted(preferences, tiny_llama):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    prompt = len(PreferenceIds(tokenizer, None)(preferences[:1])["prompt_ids"][0])
    rows = [preferences[0], preferences[0] | {"rejected": " "}, preferences[0] | {"prompt": "House. " * 40}]
    encoded, counts = encode_rows(Dataset.from_list(rows), PreferenceIds(tokenizer, prompt + 3))
    assert (counts.given, counts.used, counts.empty, counts.cut_away, counts.cut) == (3, 1, 1, 1, 1)
    assert counts.completion_tokens == 6
    assert [len(encoded[0][f"{name}_ids"]) for name in ("prompt", "chosen", "rejected")] == [prompt, 3, 3]


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ({"prompt": "a", "completion": "b"}, MissingColumnsError, "needs .*'chosen', 'rejected'.*--format dpo"),
        ({"prompt": "a", "chosen": 1, "rejected": "b"}, InputError, "chosen holds int64, and training needs text"),
    ],
)
def test_other_rows_are_refused(tmp_path, row, error, message):
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    with pytest.raises(error, match=message):
        load_splits({"dataset_name": str(tmp_path / "rows.jsonl")}, preferences=True)


def test_unknown_keys_and_values_are_refused_together(tmp_path, dpo_recipe):
    (tmp_path / "recipe.yaml").write_text(json.dumps(dpo_recipe | {"betta": 0.1, "beta": 0, "push_to_hub": True}))
    with pytest.raises(SettingError, match=r"(?s)3 problem.*beta: .*betta: unknown key; did you mean beta.*would pub"):
        parse_arguments(SECTIONS, "", ["--config", str(tmp_path / "recipe.yaml")])
