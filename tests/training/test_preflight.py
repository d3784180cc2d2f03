import json
import shutil
from importlib.util import find_spec

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GPT2Config, LlamaConfig
from trl import SFTConfig

from davidgen_hf.errors import ModelError, RunFolderError, SettingError, TrainingError
from davidgen_hf.training import train
from davidgen_hf.training.preflight import check_ready, fit_generation_config, save_trained
from davidgen_hf.training.rows import JoinIds, encode_rows
from davidgen_hf.training.trainer import CompletionTrainer

CHATML = "{% for message in messages %}{{ message.content }}{% endfor %}"


@pytest.fixture
def base(tiny_llama, tmp_path):
    return shutil.copytree(tiny_llama, tmp_path / "base")


@pytest.fixture
def trainer(tiny_llama, rows, tmp_path):
    """A trainer that has not taken a step."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    args = SFTConfig(str(tmp_path / "model"), use_cpu=True, bf16=False, report_to="none")
    encoded, _ = encode_rows(rows, JoinIds(tokenizer, 64))
    return CompletionTrainer(str(tiny_llama), args, train_dataset=encoded, processing_class=tokenizer)


def test_a_generation_config_that_contradicts_itself_costs_no_training(recipe, rows, base, tmp_path, caplog):
    given = {"eos_token_id": 2, "temperature": 0.6, "top_p": 0.9, "do_sample": False, "max_new_tokens": 9}
    (base / "generation_config.json").write_text(json.dumps(given))
    train(rows, recipe | {"max_steps": 2}, output_dir=tmp_path / "m", base_model=str(base))
    saved = GenerationConfig.from_pretrained(tmp_path / "m")
    assert (saved.temperature, saved.top_p, saved.max_new_tokens) == (None, None, 9)
    assert "so it loses {'temperature': 0.6, 'top_p': 0.9}" in caplog.text


def test_a_generation_config_that_fits_stays_as_it_is(tiny_llama):
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.generation_config.update(do_sample=True, temperature=0.6, top_k=5)
    before = model.generation_config.to_dict()
    fit_generation_config(model)
    assert model.generation_config.to_dict() == before


def test_a_generation_config_broken_during_training_is_saved_as_well(trainer, tmp_path):
    trainer.model.generation_config.update(do_sample=False, temperature=0.6)
    save_trained(trainer, tmp_path / "model")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").generation_config.temperature is None


def test_a_configuration_that_cannot_be_saved_is_found_before_the_first_step(trainer):
    trainer.model.config.note = {1, 2}  # no JSON
    with pytest.raises(ModelError, match=r"could not be saved after training: .*not JSON serializable"):
        check_ready(trainer)


def test_weights_are_saved_even_where_the_model_cannot_be(trainer, tmp_path):
    trainer.model.config.note = {1, 2}
    with pytest.raises(TrainingError, match=r"Its weights are in .*rescued\.safetensors"):
        save_trained(trainer, tmp_path / "model")
    (tmp_path / "model" / "rescued.safetensors").rename(tmp_path / "model" / "model.safetensors")
    trainer.model.config.note = None
    trainer.model.config.save_pretrained(tmp_path / "model")
    rescued = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(rescued.get_parameter(name), parameter)


def test_weights_that_are_not_finite_are_not_saved(trainer, tmp_path):
    trainer.model.lm_head.weight.data[3, 0] = float("inf")
    with pytest.raises(TrainingError, match=r"1 tensors hold values that are not finite, e\.g\. 'lm_head\.weight'"):
        save_trained(trainer, tmp_path / "model")
    assert not (tmp_path / "model" / "model.safetensors").exists()


def test_weights_that_do_not_fit_on_the_disk_are_refused_beforehand(trainer):
    free = shutil.disk_usage(trainer.args.output_dir).free
    huge = torch.empty(free, 1, device="meta")
    trainer.model.register_parameter("huge", torch.nn.Parameter(huge))
    with pytest.raises(RunFolderError, match=r"has room for .* MiB, but the trained weights take .* MiB"):
        check_ready(trainer)


@pytest.fixture(params=[GPT2Config, LlamaConfig])
def short(request, tiny_model) -> str:
    """A model with 48 positions: learned ones, which end there, or rotary ones, which were not trained beyond."""
    return str(tiny_model(request.param, max_position_embeddings=48))


def test_no_row_is_longer_than_the_model_has_positions(short, recipe, rows, tmp_path, caplog):
    long = rows.map(lambda row: {"completion": row["completion"] * 9})
    summary = train(long, recipe | {"max_steps": 1}, output_dir=tmp_path / "named", base_model=short)
    assert summary.rows.cut == 24
    assert "max_length is 64, but" in caplog.text
    assert "has 48 positions, so 48 is the limit" in caplog.text
    assert json.loads((tmp_path / "named" / "run.json").read_text())["recipe"]["max_length"] == 64
    caplog.clear()
    for name, length in (("default", {}), ("none", {"max_length": None})):
        recipe = {key: value for key, value in recipe.items() if key != "max_length"} | {"max_steps": 1} | length
        assert train(long, recipe, output_dir=tmp_path / name, base_model=short).rows == summary.rows
    assert "positions" not in caplog.text


def test_a_template_s_tokenizer_may_not_change_the_end(recipe, rows, tiny_llama, tmp_path):
    other = AutoTokenizer.from_pretrained(tiny_llama)
    other.chat_template, other.eos_token = CHATML, "<pad>"
    other.save_pretrained(tmp_path / "chatty")
    with pytest.raises(
        SettingError, match=r"end token is '<pad>', but the rows end with '</s>'.*`eos_token: '<pad>'`"
    ):
        train(rows, recipe | {"chat_template_path": str(tmp_path / "chatty")}, output_dir=tmp_path / "m")
    other.eos_token = "</s>"
    other.save_pretrained(tmp_path / "chatty")
    settings = {"chat_template_path": str(tmp_path / "chatty"), "max_steps": 1}
    train(rows, recipe | settings, output_dir=tmp_path / "m")
    assert AutoTokenizer.from_pretrained(tmp_path / "m").chat_template == CHATML


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken.jinja", r"cannot be read: .*Name a Jinja template"),
        ("absent", "cannot be read as a tokenizer"),
    ],
)
def test_a_template_that_cannot_be_read_is_named(recipe, rows, tmp_path, name, message):
    (tmp_path / "broken.jinja").write_text("{% for")
    with pytest.raises(SettingError, match=message):
        train(rows, recipe | {"chat_template_path": str(tmp_path / name)}, output_dir=tmp_path / "m")


@pytest.mark.parametrize(
    "settings",
    [
        {"use_liger_kernel": True},
        {"optim": "lomo"},
        {"optim": "adamw_bnb_8bit"},
        {"optim": "galore_adamw", "optim_target_modules": ["all-linear"]},
        {"attn_implementation": "flash_attention_2"},
        {"use_peft": True, "load_in_8bit": True},
    ],
    ids=lambda settings: "-".join(map(str, settings)),
)
def test_what_a_setting_needs_is_found_missing_before_anything_is_written(recipe, rows, tmp_path, settings):
    needed = ("liger_kernel", "lomo_optim", "bitsandbytes", "galore_torch", "flash_attn")
    if any(find_spec(name) for name in needed):
        pytest.skip("one of these is installed")
    with pytest.raises(SettingError, match="need a package that is not installed"):
        train(rows, recipe | settings, output_dir=tmp_path / "new" / "m")
    assert not (tmp_path / "new").exists()
