"""A training judges its model and rows before it begins, and its model's record says what was found."""

import json

import pytest
from datasets import Dataset

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance import Part, Provenance, read_provenance
from davidgen_hf.training.judging import judge_training
from davidgen_hf.training.script import train_from_command_line


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "out" / "corpus" / "rows.parquet"
    path.parent.mkdir(parents=True)
    Dataset.from_dict({"prompt": ["Ask:"] * 4, "completion": [" why"] * 4}).to_parquet(path)
    return path


def told(rows, *, allowed: bool):
    part = Part("scorer", "org/model", "restricted", "A closed model wrote it.")
    record = {"provenance": Provenance((part,), allowed).record()}
    (rows.parents[1] / "run.json").write_text(json.dumps(record))


def test_files_of_the_user_are_recorded_as_unknown(rows, tiny_llama):
    found = judge_training({"dataset_name": str(rows), "model_name_or_path": str(tiny_llama)})
    assert [(part.role, part.name, part.answer) for part in found.parts] == [
        ("data", "rows.parquet", "unknown"),
        ("base_model", tiny_llama.name, "unknown"),
    ]


def test_restricted_rows_stop_a_training(rows, tiny_llama, tmp_path):
    told(rows, allowed=False)
    argv = ["--dataset_name", str(rows), "--model_name_or_path", str(tiny_llama), "--output_dir", str(tmp_path / "m")]
    with pytest.raises(ProvenanceError, match=r"(?s)rows\.parquet: restricted.*the option --allow_restricted"):
        train_from_command_line([*argv, "--max_steps", "1", "--use_cpu"])
    assert not (tmp_path / "m").exists()
    train_from_command_line([*argv, "--max_steps", "1", "--use_cpu", "--allow_restricted"])
    assert read_provenance(tmp_path / "m").answer == "restricted"


def test_what_a_run_allowed_is_allowed_for_its_rows(rows):
    told(rows, allowed=True)
    found = judge_training({"datasets": [{"path": "parquet", "data_files": str(rows)}]})
    assert (found.answer, found.allow_restricted) == ("restricted", True)


def test_a_restricted_model_stops_a_training(rows):
    with pytest.raises(ProvenanceError, match="SmolLM2-135M-Instruct: restricted"):
        judge_training({"dataset_name": str(rows), "model_name_or_path": "embedded"})
