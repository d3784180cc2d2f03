"""A run folder of version 0.1 opens in every command, and resumes. Its models' weights are random ones made here."""

import json
import tarfile
from pathlib import Path

import pytest
import yaml
from conftest import save_tiny
from fuzzing import run_command

from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.run import run_recipe

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run_0.1.tar.xz"
HOUSE = "The house number {} stands by the river. It was built long ago, and {} people live in it."
PASSAGES = [{"id": f"p{n}", "text": HOUSE.format(n, n), "license": "CC BY 4.0"} for n in range(5)]
SEEDS = [{"instruction": f"Name {n} rivers.", "output": f"The Nile and {n} more.", "license": "MIT"} for n in range(6)]


@pytest.fixture
def old_run(tmp_path) -> Path:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    torch.manual_seed(0)
    for model in ("generator", "follower"):
        folder = tmp_path / "run" / model
        AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return tmp_path / "run"


def test_it_opens_in_every_command(old_run, tmp_path):
    pairs = json.loads((old_run / "run.json").read_text())["steps"]["corpus"]["counts"]["corpus"]["pairs"]
    for arguments, said in (
        (("report", old_run), "report.html"),
        (("export", old_run, "--output", tmp_path / "pairs.jsonl"), f"{pairs} rows"),
        (("export", old_run, "--preferences", "--output", tmp_path / "preferences.jsonl"), "rows in"),
        (("eval", old_run, "--table"), "longform"),
        (("push", old_run, "org/corpus"), "Nothing was sent"),
    ):
        code, printed = run_command(*arguments)
        assert code == 0, printed
        assert said.lower() in printed.lower()
    assert len((tmp_path / "pairs.jsonl").read_text().splitlines()) == pairs > 4


def test_it_resumes(old_run, tmp_path):
    from transformers import LlamaConfig

    for name, rows in (("passages", PASSAGES), ("seeds", SEEDS)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    save_tiny(tmp_path / "tiny", LlamaConfig, num_key_value_heads=2)
    overrides = [
        *(f"corpus.passages.source={tmp_path}/passages.jsonl", f"seeds.source.source={tmp_path}/seeds.jsonl"),
        *("seeds.held_out=2", "corpus.shard_rows=3", "corpus.limit.max_tokens=100", "evaluation.max_new_tokens=8"),
        *("corpus.generate.sampling.max_new_tokens=8", "corpus.extract.sentence.min_words=6"),
        "corpus.guards.rules={max_copied_run: 99, max_copied_share: 1.0, min_language_confidence: 1.01}",
        *("corpus.generate.engine.kind=echo", "corpus.generate.engine.model=echo"),
    ]
    declaration = {"written_by": "people", "statement": "Made for this test.", "license": "apache-2.0"}
    names = ("passages.jsonl", "seeds.jsonl", "tiny")
    overrides.append(f"provenance.declarations={json.dumps(dict.fromkeys(names, declaration))}")
    record = json.loads((old_run / "run.json").read_text())
    for step in ("generator", "follower"):
        model = {"model_name_or_path": f"{tmp_path}/tiny", "max_steps": 2}
        # What the recipe of that version set, where today's leaves it to the machine.
        recorded = {key: value for key, value in record["recipe"][step].items() if key not in {*model, "bf16"}}
        overrides += [
            f"{step}.{key}={yaml.safe_dump(value).splitlines()[0]}" for key, value in (recorded | model).items()
        ]
    before = {path: path.stat().st_mtime_ns for path in old_run.glob("*/*.parquet")}
    record["steps"] = {name: step for name, step in record["steps"].items() if name not in ("follower", "evaluation")}
    (old_run / "run.json").write_text(json.dumps(record))
    announced = []
    run_recipe(load_recipe("demo", overrides), old_run, announced.append)
    assert [line.split()[1].rstrip(":") for line in announced if "skipped" in line] == ["seeds", "generator", "corpus"]
    after = {path: path.stat().st_mtime_ns for path in old_run.glob("*/*.parquet")}
    changed = {path.parent.name for path in before if after[path] != before[path]}
    assert changed <= {"evaluation"}
    assert set(json.loads((old_run / "run.json").read_text())["steps"]) == {
        *("seeds", "generator", "corpus", "follower", "evaluation")
    }
