import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from huggingface_hub import ModelCard
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from trl import SFTConfig, SFTTrainer

from davidgen_hf.engines import EngineSettings, load_engine
from davidgen_hf.errors import ModelError, RunFolderError, SettingError
from davidgen_hf.estimate.steps import count_checkpoints
from davidgen_hf.training import train
from davidgen_hf.training.checkpoints import last_checkpoint, remove_checkpoints
from davidgen_hf.training.merge import merge_adapter
from davidgen_hf.training.rows import JoinIds, encode_rows
from davidgen_hf.training.trainer import CompletionTrainer, split_rows


@pytest.fixture(scope="module")
def trained(tiny_llama, rows, tmp_path_factory):
    recipe = {
        "model_name_or_path": str(tiny_llama),
        "use_cpu": True,
        "bf16": False,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 12,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
    }
    return train(rows, recipe, output_dir=tmp_path_factory.mktemp("trained") / "model"), recipe


def test_the_loss_falls(trained):
    summary, _ = trained
    assert summary.steps == 72
    assert len(summary.loss_history) == 72
    assert summary.loss_end < 0.5 * summary.loss_start


def test_the_model_writes_what_it_learnt_and_ends_there(trained):
    engine = load_engine(EngineSettings(model=trained[0].output_dir, dtype="float32"))
    model = AutoModelForCausalLM.from_pretrained(trained[0].output_dir)
    tokenizer = AutoTokenizer.from_pretrained(trained[0].output_dir)
    ids = tokenizer("Say the number 7.\n\nX:", return_tensors="pt")["input_ids"]
    written = model.generate(ids, max_new_tokens=40, do_sample=False)[0, ids.shape[1] :]
    assert tokenizer.decode(written[:-1]).startswith(" The number is")
    assert written[-1] == tokenizer.eos_token_id
    assert engine.score(["Say the number 7.\n\nX:"], [" The number is 7."])[0].perplexity < 3


@pytest.mark.parametrize("every", [7, 0.3])
def test_checkpoints_are_timed_and_as_many_as_are_counted_beforehand(trained, rows, tmp_path, every):
    assert trained[0].checkpoint_seconds == 0
    saving = trained[1] | {"save_strategy": "steps", "save_steps": every, "num_train_epochs": 3}
    summary = train(rows, saving, output_dir=tmp_path)
    assert 0 < summary.checkpoint_seconds < summary.seconds
    written = {path.name for path in tmp_path.glob("checkpoint-*")}
    assert len(written) == count_checkpoints(saving, summary.steps)
    train(rows, saving, output_dir=tmp_path / "run", last_checkpoint=False)
    assert {path.name for path in (tmp_path / "run").glob("checkpoint-*")} == written - {f"checkpoint-{summary.steps}"}


def test_the_folder_holds_safetensors_tokenizer_generation_config_and_record(trained):
    summary, recipe = trained
    folder = summary.output_dir
    assert AutoTokenizer.from_pretrained(folder).eos_token == "</s>"
    assert GenerationConfig.from_pretrained(folder).eos_token_id is not None
    with open(f"{folder}/run.json", encoding="utf-8") as file:
        record = json.load(file)
    assert record["finished"]
    assert Image.open(f"{folder}/loss.png").size == (900, 525)
    assert {path.suffix for path in Path(folder).iterdir()}.isdisjoint({".bin", ".pt", ".pkl"})
    assert record["base_model"] == Path(recipe["model_name_or_path"]).name
    assert record["rows"]["used"] == 24
    assert record["versions"]["trl"]


def test_the_card_describes_the_training_and_its_loss_without_naming_folders(trained):
    summary, recipe = trained
    card = ModelCard.load(Path(summary.output_dir) / "README.md")
    assert card.data.library_name == "transformers"
    assert card.data.base_model is None
    assert "![Loss over the steps](loss.png)" in card.text
    assert str(summary.rows) in card.text
    assert "learning_rate: 0.01" in card.text
    assert str(Path(recipe["model_name_or_path"]).parent) not in card.content


