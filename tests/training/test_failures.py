import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig
from trl import SFTConfig

from davidgen_hf.errors import RunFolderError, TrainingError
from davidgen_hf.training import train
from davidgen_hf.training.failures import explain_out_of_memory


def test_too_little_memory_names_what_to_lower_and_to_what(tmp_path):
    args = SFTConfig(
        str(tmp_path),
        use_cpu=True,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        activation_checkpointing=False,
        max_length=1024,
    )
    with pytest.raises(TrainingError) as error, explain_out_of_memory(args):
        torch.empty(2**50)
    assert str(error.value) == (
        "Out of memory. In this order: set per_device_train_batch_size to 4 and "
        "gradient_accumulation_steps to 4 (they are 8 and 2); set activation_checkpointing to true; set max_length to "
        "512 (it is 1024); train an adapter (use_peft: true), or share the weights out with "
        "recipes/accelerate/fsdp2.yaml."
    )


def test_another_error_stays_what_it_is(tmp_path):
    args = SFTConfig(str(tmp_path), use_cpu=True)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), explain_out_of_memory(args):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_a_checkpoint_of_another_model_is_refused(recipe, rows, tiny_model, tmp_path):
    train(rows, recipe | {"save_strategy": "epoch"}, output_dir=tmp_path / "first")
    other = tiny_model(LlamaConfig, hidden_size=16)
    shutil.copytree(tmp_path / "first" / "checkpoint-6", tmp_path / "second" / "checkpoint-6")
    with pytest.raises(RunFolderError, match="checkpoint-6 is of another model: hidden_size is 32 there and 16 here"):
        train(rows, recipe, output_dir=tmp_path / "second", base_model=str(other), resume=True)


def test_a_folder_that_is_not_a_checkpoint_is_refused(recipe, rows, tmp_path):
    (tmp_path / "nothing").mkdir()
    resumed = recipe | {"resume_from_checkpoint": str(tmp_path / "nothing")}
    with pytest.raises(RunFolderError, match="nothing is not a checkpoint to resume from"):
        train(rows, resumed, output_dir=tmp_path / "m")


def test_a_loss_that_is_not_a_number_stops_and_names_the_rows(recipe, rows, tiny_llama, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.lm_head.weight.data[0] = float("nan")
    shutil.copytree(tiny_llama, tmp_path / "broken")
    model.save_pretrained(tmp_path / "broken")
    with pytest.raises(TrainingError, match=r"The loss is nan after 0 steps.*Say the number \d") as error:
        train(rows, recipe, base_model=str(tmp_path / "broken"), output_dir=tmp_path / "m")
    assert "lower learning_rate, or train in float32" in str(error.value)
