import json
import shutil

import pytest
import torch
import yaml
from datasets import Dataset
from peft import AutoPeftModelForSeq2SeqLM
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, BartConfig, BartForConditionalGeneration

from davidgen_hf.engines import EngineSettings, Sampling, load_engine
from davidgen_hf.errors import ModelError, SettingError, TrainingError
from davidgen_hf.training.merge import merge_adapter
from davidgen_hf.training.script import train_from_command_line
from davidgen_hf.training.seq2seq import train_seq2seq


@pytest.fixture
def recipe(recipe, tiny_t5) -> dict:
    del recipe["max_length"]
    return recipe | {"model_name_or_path": str(tiny_t5), "max_source_length": 64, "max_target_length": 32}


def test_the_loss_falls_and_the_folder_is_a_whole_model(recipe, rows, tmp_path):
    recipe |= {"num_train_epochs": 6, "eval_strategy": "epoch"}
    summary = train_seq2seq(rows, recipe, output_dir=tmp_path / "model", eval_rows=rows)
    assert summary.eval_history[-1][1] < 0.8 * summary.eval_history[0][1]
    assert json.loads((tmp_path / "model" / "run.json").read_text())["finished"]
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    texts = {"text": rows[3]["prompt"], "text_target": rows[3]["completion"]}
    assert model(**tokenizer(**texts, return_tensors="pt")).loss < summary.loss_start


def test_a_finished_training_is_left_as_it_is(recipe, rows, tmp_path):
    first, second = (train_seq2seq(rows, recipe, output_dir=tmp_path / "model") for _ in range(2))
    assert first.seconds == second.seconds


def test_an_adapter_is_trained_where_the_recipe_says_so(recipe, rows, tmp_path):
    lora = {"use_peft": True, "lora_target_modules": ["q", "v"], "lora_r": 4}
    summary = train_seq2seq(rows, recipe | lora, output_dir=tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_2_SEQ_LM"
    assert summary.loss_end < summary.loss_start


def test_an_adapter_merges_into_an_encoder_decoder_that_computes_the_same(recipe, rows, tmp_path):
    lora = {"use_peft": True, "lora_target_modules": ["q", "v"], "lora_r": 4}
    train_seq2seq(rows, recipe | lora, output_dir=tmp_path / "adapter")
    merge_adapter(tmp_path / "adapter", tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    batch = tokenizer(text=rows[3]["prompt"], text_target=rows[3]["completion"], return_tensors="pt")
    merged = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "merged")(**batch).logits
    apart = AutoPeftModelForSeq2SeqLM.from_pretrained(tmp_path / "adapter")(**batch).logits
    torch.testing.assert_close(merged, apart, rtol=0, atol=2e-3)  # of logits up to some tens


@pytest.mark.parametrize("lora", [{}, {"use_peft": True, "lora_target_modules": ["q", "v"]}], ids=["full", "adapter"])
@pytest.mark.parametrize("sampling", ["random", "group_by_length"])
def test_an_interrupted_training_resumes_as_if_it_had_not_been(recipe, rows, tmp_path, sampling, lora):
    recipe |= {"save_strategy": "steps", "save_steps": 4, "train_sampling_strategy": sampling} | lora
    recipe |= {"eval_strategy": "epoch"}
    whole = train_seq2seq(rows, recipe, output_dir=tmp_path / "whole", eval_rows=rows)
    shutil.copytree(tmp_path / "whole" / "checkpoint-8", tmp_path / "cut" / "checkpoint-8")
    resumed = train_seq2seq(rows, recipe, output_dir=tmp_path / "cut", eval_rows=rows, resume=True)
    assert resumed.tokens_seen == pytest.approx(whole.tokens_seen / 3, abs=1)
    assert dict(resumed.loss_history) == pytest.approx(dict(whole.loss_history), rel=1e-5)
    assert dict(resumed.eval_history) == pytest.approx(dict(whole.eval_history), rel=1e-5)


def test_a_training_that_gets_no_better_stops_and_keeps_its_best(recipe, rows, tmp_path):
    held_out = Dataset.from_list([{"prompt": "Say the number 0.\n\nX:", "completion": " Nothing of the kind, ever!"}])
    every_epoch = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    recipe |= every_epoch | {"num_train_epochs": 30, "early_stopping_patience": 1, "logging_steps": 6}
    summary = train_seq2seq(rows, recipe, output_dir=tmp_path / "m", eval_rows=held_out)
    assert summary.steps < 30 * 6
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    batch = tokenizer(text=held_out[0]["prompt"], text_target=held_out[0]["completion"], return_tensors="pt")
    kept = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "m")(**batch).loss.item()
    assert kept == pytest.approx(min(loss for _, loss in summary.eval_history), rel=1e-3)


