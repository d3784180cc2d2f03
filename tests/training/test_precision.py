import json

import pytest
import torch

from davidgen_hf.engines.number_types import is_bfloat16_native
from davidgen_hf.errors import RunFolderError, SettingError
from davidgen_hf.training import check_config, train
from davidgen_hf.training.precision import Precision, choose_precision

NATIVE = is_bfloat16_native(torch.device("cpu"))


@pytest.fixture(params=["amx_bf16", "avx512_bf16", "bf16", None])
def capability(request, monkeypatch):
    """A processor with one of the instruction sets that multiply bfloat16, or with none."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, request.param: True})
    return request.param


def test_the_processor_decides_where_the_recipe_does_not(capability):
    chosen = choose_precision({"use_cpu": True})
    assert chosen.dtype == ("bfloat16" if capability else "float32")
    assert "this processor" in chosen.reason


@pytest.mark.parametrize(
    ("settings", "dtype"),
    [
        ({"bf16": True}, "bfloat16"),
        ({"bf16": False}, "float32"),
        ({"fp16": True}, "float16"),
        ({"fp16": True, "bf16": False}, "float16"),
    ],
    ids=str,
)
def test_a_recipe_s_word_counts_on_any_processor(capability, settings, dtype):
    chosen = choose_precision({"use_cpu": True} | settings)
    (setting, value) = next(iter(settings.items()))
    assert (chosen.dtype, chosen.reason) == (dtype, f"the recipe sets {setting}: {str(value).lower()}")


def test_emulated_bfloat16_is_warned_of_with_its_cost(capability, caplog):
    choose_precision({"use_cpu": True, "bf16": True})
    words = "(the recipe sets bf16: true), but this processor has no native bfloat16: steps take about three times"
    warned = words in caplog.text
    assert warned == (capability is None)


@pytest.mark.parametrize(("encoder_decoder", "dtype"), [(False, "float16"), (True, "float32")])
def test_a_gpu_without_bfloat16_trains_in_float16_unless_the_model_overflows(monkeypatch, encoder_decoder, dtype):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    chosen = choose_precision({"use_cpu": False}, encoder_decoder=encoder_decoder)
    assert chosen == Precision(dtype, "this cuda device has no native bfloat16")


@pytest.mark.parametrize(("launched", "dtype"), [("fp16", "float16"), ("bf16", "bfloat16"), ("no", None)])
def test_what_accelerate_was_launched_with_counts_unless_the_recipe_says_otherwise(monkeypatch, launched, dtype):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    assert choose_precision({"use_cpu": True}).dtype == (dtype or ("bfloat16" if NATIVE else "float32"))
    assert choose_precision({"use_cpu": True, "bf16": False}).dtype == "float32"


def test_two_types_at_once_are_refused():
    with pytest.raises(SettingError, match="sets both bf16 and fp16"):
        choose_precision({"use_cpu": True, "bf16": True, "fp16": True})


def test_auto_may_be_written_out():
    assert check_config({"bf16": "auto", "fp16": "auto"}, "x.yaml") == {"bf16": None, "fp16": None}
    with pytest.raises(SettingError, match=r"bf16: .*got 'maybe'"):
        check_config({"bf16": "maybe"}, "x.yaml")


def test_the_type_is_recorded_with_its_reason_and_read_again(recipe, rows, tmp_path, caplog):
    recipe = {key: value for key, value in recipe.items() if key != "bf16"} | {"max_steps": 1}
    summary = train(rows, recipe, output_dir=tmp_path / "m")
    recorded = json.loads((tmp_path / "m" / "run.json").read_text())["precision"]
    assert recorded["dtype"] == ("bfloat16" if NATIVE else "float32")
    assert recorded["reason"].startswith("this processor")
    assert str(summary.precision) in caplog.text
    assert train(rows, recipe, output_dir=tmp_path / "m") == summary


@pytest.mark.parametrize("content", ["[]", "{}", "{", '{"finished": true}'])
def test_a_damaged_record_is_named(recipe, rows, tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"run\.json"):
        train(rows, recipe, output_dir=tmp_path)


@pytest.mark.parametrize("change", [{"steps": "many"}, {"rows": None}, {"loss_history": [[1]]}])
def test_a_record_with_other_values_is_named(recipe, rows, tmp_path, change):
    train(rows, recipe | {"max_steps": 1}, output_dir=tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    assert "precision" in record
    del record["precision"]  # as version 0.1 wrote it
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert train(rows, recipe | {"max_steps": 1}, output_dir=tmp_path).precision is None
    (tmp_path / "run.json").write_text(json.dumps(record | change))
    with pytest.raises(RunFolderError, match=f"run.json.*{next(iter(change))}"):
        train(rows, recipe | {"max_steps": 1}, output_dir=tmp_path)
