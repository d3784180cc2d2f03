"""Several processes on one machine: each runs its models on a GPU of its own, or its part of a corpus."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset

from davidgen_hf.engines.loading import resolve_device
from davidgen_hf.engines.ranks import as_rank, launched_part, local_rank
from davidgen_hf.processors import ByRank, KeepWhole, apply

ROOT = Path(__file__).parents[2]
SCORING = """
import sys
from datasets import Dataset, Features, disable_caching
from davidgen_hf import ByRank, EngineSettings, ScoreCandidates, apply
from davidgen_hf.schema import empty_candidate

if __name__ == "__main__":
    import multiprocess

    multiprocess.set_start_method("spawn")
    disable_caching()
    candidates = [[empty_candidate(instruction=f"Name {n} rivers.", input="")] for n in range(6)]
    rows = Dataset.from_dict({"output": [f"Here are {n}." for n in range(6)], "candidates": candidates})
    step = ScoreCandidates(EngineSettings(model=sys.argv[1], dtype="float32"))
    features = Features(rows.features | step.writes)
    scored = rows.map(ByRank(step), batched=True, batch_size=2, features=features, with_rank=True, num_proc=2)
    expected = apply(step, rows)
    first = [[many[0]["nll"] for many in made["candidates"]] for made in (scored, expected)]
    assert max(abs(a - b) for a, b in zip(*first)) < 1e-3, first
    print("the same", len(first[0]))
"""


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    assert (local_rank(), launched_part()) == (None, None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert resolve_device("auto") == torch.device("cuda")
    with as_rank(5):
        assert resolve_device("auto") == torch.device("cuda", 1)
        assert resolve_device("cpu") == torch.device("cpu")
    for name, value in (("LOCAL_RANK", "2"), ("RANK", "10"), ("WORLD_SIZE", "16")):
        monkeypatch.setenv(name, value)
    assert resolve_device("auto") == torch.device("cuda", 2)
    assert launched_part() == "10/16"
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launched_part() is None


def test_a_step_by_rank_is_the_step():
    rows = Dataset.from_dict({"text": ["The river rises in the hills."]})
    assert ByRank(KeepWhole())(rows[:]) == ByRank(KeepWhole())(rows[:], 3) == KeepWhole()(rows[:])
    assert apply(KeepWhole(), rows, num_proc=1)["output"][:] == rows["text"][:]


@pytest.mark.slow
def test_each_worker_of_a_plain_map_loads_an_engine(tiny_llama, tmp_path):
    (tmp_path / "score.py").write_text(SCORING)
    ran = subprocess.run(
        [sys.executable, tmp_path / "score.py", tiny_llama],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the same 6" in ran.stdout, ran.stdout + ran.stderr


@pytest.mark.slow
def test_accelerate_launch_writes_and_scores_in_two_processes(tiny_llama, tmp_path):
    passages = tmp_path / "passages.jsonl"
    passages.write_text("".join(json.dumps({"text": f"House {n} stands by the river."}) + "\n" for n in range(8)))
    overrides = ("corpus.shard_rows=2", "corpus.guards=none", "corpus.limit.max_tokens=64")
    ran = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "accelerate.commands.launch",
                "--config_file",
                ROOT / "recipes/accelerate/cpu.yaml",
            ),
            *("-m", "davidgen_hf", "corpus", "demo", "--generator", tiny_llama, "--base-model", tiny_llama),
            *("--passages", passages, "--output", tmp_path / "run", *overrides),
            "corpus.generate.sampling.max_new_tokens=8",
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Part 0/2 is done" in ran.stdout
    assert "Part 1/2 is done" in ran.stdout
    for stage in ("candidates", "scored", "corpus"):
        assert len(list((tmp_path / "run" / stage).glob("*.parquet"))) == 4