def test_a_setting_that_a_library_refuses_is_an_error_of_ours(recipe, rows, tmp_path):
    lora = {"use_peft": True, "lora_target_modules": ["nothing"]}
    with pytest.raises(SettingError, match=r"do not fit together: .*nothing.* not found"):
        train_seq2seq(rows, recipe | lora, output_dir=tmp_path / "m")


def test_batches_that_add_up_train_as_one_does(recipe, rows, tmp_path):
    whole = train_seq2seq(rows, recipe, output_dir=tmp_path / "whole")
    parts = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    split = train_seq2seq(rows, recipe | parts, output_dir=tmp_path / "split")
    # Later steps differ by what rounding makes of so high a learning rate.
    assert dict(split.loss_history[:3]) == pytest.approx(dict(whole.loss_history[:3]), rel=1e-2)


def test_a_causal_model_is_sent_to_its_own_recipe(recipe, rows, tiny_llama, tmp_path):
    with pytest.raises(ModelError, match=r"is a causal language model \(llama\).*recipes/sft\.py"):
        train_seq2seq(rows, recipe, output_dir=tmp_path / "m", base_model=str(tiny_llama))


def test_a_setting_of_the_other_trainer_is_unknown(recipe, rows, tmp_path):
    with pytest.raises(SettingError, match="packing: unknown key"):
        train_seq2seq(rows, recipe | {"packing": True}, output_dir=tmp_path / "m")


def test_nothing_to_train_on_is_an_error(recipe, rows, tmp_path):
    with pytest.raises(TrainingError, match="24 dropped because their prompt leaves no room"):
        train_seq2seq(rows, recipe | {"max_source_length": 2}, output_dir=tmp_path / "m")


def test_a_training_runs_from_the_command_line(recipe, rows, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    rows.to_json(tmp_path / "rows.jsonl")
    named = {"--config": "recipe.yaml", "--dataset_name": "rows.jsonl", "--output_dir": "model"}
    argv = [word for name, file in named.items() for word in (name, str(tmp_path / file))]
    assert train_from_command_line(argv, "seq2seq").steps == 12


def test_bart_learns_and_writes_behind_the_token_that_it_is_forced_to_begin_with(recipe, rows, tiny_t5, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    torch.manual_seed(0)
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "dropout": 0.0, "init_std": 0.2}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "decoder_start_token_id": 2}
    config = BartConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes, **heads, **ends)
    base = BartForConditionalGeneration(config)
    base.generation_config.forced_bos_token_id = tokenizer.bos_token_id
    for part in (base, tokenizer):
        part.save_pretrained(tmp_path / "bart")
    settings = {"model_name_or_path": str(tmp_path / "bart"), "num_train_epochs": 60, "learning_rate": 5e-3}
    train_seq2seq(rows, recipe | settings, output_dir=tmp_path / "m")
    engine = load_engine(EngineSettings(model=str(tmp_path / "m"), dtype="float32"))
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "m").eval()
    prompt, completion = rows[7]["prompt"], rows[7]["completion"]
    encoded = tokenizer(prompt, return_tensors="pt")
    encoded.pop("token_type_ids", None)
    written = model.generate(**encoded, max_new_tokens=24, num_beams=1, do_sample=False)[0]
    assert engine.generate([prompt], 1, Sampling(max_new_tokens=24, temperature=0.0))[0][0] == completion
    assert tokenizer.decode(written, skip_special_tokens=True) == completion
    plain = tokenizer(completion, add_special_tokens=False).input_ids
    labels = torch.tensor([[tokenizer.bos_token_id, *plain]])
    logits = model(**encoded, labels=labels).logits[0, 1:]
    expected = torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum").item()
    assert engine.score([prompt], [completion])[0].nll == pytest.approx(expected, rel=1e-3, abs=1e-4)
