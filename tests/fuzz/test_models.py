"""Random model folders and cards, into the loader and into the judgement of provenance: words, never a traceback."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from fuzzing import CHECKS
from hypothesis import given, settings
from hypothesis import strategies as st

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.loading import load_model
from davidgen_hf.errors import DavidgenError
from davidgen_hf.sources.origins import judge_local, model_part

SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(-2, 5), st.sampled_from([2**31, 2**63, -(2**40), 10**30])),
    *(st.floats(), st.text(max_size=8), st.sampled_from(["llama", "t5", "auto", "float32", "restricted", "gpt-4"])),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FRONT_MATTER = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(str.encode),
    st.dictionaries(
        st.sampled_from(["license", "tags", "base_model", "datasets", "source_datasets", "model-index"]),
        VALUES,
        max_size=4,
    ).map(lambda values: json.dumps(values).encode()),
).map(lambda content: b"---\n" + content + b"\n---\n# A model\n")

# Each of these loads a whole model.
FEWER = settings(suppress_health_check=CHECKS, max_examples=settings.default.max_examples // 6)


@pytest.fixture(scope="module")
def copy(tiny_llama, tmp_path_factory) -> Path:
    return Path(shutil.copytree(tiny_llama, tmp_path_factory.mktemp("fuzz") / "copy"))


def in_words(act, *arguments) -> None:
    """Do something that must end well or in an error of ours."""
    with suppress(DavidgenError):
        act(*arguments)


def changed(folder: Path, source: Path, name: str, content: bytes, act, *arguments) -> None:
    """Do something while one file of a model's folder has other content."""
    (folder / name).write_bytes(content)
    try:
        in_words(act, *arguments)
    finally:
        if (source / name).exists():
            shutil.copy(source / name, folder / name)
        else:
            (folder / name).unlink()


def load(folder: Path) -> None:
    load_model(EngineSettings(model=str(folder), dtype="float32", device="cpu"))


@FEWER
@given(data=st.data(), value=VALUES)
def test_a_field_of_the_configuration(copy, tiny_llama, data, value):
    content = json.loads((tiny_llama / "config.json").read_text())
    content[data.draw(st.sampled_from([*sorted(content), "quantization_config", "auto_map", "text_config"]))] = value
    changed(copy, tiny_llama, "config.json", json.dumps(content).encode(), load, copy)


@FEWER
@given(data=st.data(), value=VALUES)
def test_a_field_of_the_tokenizer(copy, tiny_llama, data, value):
    name = data.draw(st.sampled_from(["tokenizer.json", "tokenizer_config.json", "generation_config.json"]))
    content = json.loads((tiny_llama / name).read_text())
    holder = data.draw(st.sampled_from([content, *(one for one in content.values() if isinstance(one, dict))]))
    holder[data.draw(st.sampled_from([*sorted(holder), "other"]))] = value
    changed(copy, tiny_llama, name, json.dumps(content).encode(), load, copy)


@FEWER
@given(
    name=st.sampled_from(
        ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "adapter_config.json"]
    ),
    content=st.one_of(st.binary(max_size=60), VALUES.map(lambda value: json.dumps(value).encode())),
)
def test_any_bytes_in_the_place_of_a_file(copy, tiny_llama, name, content):
    changed(copy, tiny_llama, name, content, load, copy)


@settings(suppress_health_check=CHECKS)
@given(card=FRONT_MATTER, adapter=st.none() | VALUES, base=st.none() | VALUES)
def test_the_judgement_of_a_model_s_folder(tmp_path, card, adapter, base):
    (tmp_path / "README.md").write_bytes(card)
    (tmp_path / "adapter_config.json").unlink(missing_ok=True)
    if adapter is not None or base is not None:
        content = {"base_model_name_or_path": base, "revision": adapter} if base is not None else adapter
        (tmp_path / "adapter_config.json").write_text(json.dumps(content))
    in_words(model_part, "base_model", str(tmp_path))


@settings(suppress_health_check=CHECKS)
@given(
    card=FRONT_MATTER, row=st.dictionaries(st.sampled_from(["source", "model", "restricted", "candidates"]), VALUES)
)
def test_the_judgement_of_rows_and_their_card(tmp_path, card, row):
    (tmp_path / "README.md").write_bytes(card)
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    in_words(judge_local, tmp_path)
    in_words(judge_local, tmp_path / "rows.jsonl")
