"""Any settings, rows and checkpoints: refused in words or trained on, and never half of it."""

import dataclasses
import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from fuzzing import CHECKS, ends_in_words
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from davidgen_hf.errors import DavidgenError, SettingError
from davidgen_hf.training import check_config, train
from davidgen_hf.training.arguments import make_arguments
from davidgen_hf.training.checkpoints import check_checkpoint, last_checkpoint
from davidgen_hf.training.sections import SECTIONS
from davidgen_hf.training.seq2seq import SECTIONS as SEQ2SEQ_SECTIONS

FIELDS = sorted({field.name for section in (*SECTIONS, *SEQ2SEQ_SECTIONS) for field in dataclasses.fields(section)})
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.integers(),
    st.floats(),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, 5e-324]),
    st.sampled_from(["no", "steps", "epoch", "best", "true", "auto", "all", "none", "1e-5", "{", '{"a": 1}', "[1]"]),
    st.sampled_from(["cosine", "linear", "polynomial", "adafactor", "sgd", "rmsprop", "~/x", "/dev/null", "a/b"]),
    TEXT,
)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5
)
SETTINGS = st.dictionaries(st.sampled_from(FIELDS) | TEXT, VALUE, min_size=1, max_size=5)


@settings(suppress_health_check=CHECKS)
@given(SETTINGS, st.sampled_from([SECTIONS, SEQ2SEQ_SECTIONS]))
def test_any_settings_are_refused_or_become_arguments(values, sections):
    with suppress(SettingError):
        checked = check_config(values, "x.yaml", sections)
        make_arguments(checked | {"use_cpu": True}, Path("out"), sections[0])


ROW = st.fixed_dictionaries({}, optional={"prompt": VALUE, "completion": VALUE, "id": VALUE})
ROWS = st.lists(ROW | VALUE, max_size=4).map(lambda rows: "\n".join(json.dumps(row, allow_nan=True) for row in rows))
TEXT_ROWS = st.lists(
    st.fixed_dictionaries({"prompt": TEXT | st.none(), "completion": TEXT}), min_size=1, max_size=3
).map(lambda rows: "\n".join(json.dumps(row) for row in rows))


@settings(suppress_health_check=CHECKS, max_examples=8)
@given(
    ROWS.map(str.encode) | TEXT_ROWS.map(str.encode) | st.binary(max_size=60),
    st.sampled_from(["jsonl", "csv", "parquet"]),
)
@example(b'{"prompt": "\\ud800", "completion": "a"}', "jsonl")
@example(b"prompt,completion\na,b\nc", "csv")
def test_any_rows_are_refused_or_trained_on(tiny_llama, tmp_path, content, suffix):
    folder = tmp_path / "m"
    shutil.rmtree(folder, ignore_errors=True)
    (tmp_path / f"rows.{suffix}").write_bytes(content)
    recipe = {"use_cpu": True, "max_steps": 1, "report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    recipe |= {"model_name_or_path": str(tiny_llama), "dataset_name": str(tmp_path / f"rows.{suffix}"), "bf16": False}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(recipe | {"output_dir": str(folder)}))
    code = ends_in_words("train", "--config", tmp_path / "t.yaml")
    assert (folder / "model.safetensors").is_file() == (code == 0)
    assert folder.exists() == (code == 0)


@pytest.fixture(scope="module")
def checkpoint(tiny_llama, tmp_path_factory) -> tuple[Path, dict[str, bytes], AutoModelForCausalLM]:
    """The folder of a checkpoint, what its files hold, and its model."""
    from datasets import Dataset

    rows = Dataset.from_list([{"prompt": "Say 1.", "completion": " It is 1."}])
    recipe = {"model_name_or_path": str(tiny_llama), "use_cpu": True, "bf16": False, "max_steps": 1, "save_steps": 1}
    folder = tmp_path_factory.mktemp("checkpoint") / "m"
    train(rows, recipe | {"save_strategy": "steps", "report_to": "none"}, output_dir=folder)
    found = folder / "checkpoint-1"
    return (
        found,
        {file.name: file.read_bytes() for file in found.iterdir()},
        AutoModelForCausalLM.from_pretrained(folder),
    )


@settings(suppress_health_check=CHECKS)
@given(st.data())
def test_any_checkpoint_is_whole_or_damaged(checkpoint, data):
    folder, whole, model = checkpoint
    name = data.draw(st.sampled_from(sorted(whole)))
    content = whole[name]
    start = data.draw(st.integers(0, len(content)))
    changed = data.draw(st.sampled_from([content[:start], content[start:], b"", bytes(len(content))]))
    changed = data.draw(
        st.sampled_from([changed, content[:start] + data.draw(st.binary(max_size=9)) + content[start:]])
    )
    try:
        (folder / name).write_bytes(changed)
        with suppress(DavidgenError):
            check_checkpoint(folder, model)
            assert changed or name == "training_args.bin"  # which no training reads
        with suppress(DavidgenError):
            assert last_checkpoint(folder.parent, model) in (None, folder)
    finally:
        (folder / name).write_bytes(content)
    assert last_checkpoint(folder.parent, model) == folder
