import json

import pytest
import torch

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.loading import load_model, number_types
from davidgen_hf.engines.number_types import NumberType, choose_for_checkpoint, choose_number_type
from davidgen_hf.recipe import load_recipe

CPU = torch.device("cpu")


@pytest.fixture(params=["amx_bf16", "avx512_bf16", "bf16", None])
def capability(request, monkeypatch):
    """A processor with one of the instruction sets that multiply bfloat16, or with none."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, request.param: True})
    return request.param


def test_the_machine_decides_where_nobody_does(capability):
    chosen = choose_number_type("auto", CPU)
    assert chosen.torch_dtype == (torch.bfloat16 if capability else torch.float32)
    native = "this processor computes it natively" if capability else "this processor has no native bfloat16"
    assert chosen.reason == native
    assert choose_number_type("float16", CPU) == NumberType("float16", "the settings name it")


def test_a_checkpoint_s_type_counts_unless_it_would_be_emulated(capability):
    assert choose_for_checkpoint("auto", torch.float32, CPU) == NumberType("float32", "the checkpoint's")
    assert choose_for_checkpoint("auto", None, CPU).dtype == "float32"
    found = choose_for_checkpoint("auto", torch.bfloat16, CPU)
    emulated = "the checkpoint's bfloat16 is not native to this processor"
    expected = NumberType("bfloat16", "the checkpoint's") if capability else NumberType("float32", emulated)
    assert found == expected
    assert choose_for_checkpoint("auto", torch.float16, CPU).dtype == "float32"
    assert choose_for_checkpoint("bfloat16", torch.float32, CPU).dtype == "bfloat16"


def test_a_model_in_emulated_bfloat16_is_warned_of_with_its_cost(capability, tiny_llama, caplog):
    load_model(EngineSettings(model=str(tiny_llama), dtype="bfloat16"))
    words = "has no native bfloat16: matrix products take up to five times as long as in float32"
    assert (words in caplog.text) == (capability is None)


def test_a_run_records_the_types_of_its_steps_with_their_reasons(tiny_run):
    steps = json.loads((tiny_run / "run.json").read_text("utf-8"))["steps"]
    expected = number_types(load_recipe("demo").corpus.engines())
    assert steps["corpus"]["number_types"] == expected
    assert list(expected) == ["generator", "scorer"]
    assert steps["evaluation"]["number_types"] == {"evaluation": expected["scorer"]}
    assert steps["generator"]["precision"] == "computes in float32 (the recipe sets bf16: false)"