def test_a_finished_training_is_left_as_it_is(trained, rows, tiny_llama):
    summary, recipe = trained
    again = train(rows, recipe, output_dir=summary.output_dir)
    assert again.seconds == summary.seconds
    assert again.rows == summary.rows


@pytest.mark.parametrize("change", [{"learning_rate": 1e-3}, {"max_length": 48}])
def test_a_folder_of_another_training_is_refused(trained, rows, change):
    summary, recipe = trained
    with pytest.raises(RunFolderError, match=r"holds another training: recipe was .* Name another output folder"):
        train(rows, recipe | change, output_dir=summary.output_dir)
    with pytest.raises(RunFolderError, match="holds another training: rows_digest was"):
        train(rows.select(range(8)), recipe, output_dir=summary.output_dir)


def test_the_same_seed_gives_the_same_losses(recipe, rows, tmp_path):
    first, second = (train(rows, recipe, output_dir=tmp_path / name) for name in ("a", "b"))
    assert first.loss_history == second.loss_history


@pytest.mark.parametrize("sampling", ["random", "group_by_length"])
@pytest.mark.parametrize("step", [4, 8], ids=["first_epoch", "second_epoch"])
def test_an_interrupted_training_resumes_as_if_it_had_not_been(recipe, rows, tmp_path, sampling, step):
    recipe |= {"save_strategy": "steps", "save_steps": 4, "train_sampling_strategy": sampling}
    whole = train(rows, recipe, output_dir=tmp_path / "whole", eval_rows=rows)
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole" / f"checkpoint-{step}", cut / f"checkpoint-{step}")
    record = json.loads((tmp_path / "whole" / "run.json").read_text())
    (cut / "run.json").write_text(json.dumps(record | {"finished": False}))
    resumed = train(rows, recipe, output_dir=cut, resume=True)
    assert resumed.steps == whole.steps
    assert resumed.tokens_seen == pytest.approx(whole.tokens_seen * (12 - step) / 12, abs=1)
    assert dict(resumed.loss_history) == pytest.approx(dict(whole.loss_history), rel=1e-5)


def test_a_checkpoint_that_was_cut_short_is_passed_over(recipe, rows, tmp_path):
    train(rows, recipe | {"save_strategy": "steps", "save_steps": 4}, output_dir=tmp_path / "m")
    assert last_checkpoint(tmp_path / "m").name == "checkpoint-12"
    (tmp_path / "m" / "checkpoint-12" / "trainer_state.json").unlink()
    assert last_checkpoint(tmp_path / "m").name == "checkpoint-8"
    remove_checkpoints(tmp_path / "m")
    assert last_checkpoint(tmp_path / "m") is None


def test_held_out_rows_give_an_evaluation_loss(recipe, rows, tmp_path):
    summary = train(rows, recipe | {"eval_strategy": "epoch"}, output_dir=tmp_path / "m", eval_rows=rows)
    assert [step for step, _ in summary.eval_history] == [6, 12]
    assert summary.eval_history[-1][1] < summary.loss_start


def test_a_training_that_gets_no_better_stops_and_keeps_its_best(recipe, rows, tmp_path):
    held_out = Dataset.from_list([{"prompt": "Say the number 0.\n\nX:", "completion": " Nothing of the kind, ever!"}])
    every_epoch = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    recipe |= every_epoch | {"num_train_epochs": 20, "early_stopping_patience": 1, "logging_steps": 6}
    summary = train(rows, recipe, output_dir=tmp_path / "m", eval_rows=held_out)
    assert summary.steps < 20 * 6
    best = min(loss for _, loss in summary.eval_history)
    row = encode_rows(held_out, JoinIds(AutoTokenizer.from_pretrained(tmp_path / "m"), 64))[0][0]
    batch = {name: torch.tensor([row[name]]) for name in ("input_ids", "labels")}
    kept = AutoModelForCausalLM.from_pretrained(tmp_path / "m")(**batch).loss.item()
    assert kept == pytest.approx(best, rel=1e-3)


