"""An adapter is read with its own tokenizer, end of text and embeddings, wherever it is."""

import json
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.loading import find_model, load_model, load_tokenizer, require_whole
from davidgen_hf.engines.local import LocalEngine
from davidgen_hf.errors import ModelError


@pytest.fixture
def adapter(tiny_llama, tmp_path):
    """An adapter with a token that its base lacks, which ends its texts, and with the grown embeddings."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.add_special_tokens({"eos_token": "<|done|>"})
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.resize_token_embeddings(len(tokenizer) + 3, mean_resizing=False)  # rounded up, as trainers do
    settings = LoraConfig(
        target_modules=["q_proj"], init_lora_weights=False, modules_to_save=["embed_tokens", "lm_head"]
    )
    adapted = get_peft_model(model, settings)
    adapted.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", adapted.eval(), tokenizer


def test_embeddings_grow_to_those_that_the_adapter_was_trained_with(adapter):
    folder, adapted, tokenizer = adapter
    loaded = load_model(EngineSettings(model=str(folder), dtype="float32"))
    ids = torch.tensor([[1, 5, tokenizer.eos_token_id, 7]])
    torch.testing.assert_close(loaded.model(ids).logits, adapted(ids).logits, rtol=1e-4, atol=1e-4)


def test_an_adapter_ends_a_text_with_its_own_token_and_its_base_model_s(adapter):
    folder, _, tokenizer = adapter
    engine = LocalEngine(EngineSettings(model=str(folder), dtype="float32"))
    assert engine.tokenizer.eos_token == "<|done|>"
    assert engine.end_tokens == {2, tokenizer.eos_token_id}
    assert engine.model.generation_config.eos_token_id == [tokenizer.eos_token_id, 2]
    assert load_tokenizer(str(folder)).eos_token == "<|done|>"


def test_an_adapter_without_a_tokenizer_has_that_of_its_base(adapter):
    folder, *_ = adapter
    for path in folder.glob("*token*.json"):
        path.unlink()
    assert load_tokenizer(str(folder)).eos_token == "</s>"


def test_an_adapter_on_the_hub_is_found_by_its_id(adapter, tiny_llama, tmp_path, monkeypatch):
    folder, adapted, _ = adapter
    commits = {"org/base": "a" * 40, "org/adapter": "b" * 40}
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "org/base"}))
    for (name, commit), source in zip(commits.items(), (tiny_llama, folder), strict=True):
        repo = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        shutil.copytree(source, repo / "snapshots" / commit)
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    loaded = load_model(EngineSettings(model="org/adapter", dtype="float32"))
    assert loaded.commit == commits["org/adapter"]
    ids = torch.tensor([[1, 5, 6, 7]])
    torch.testing.assert_close(loaded.model(ids).logits, adapted(ids).logits, rtol=1e-4, atol=1e-4)


def test_what_needs_a_whole_model_says_how_to_merge(adapter):
    found = find_model(EngineSettings(model=str(adapter[0])))
    with pytest.raises(
        ModelError, match=r"is an adapter of .*, and vLLM needs a whole model\. Merge it with `davidgen"
    ):
        require_whole(found, "vLLM")


@pytest.mark.parametrize(
    "content", ["[]", "{}", "{", '{"base_model_name_or_path": 5}', '{"base_model_name_or_path": ""}']
)
def test_a_damaged_configuration_is_an_error_in_words(adapter, content):
    (adapter[0] / "adapter_config.json").write_text(content)
    with pytest.raises(ModelError, match=r"adapter_config\.json: .* An adapter's configuration is a JSON object with"):
        load_model(EngineSettings(model=str(adapter[0])))


def test_adapters_that_name_each_other_as_base_end(adapter):
    folder, *_ = adapter
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(folder)}))
    with pytest.raises(ModelError, match="is an adapter that names itself as its base model"):
        load_model(EngineSettings(model=str(folder)))
