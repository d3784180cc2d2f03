import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig

from davidgen_hf.errors import RunFolderError
from davidgen_hf.training import train
from davidgen_hf.training.checkpoints import last_checkpoint, remove_checkpoints

FILES = ("model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt", "trainer_state.json", "config.json")


@pytest.fixture(scope="module")
def stopped(tiny_llama, tmp_path_factory):
    """A training that was stopped after its last checkpoint, of which it has three, and how it would have ended."""
    rows = Dataset.from_list([{"prompt": f"Say {n}.\n\nX:", "completion": f" It is {n}."} for n in range(12)])
    recipe = {
        "model_name_or_path": str(tiny_llama),
        "use_cpu": True,
        "bf16": False,
        "activation_checkpointing": False,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "max_steps": 6,
        "learning_rate": 1e-2,
        "logging_steps": 4,
        "save_strategy": "steps",
        "save_steps": 2,
        "report_to": "none",
        "disable_tqdm": True,
    }
    folder = tmp_path_factory.mktemp("stopped") / "model"
    whole = train(rows, recipe, output_dir=folder)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "run.json").write_text(json.dumps(json.loads((folder / "run.json").read_text()) | {"finished": False}))
    return folder, rows, recipe, whole, weights


@pytest.fixture
def folder(stopped, tmp_path) -> Path:
    """A copy of the stopped training."""
    return shutil.copytree(stopped[0], tmp_path / "model")


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_bytes(file: Path) -> None:
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    file.write_bytes(content)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "harm", [truncate, lambda file: file.write_bytes(b""), Path.unlink], ids=["cut", "empty", "gone"]
)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(folder, caplog, file, harm, tiny_llama):
    if harm is Path.unlink and file in ("optimizer.pt", "scheduler.pt", "config.json"):
        pytest.skip("refused with its own words, or not needed")
    harm(folder / "checkpoint-6" / file)
    chosen = last_checkpoint(folder, load(tiny_llama))
    assert chosen is not None
    assert chosen.name == "checkpoint-4"
    assert "checkpoint-6 is damaged" in caplog.text
    assert "resumes from checkpoint-4, the last whole one" in caplog.text


def load(folder: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("file", ["optimizer.pt", "rng_state.pth"])
def test_changed_bytes_in_a_checkpoint_are_damage(folder, file):
    flip_bytes(folder / "checkpoint-6" / file)
    assert last_checkpoint(folder).name == "checkpoint-4"


@pytest.mark.parametrize("content", ["{}", "[]", '{"global_step": 2, "epoch": 1, "log_history": []}', "nul"])
def test_a_state_of_no_step_or_another_one_is_damage(folder, content):
    (folder / "checkpoint-6" / "trainer_state.json").write_text(content)
    assert last_checkpoint(folder).name == "checkpoint-4"


def test_a_checkpoint_that_lacks_tensors_is_damage(folder, tiny_llama, caplog):
    file = folder / "checkpoint-6" / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, file, {"format": "pt"})
    assert last_checkpoint(folder, load(tiny_llama)).name == "checkpoint-4"
    assert "1 tensors are missing, e.g. 'model.layers.1.mlp.up_proj.weight'" in caplog.text


def test_folders_that_are_not_checkpoints_are_ignored(folder):
    for name in ("checkpoint-best", "checkpoint-99-old", "checkpoint-", "checkpoint--1", "checkpoint-7 (copy)"):
        shutil.copytree(folder / "checkpoint-2", folder / name)
    (folder / "checkpoint-8").write_text("a file")
    assert last_checkpoint(folder).name == "checkpoint-6"
    remove_checkpoints(folder)
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == [
        "checkpoint-", "checkpoint--1", "checkpoint-7 (copy)", "checkpoint-8", "checkpoint-99-old", "checkpoint-best",
    ]  # fmt: skip


def test_a_resume_from_the_last_whole_checkpoint_ends_as_if_nothing_had_happened(stopped, folder):
    _, rows, recipe, whole, weights = stopped
    (folder / "checkpoint-6" / "trainer_state.json").write_text("")
    truncate(folder / "checkpoint-4" / "optimizer.pt")
    resumed = train(rows, recipe | {"resume_from_checkpoint": True}, output_dir=folder)
    assert dict(resumed.loss_history) == pytest.approx(dict(whole.loss_history), rel=1e-6)
    assert (folder / "model.safetensors").read_bytes() == weights


