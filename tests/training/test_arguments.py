from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from davidgen_hf.errors import SettingError
from davidgen_hf.training.arguments import Batch, make_arguments, plan_batch


@pytest.mark.parametrize(
    ("per_device", "accumulation", "processes", "plan"),
    [
        (8, None, 1, Batch(8, 1, 16)),
        (8, None, 8, Batch(8, 8, 2)),
        (8, 1, 2, Batch(4, 2, 1)),
        (4, 6, 8, Batch(3, 8, 1)),
        (256, None, 1, Batch(256, 1, 1)),
    ],
)
def test_the_global_batch_is_the_same_for_any_number_of_processes(per_device, accumulation, processes, plan):
    assert plan_batch(per_device, accumulation, processes) == plan


def test_a_global_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(SettingError, match="global batch of 6 rows cannot be divided evenly among 4 processes"):
        plan_batch(6, 1, 4)


def test_the_batch_says_how_it_came_about():
    assert str(Batch(4, 8, 4)) == "global batch 128 = 4 rows x 8 process(es) x 4 accumulation step(s)"


def test_the_paper_s_settings_are_the_defaults():
    args, _, batch, _ = make_arguments({"use_cpu": True}, Path("out"))
    assert (args.learning_rate, args.num_train_epochs, args.warmup_steps) == (2e-5, 3, 0.03)
    assert args.optim.startswith("adamw")
    assert batch.per_device * batch.accumulation * batch.processes == 128


@pytest.mark.skipif(torch.accelerator.is_available(), reason="needs a machine without a GPU")
def test_a_recipe_for_a_gpu_names_the_way_out_where_there_is_none():
    with pytest.raises(SettingError, match=r"torch sees none.*use_cpu: true.*recipes/accelerate/cpu\.yaml"):
        make_arguments({"use_cpu": False}, Path("out"))


def test_a_training_runs_on_the_gpu_if_there_is_one(monkeypatch):
    from davidgen_hf.training import arguments

    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    args, *_ = make_arguments({}, Path("out"))
    assert args.use_cpu is not torch.accelerator.is_available()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert make_arguments({}, Path("out"))[0].use_cpu
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    monkeypatch.setattr(arguments.torch.accelerator, "is_available", lambda: False)
    with pytest.raises(SettingError, match="torch sees none"):
        make_arguments({}, Path("out"))


def test_settings_that_contradict_each_other_are_an_error_of_ours():
    with pytest.raises(SettingError, match=r"do not fit together.*save and eval strategy to match"):
        make_arguments({"use_cpu": True, "load_best_model_at_end": True}, Path("out"))


def test_stopping_early_needs_the_best_checkpoint():
    with pytest.raises(SettingError, match="Add `load_best_model_at_end: true`"):
        make_arguments({"use_cpu": True, "early_stopping_patience": 2}, Path("out"))


@pytest.mark.parametrize(
    ("key", "value"),
    [("completion_only_loss", False), ("truncation_mode", "keep_end"), ("packing_strategy", "wrapped")],
)
def test_what_would_break_rows_apart_is_refused(key, value):
    with pytest.raises(SettingError, match=f"{key}: {value!r} is not supported: .*Leave it out"):
        make_arguments({"use_cpu": True, key: value}, Path("out"))


def test_a_tracker_that_is_not_installed_is_named():
    with pytest.raises(SettingError, match=r"report_to names comet_ml, which is not installed\..*'none'"):
        make_arguments({"use_cpu": True, "report_to": "comet_ml"}, Path("out"))


def test_a_tracker_may_not_upload_the_model(monkeypatch):
    from davidgen_hf.training import arguments

    monkeypatch.setitem(arguments.UPLOADS, "tensorboard", "TRACKER_LOG_MODEL")
    monkeypatch.setenv("TRACKER_LOG_MODEL", "end")
    settings = {"use_cpu": True, "report_to": "tensorboard"}
    with pytest.raises(SettingError, match=r"TRACKER_LOG_MODEL lets it upload .*TRACKER_LOG_MODEL=false"):
        make_arguments(settings, Path("out"))
    monkeypatch.setenv("TRACKER_LOG_MODEL", "False")
    assert make_arguments(settings, Path("out"))[0].report_to == ["tensorboard"]


@pytest.mark.parametrize("settings", [{"trust_remote_code": True}, '{"trust_remote_code": true}'])
def test_code_of_a_model_s_repository_is_not_run_by_another_door(settings):
    with pytest.raises(SettingError, match="model_init_kwargs sets trust_remote_code"):
        make_arguments({"use_cpu": True, "model_init_kwargs": settings}, Path("out"))


@pytest.mark.parametrize("key", ["model_init_kwargs", "lr_scheduler_kwargs"])
def test_a_mapping_that_is_not_json_is_an_error_of_ours(key):
    with pytest.raises(SettingError, match="do not fit together"):
        make_arguments({"use_cpu": True, key: "{"}, Path("out"))


@pytest.mark.skipif(find_spec("deepspeed") is not None, reason="deepspeed is installed")
def test_deepspeed_where_it_is_not_installed_is_named():
    with pytest.raises(SettingError, match=r"need a package that is not installed: .*deepspeed"):
        make_arguments({"use_cpu": True, "deepspeed": "nothing.json"}, Path("out"))
