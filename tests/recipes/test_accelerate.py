"""The files under recipes/accelerate are what accelerate reads."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from datasets import Dataset
from transformers import AutoModelForCausalLM

FOLDER = Path(__file__).parents[2] / "recipes" / "accelerate"
TYPES = {"cpu": "MULTI_GPU", "ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}


def test_there_is_a_file_for_each_way_to_run():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_accelerate_reads_the_file(name):
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert config.distributed_type == TYPES[name]
    assert config.use_cpu is (name == "cpu")
    assert name in (FOLDER / "README.md").read_text("utf-8")


def train(model: Path, folder: Path, *options: str, launcher: tuple[str, ...] = ()) -> dict:
    """Train for two steps in a process of its own, and return the record of the training."""
    rows = Dataset.from_dict({"prompt": ["Ask:", "Say:"] * 8, "completion": [" why", " so"] * 8})
    rows.to_parquet(folder / "rows.parquet")
    recipes = FOLDER.parent
    command = [sys.executable, *launcher, recipes / "sft.py", "--config", recipes / "small" / "4_follower.yaml"]
    command += ["--model_name_or_path", model, "--dataset_name", folder / "rows.parquet", "--max_steps", "2"]
    command += ["--gradient_accumulation_steps", "1", "--output_dir", folder / "model", "--use_cpu", "true", *options]
    ran = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TRACKIO_DIR": str(folder / "trackio")},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads((folder / "model" / "run.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["fsdp2", "zero2", "zero3"])
def test_two_processes_of_the_cpu_train_two_steps(name, tiny_llama, tmp_path):
    """On CPUs, accelerate trains an FSDP file with DDP; DeepSpeed first compiles an extension, for minutes."""
    if name.startswith("zero"):
        pytest.importorskip("deepspeed", reason="pip install 'davidgen-hf[deepspeed]'")
    options = ("--config_file", str(FOLDER / f"{name}.yaml"), "--num_processes", "2", "--mixed_precision", "no")
    record = train(tiny_llama, tmp_path, launcher=("-m", "accelerate.commands.launch", *options))
    assert "2 process(es)" in record["batch"]
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").lm_head.weight.shape[0] == 400


@pytest.mark.slow
def test_trackio_has_the_losses(tiny_llama, tmp_path):
    pytest.importorskip("trackio", reason="pip install 'davidgen-hf[trackio]'")
    train(tiny_llama, tmp_path, "--report_to", "trackio", "--logging_steps", "1")
    (database,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(database) as stored:
        logged = b" ".join(row[0] for row in stored.execute("select metrics from metrics"))
    assert b"train/loss" in logged
