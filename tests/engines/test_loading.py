import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from davidgen_hf.engines.base import EngineSettings
from davidgen_hf.engines.loading import load_model, resolve_device, resolve_dtype
from davidgen_hf.engines.local import LocalEngine
from davidgen_hf.errors import ModelError


@pytest.fixture
def copy(tiny_llama, tmp_path):
    return shutil.copytree(tiny_llama, tmp_path / "copy")


def refuse(model, text, **settings):
    with pytest.raises(ModelError, match=text):
        LocalEngine(EngineSettings(model=str(model), **settings))


@pytest.mark.parametrize("name", ["./nowhere", "a/b/c", "~/nowhere/at/all"])
def test_a_folder_that_is_not_there(name):
    refuse(name, r"The model folder '.*' does not exist\. Name a folder with config\.json, weights and tokenizer")


def test_a_file_is_no_folder(copy):
    refuse(copy / "config.json", r"is a file, not a folder\.")


def test_no_name_at_all():
    refuse("", r"No model is named\. Set model to a local folder, a Hub id, or 'embedded'\.")


def test_a_hub_id_that_is_neither_cached_nor_in_reach(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refuse("nobody/nothing-of-this-name", r"No model configuration could be read from 'nobody/nothing.*cached")


def test_a_config_that_is_not_json(copy):
    (copy / "config.json").write_text("{")
    refuse(copy, r"No model configuration could be read .* Name a folder with config\.json")


def test_a_folder_without_config(copy):
    (copy / "config.json").unlink()
    refuse(copy, r"No model configuration could be read")


@pytest.mark.parametrize("keep_architecture", [True, False])
def test_a_model_that_does_not_write(tmp_path, keep_architecture):
    config = BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertForMaskedLM(config).save_pretrained(tmp_path)
    if not keep_architecture:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    refuse(tmp_path, r"is a (BertForMaskedLM|clip), which does not write text\. Name a causal language model")


@pytest.mark.parametrize("content", [None, b"", b"no safetensors here" * 9])
def test_weights_that_are_absent_or_broken(copy, content):
    (copy / "model.safetensors").unlink()
    if content is not None:
        (copy / "model.safetensors").write_bytes(content)
    refuse(copy, r"could not be loaded: .* Its weights \(safetensors\) and its tokenizer must be next to config\.json")


def test_weights_that_lack_tensors(copy):
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    refuse(copy, r"lack 1 tensors, e\.g\. 'lm_head\.weight', which would be random numbers\.")


def test_a_folder_without_tokenizer(copy):
    for path in copy.glob("*token*"):
        path.unlink()
    refuse(copy, r"could not be loaded: .* and its tokenizer must be next to config\.json")


def test_a_device_that_is_not_there(tiny_llama):
    if torch.cuda.is_available():
        pytest.skip("CUDA is there")
    refuse(tiny_llama, r"device is 'cuda', but torch .* sees 0 CUDA devices\.", device="cuda")
    refuse(tiny_llama, r"device must be auto, cpu, cuda or cuda:N, got 'gpu'\.", device="gpu")


def test_more_tokens_than_positions(tiny_llama):
    refuse(tiny_llama, r"max_length is 513, but .* has 512 positions\. Lower max_length", max_length=513)


@pytest.fixture
def adapter(tiny_llama, tmp_path):
    """A LoRA adapter whose two matrices are both random, as they are after training."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_llama),
        LoraConfig(target_modules="all-linear", init_lora_weights=False),
    )
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", model


def test_an_adapter_is_merged_into_its_base_model(adapter, tiny_llama):
    folder, model = adapter
    ids = torch.tensor([[1, 5, 6, 7]])
    loaded = load_model(EngineSettings(model=str(folder), dtype="float32")).model
    torch.testing.assert_close(loaded(ids).logits, model.eval()(ids).logits, rtol=1e-4, atol=1e-4)
    base = load_model(EngineSettings(model=str(tiny_llama), dtype="float32")).model
    assert not torch.allclose(loaded(ids).logits, base(ids).logits, rtol=1e-2)


def test_an_adapter_without_its_base_model(adapter):
    folder, _ = adapter
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "./gone"}))
    refuse(folder, r"The base model of the adapter .* cannot be used\. The model folder './gone' does not exist\.")


def test_an_adapter_with_broken_weights(adapter):
    folder, _ = adapter
    (folder / "adapter_model.safetensors").write_bytes(b"")
    refuse(folder, r"The adapter .* could not be merged into its base model: .* Train or download")


def test_a_local_folder_has_no_commit(tiny_llama):
    assert load_model(EngineSettings(model=str(tiny_llama))).commit is None


def test_dtype_is_as_named_or_native():
    cpu = resolve_device("cpu")
    assert resolve_dtype("float16", cpu) == torch.float16
    native = torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16")
    if native:
        assert resolve_dtype("auto", cpu) == torch.bfloat16


@pytest.mark.slow
def test_a_branch_is_resolved_to_its_commit(tiny_llama, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(tiny_llama, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    program = (
        "from davidgen_hf.engines import EngineSettings, load_engine;"
        "print(load_engine(EngineSettings(model='someone/tiny', revision='main')).commit)"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == commit
