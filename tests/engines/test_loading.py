import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from davidgen_hf.engines.loading import load_model
from davidgen_hf.engines.local import LocalEngine
from davidgen_hf.engines.settings import EngineSettings
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


def test_a_file_is_not_a_folder(copy):
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


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"architectures": None}, "architectures: Input should be a valid"),
        ({"num_attention_heads": 0}, "No model configuration could be read"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"vocab_size": 0}, "vocab_size is '0', which is not a size"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps is NaN"),
        ({"dtype": "float12"}, "No model configuration could be read"),
        (
            {"quantization_config": {"quant_method": "guess"}},
            "quant_method is 'guess', and transformers knows no such",
        ),
        ({"num_hidden_layers": 10**9}, "describes 1,000,000,000 layers, but its files hold 21 tensors"),
        ({"hidden_size": 10**9}, "describes .* weights, but its files hold .* of them"),
        ({"vocab_size": 10**12}, "describes .* weights, but its files hold .* of them"),
        ({"model_type": "of_tomorrow"}, "No model configuration could be read"),
    ],
)
def test_a_configuration_that_no_model_has(copy, values, words):
    change(copy, **values)
    refuse(copy, words)


def test_a_size_that_is_still_possible_is_not_refused(copy):
    change(copy, max_position_embeddings=10**6)
    assert load_model(EngineSettings(model=str(copy))).model.config.max_position_embeddings == 10**6


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", ""),
        ("tokenizer.json", "{"),
        ("tokenizer.json", '{"version": "1.0"}'),
        ("tokenizer_config.json", '{"tokenizer_class": 5}'),
        ("tokenizer_config.json", '{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": "long"}'),
    ],
)
def test_a_tokenizer_that_is_damaged(copy, file, content):
    (copy / file).write_text(content)
    refuse(copy, r"The tokenizer of .* could not be loaded: .* Copy or download the model again")


def test_a_tokenizer_that_knows_no_token(copy):
    content = json.loads((copy / "tokenizer.json").read_text())
    content |= {"added_tokens": [], "pre_tokenizer": None, "post_processor": None, "decoder": None}
    (copy / "tokenizer.json").write_text(json.dumps(content | {"model": {"type": "BPE", "vocab": {}, "merges": []}}))
    (copy / "tokenizer_config.json").write_text("{}")
    refuse(copy, r"The tokenizer of .* could not be loaded: it has no tokens for a plain sentence")


def test_weights_in_a_pickle_that_holds_more_than_tensors(copy):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04\x95garbage")
    refuse(copy, r"could not be loaded: its weights are a pickle that is damaged or holds other things than tensors\.")


def test_an_index_of_weights_without_its_parts(copy):
    (copy / "model.safetensors").rename(copy / "model-00001-of-00002.safetensors")
    (copy / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    refuse(copy, r"could not be loaded: 'metadata' is missing\.")


def test_a_model_that_computes_nan(copy):
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    tensors["model.norm.weight"][:] = float("nan")
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    refuse(copy, r"computes only NaN or infinity\. .*the weights are broken")


def test_code_of_a_models_folder_never_runs_and_there_is_no_prompt(copy, tmp_path, monkeypatch):
    mark = tmp_path / "ran"
    (copy / "code.py").write_text(f"open({str(mark)!r}, 'w')\n")
    change(
        copy, model_type="of_tomorrow", auto_map={"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    )
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question on standard input"))
    refuse(copy, r"it needs Python code of its own, which davidgen_hf does not run\.")
    assert not mark.exists()


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