def test_an_adapter_is_trained_where_the_recipe_says_so(recipe, rows, tmp_path):
    lora = {"use_peft": True, "lora_target_modules": ["all-linear"], "lora_r": 4}
    summary = train(rows, recipe | lora, output_dir=tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert ModelCard.load(tmp_path / "adapter" / "README.md").data.library_name == "peft"
    assert summary.loss_end < summary.loss_start


@pytest.mark.parametrize(
    "settings",
    [{}, {"activation_checkpointing": True}, {"packing": True, "max_length": 64}, {"label_smoothing_factor": 0.1}],
    ids=lambda settings: "-".join(settings) or "plain",
)
def test_loss_and_gradients_on_the_cpu_are_those_of_trl(tiny_llama, rows, tmp_path, settings):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    encoded, _ = encode_rows(rows, JoinIds(tokenizer, 64))
    args = SFTConfig(
        str(tmp_path),
        **{"use_cpu": True, "bf16": False, "activation_checkpointing": False, "report_to": "none"} | settings,
    )
    trainers = [
        cls(model=str(tiny_llama), args=args, train_dataset=encoded, processing_class=tokenizer)
        for cls in (SFTTrainer, CompletionTrainer)
    ]
    batch = next(iter(trainers[0].get_train_dataloader()))
    losses = [trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=50) for trainer in trainers]
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-5)
    for loss in losses:
        loss.backward()
    theirs, ours = (dict(trainer.model.named_parameters()) for trainer in trainers)
    for name, parameter in theirs.items():
        torch.testing.assert_close(ours[name].grad, parameter.grad, rtol=1e-3, atol=1e-5)


def test_a_step_in_several_passes_gives_the_gradients_of_one(tiny_llama, rows, tmp_path, monkeypatch):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    long = Dataset.from_list([row | {"completion": row["completion"] * (1 + n % 5)} for n, row in enumerate(rows)])
    encoded, _ = encode_rows(long, JoinIds(tokenizer, 128))
    args = SFTConfig(
        str(tmp_path),
        per_device_train_batch_size=12,
        **{"use_cpu": True, "bf16": False, "activation_checkpointing": False, "report_to": "none"},
    )
    sizes: list[tuple[int, ...]] = []
    losses, gradients = [], []
    for tokens in (10**6, 200):
        monkeypatch.setattr("davidgen_hf.training.trainer.PASS_TOKENS", tokens)
        trainer = CompletionTrainer(str(tiny_llama), args, train_dataset=encoded, processing_class=tokenizer)
        embed = trainer.model.get_input_embeddings()
        hook = embed.register_forward_pre_hook(lambda _, seen: sizes.append(tuple(seen[0].shape)))
        batch = next(iter(trainer.get_train_dataloader()))
        losses.append(trainer.training_step(trainer.model, dict(batch), torch.tensor(300)).item())
        gradients.append({name: one.grad for name, one in trainer.model.named_parameters()})
        hook.remove()
    assert len(sizes) > 3
    assert sizes[0][0] == sum(rows for rows, _ in sizes[1:]) == 12
    assert all(rows == 1 or rows * length <= 200 for rows, length in sizes[1:])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-6)


def test_batches_that_cannot_be_split_stay_whole():
    ids = torch.arange(12).reshape(3, 4)
    left = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1]])
    for batch in ({"input_ids": ids}, {"input_ids": ids, "attention_mask": left}):
        assert list(split_rows(batch, 4)) == [batch]
    right = left.flip(1)
    parts = list(split_rows({"input_ids": ids, "attention_mask": right}, 6))
    assert [part["input_ids"].tolist() for part in parts] == [[[0, 1, 2], [4, 5, 6]], [[8, 9, 10, 11]]]


def test_rows_that_are_packed_give_the_loss_that_they_give_alone(tiny_llama, rows, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    encoded, counts = encode_rows(rows, JoinIds(tokenizer, 128))
    losses, given = {}, {}
    for packing in (False, True):
        args = SFTConfig(str(tmp_path), use_cpu=True, bf16=False, packing=packing, max_length=128, report_to="none")
        trainer = CompletionTrainer(str(tiny_llama), args, train_dataset=encoded, processing_class=tokenizer)
        batches = list(trainer.get_train_dataloader())
        losses[packing] = sum(
            trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=counts.completion_tokens).item()
            for batch in batches
        )
        given[packing] = sum((batch["labels"] == tokenizer.eos_token_id).sum().item() for batch in batches)
    assert len(trainer.train_dataset) < len(rows) / 2
    assert losses[True] == pytest.approx(losses[False], rel=1e-5)
    assert given == {False: len(rows), True: len(rows)}