def test_without_a_whole_checkpoint_a_training_starts_over(stopped, folder, caplog):
    _, rows, recipe, whole, weights = stopped
    for step in (2, 4, 6):
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text("")
    resumed = train(rows, recipe, output_dir=folder, resume=True)
    assert "The training starts over." in caplog.text
    assert (folder / "model.safetensors").read_bytes() == weights
    assert resumed.loss_history == whole.loss_history


def test_a_resume_behind_the_last_step_takes_no_other(stopped, folder):
    _, rows, recipe, whole, weights = stopped
    resumed = train(rows, recipe, output_dir=folder, resume=True)
    assert (folder / "model.safetensors").read_bytes() == weights
    assert (resumed.steps, resumed.tokens_seen) == (6, 0)
    assert resumed.loss_history == whole.loss_history


def test_a_checkpoint_without_an_optimizer_is_not_resumed_from(stopped, tmp_path):
    _, rows, recipe, _, _ = stopped
    recipe = recipe | {"save_only_model": True}
    train(rows, recipe, output_dir=tmp_path / "model")
    record = json.loads((tmp_path / "model" / "run.json").read_text())
    (tmp_path / "model" / "run.json").write_text(json.dumps(record | {"finished": False}))
    with pytest.raises(RunFolderError, match=r"checkpoint-6 has no optimizer .*`save_only_model: true` leaves it"):
        train(rows, recipe | {"resume_from_checkpoint": True}, output_dir=tmp_path / "model")


def test_a_damaged_checkpoint_that_is_named_is_refused(stopped, folder):
    _, rows, recipe, _, _ = stopped
    truncate(folder / "checkpoint-4" / "optimizer.pt")
    resumed = recipe | {"resume_from_checkpoint": str(folder / "checkpoint-4")}
    with pytest.raises(RunFolderError, match=r"checkpoint-4 is not a checkpoint to resume from: optimizer\.pt cannot"):
        train(rows, resumed, output_dir=folder)


def test_a_checkpoint_of_a_model_of_another_shape_is_refused(folder, tiny_model):
    other = load(tiny_model(LlamaConfig, intermediate_size=48, num_key_value_heads=2))
    with pytest.raises(
        RunFolderError, match=r"is of another model: 'model\.layers\.0\.mlp\..*\(64, 32\) there and \(48, 32\)"
    ):
        last_checkpoint(folder, other)


def test_only_older_checkpoints_make_room_for_a_new_one(stopped, tmp_path):
    _, rows, recipe, _, _ = stopped
    folder = tmp_path / "model"
    mine = folder / "checkpoint-best of mine"
    mine.mkdir(parents=True)
    train(rows, recipe | {"save_total_limit": 1}, output_dir=folder)
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == ["checkpoint-6", mine.name]


@pytest.mark.parametrize("limit", [1, 2])
def test_the_best_checkpoint_stays_next_to_the_last(stopped, tmp_path, limit):
    _, rows, recipe, _, _ = stopped
    worse = Dataset.from_list([{"prompt": "Say 0.\n\nX:", "completion": " Nothing of the kind, ever!"}])
    best = {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 2, "save_total_limit": limit}
    best["learning_rate"] = 0.3  # overshoots, so that the first evaluation is the best
    summary = train(rows, recipe | best, output_dir=tmp_path / "model", eval_rows=worse)
    step = min(summary.eval_history, key=lambda entry: entry[1])[0]
    kept = {path.name for path in (tmp_path / "model").glob("checkpoint-*")}
    assert step < 6
    assert kept == {f"checkpoint-{step}", "checkpoint-6"}


def test_a_full_disk_at_a_checkpoint_leaves_nothing_behind_and_does_not_block(stopped, tmp_path):
    """A limit of the file size stands for the disk: the weights fit, the optimizer's two moments do not."""
    import resource

    _, rows, recipe, whole, weights = stopped
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(weights) * 3 // 2, limits[1]))
    try:
        with pytest.raises(RunFolderError, match="cannot be written to"):
            train(rows, recipe, output_dir=tmp_path / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "model").glob("checkpoint-*"))
    again = train(rows, recipe, output_dir=tmp_path / "model", resume=True)
    assert again.loss_history == whole.loss_history


@pytest.mark.parametrize("mask", [0o022, 0o027], ids=oct)
def test_weights_have_the_mode_of_the_user_s_umask(stopped, tmp_path, mask):
    _, rows, recipe, _, _ = stopped
    before = os.umask(mask)
    try:
        train(rows, recipe, output_dir=tmp_path / "model")
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert any(path.suffix == ".safetensors" for path in files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o666 & ~mask}
    assert torch.is_tensor(load(tmp_path / "model").lm_head.weight)
