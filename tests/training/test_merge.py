import json

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from davidgen_hf.cli import app
from davidgen_hf.errors import ModelError, RunFolderError
from davidgen_hf.training import train
from davidgen_hf.training.merge import merge_adapter


@pytest.fixture
def adapter(recipe, rows, tmp_path):
    lora = {"use_peft": True, "lora_target_modules": ["all-linear"], "lora_r": 4}
    train(rows, recipe | lora, output_dir=tmp_path / "adapter")
    return tmp_path / "adapter"


def test_the_merged_model_computes_what_base_and_adapter_did(adapter, rows, tmp_path):
    done = CliRunner().invoke(app, ["merge", str(adapter), "--output", str(tmp_path / "merged")])
    assert done.exit_code == 0, done.output
    assert "weights in float32 (as requested)" in " ".join(done.output.split())
    recorded = json.loads((tmp_path / "merged" / "run.json").read_text("utf-8"))
    assert recorded["precision"] == {"dtype": "float32", "reason": "as requested"}
    assert merge_adapter(adapter, tmp_path / "again", "auto").reason == "the base model's checkpoint"
    ids = AutoTokenizer.from_pretrained(tmp_path / "merged")(rows[0]["prompt"], return_tensors="pt")["input_ids"]
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(ids).logits
    apart = AutoPeftModelForCausalLM.from_pretrained(adapter)(ids).logits
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-4)
    assert not (tmp_path / "merged" / "adapter_config.json").exists()


def test_what_is_not_an_adapter_is_refused(tiny_llama, tmp_path):
    with pytest.raises(ModelError, match=r"holds no adapter: adapter_config\.json is missing"):
        merge_adapter(tiny_llama, tmp_path / "merged")


def test_a_folder_in_use_is_refused(adapter):
    with pytest.raises(RunFolderError, match=r"is not empty\. Name a new folder"):
        merge_adapter(adapter, adapter)