@pytest.mark.parametrize(
    "settings",
    [
        {"packing": True},
        {"bf16": True},
        {"activation_checkpointing": True},
        {"gradient_checkpointing": True, "use_peft": True, "lora_target_modules": ["all-linear"]},
        {"packing": True, "train_sampling_strategy": "group_by_length", "eval_strategy": "epoch"},
    ],
    ids="-".join,
)
def test_a_training_runs_with(settings, recipe, rows, tmp_path):
    summary = train(rows, recipe | {"num_train_epochs": 8} | settings, output_dir=tmp_path / "m", eval_rows=rows)
    assert summary.loss_end < summary.loss_start
    assert summary.rows.used == 24


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"assistant_only_loss": True}, "do not fit together: .*not conversational"),
        ({"use_peft": True, "lora_target_modules": ["nothing"]}, "do not fit together: .*nothing.* not found"),
        ({"attn_implementation": "flash_attention_2"}, "need a package that is not installed: .*FlashAttention2"),
        ({"optim": "apollo_adamw"}, "need a package that is not installed: .*apollo"),
    ],
)
def test_a_setting_that_a_library_refuses_is_an_error_of_ours(settings, message, recipe, rows, tmp_path):
    with pytest.raises(SettingError, match=message):
        train(rows, recipe | settings, output_dir=tmp_path / "m")


BITSANDBYTES = find_spec("bitsandbytes") is not None
QLORA = {"use_peft": True, "lora_target_modules": ["all-linear"], "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


@pytest.mark.skipif(not BITSANDBYTES, reason="needs bitsandbytes: pip install -c constraints.txt -e '.[qlora]'")
def test_an_adapter_is_trained_on_weights_of_four_bits(recipe, rows, tmp_path):
    summary = train(rows, recipe | QLORA, output_dir=tmp_path / "m")
    assert summary.loss_end < summary.loss_start
    merge_adapter(tmp_path / "m", tmp_path / "whole")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "whole").dtype == torch.float32


@pytest.mark.skipif(BITSANDBYTES, reason="bitsandbytes is installed")
def test_four_bits_without_their_package_name_it(recipe, rows, tmp_path):
    with pytest.raises(SettingError, match=r"need a package that is not installed: .*bitsandbytes"):
        train(rows, recipe | QLORA, output_dir=tmp_path / "m")


def test_tensorboard_gets_the_losses(recipe, rows, tmp_path):
    summary = train(rows, recipe | {"report_to": "tensorboard", "max_steps": 2}, output_dir=tmp_path / "m")
    (events,) = (tmp_path / "m").glob("runs/*/events*")
    found = EventAccumulator(str(events)).Reload().Scalars("train/loss")
    assert {one.step: one.value for one in found} == pytest.approx(dict(summary.loss_history), rel=1e-3)


def test_a_model_that_is_absent_is_an_error(recipe, rows, tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        train(rows, recipe, output_dir=tmp_path / "m", base_model=str(tmp_path / "nothing"))


def test_an_encoder_decoder_is_sent_to_its_own_recipe(recipe, rows, tiny_t5, tmp_path):
    with pytest.raises(ModelError, match=r"is an encoder-decoder \(t5\), and a causal.*recipes/sft_seq2seq\.py"):
        train(rows, recipe, output_dir=tmp_path / "m", base_model=str(tiny_t5))


def test_a_recipe_without_a_model_is_an_error(recipe, rows, tmp_path):
    del recipe["model_name_or_path"]
    with pytest.raises(SettingError, match="names no model"):
        train(rows, recipe, output_dir=tmp_path / "m")


def test_a_single_row_can_be_trained_on(recipe, rows, tmp_path):
    summary = train(Dataset.from_list([rows[0]]), recipe, output_dir=tmp_path / "m")
    assert summary.steps == 2
