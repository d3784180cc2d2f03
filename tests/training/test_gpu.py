"""Training on a CUDA device, and a follower behind vLLM's server."""

import importlib.util
import sys

import openai
import pytest
import torch
from datasets import Dataset
from transformers import LlamaConfig
from vllm_server import serving

from davidgen_hf.engines import EngineSettings, Sampling, load_engine
from davidgen_hf.prompts import render_follower
from davidgen_hf.training import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
HAS_FLASH, HAS_VLLM = (importlib.util.find_spec(name) is not None for name in ("flash_attn", "vllm"))


@pytest.fixture(scope="module")
def follower_rows() -> Dataset:
    rows = [
        {"prompt": render_follower(f"Say the number {n}."), "completion": f" The number is {n}."} for n in range(64)
    ]
    return Dataset.from_list(rows)


@pytest.fixture
def on_gpu(recipe, tiny_model) -> dict:
    """A recipe that leaves the number type and the device to the machine."""
    model = tiny_model(LlamaConfig, hidden_size=256, num_key_value_heads=2, initializer_range=0.05)  # heads of 64
    left_open = {name: value for name, value in recipe.items() if name not in ("use_cpu", "bf16")}
    return left_open | {"model_name_or_path": str(model), "max_length": 256, "num_train_epochs": 6}


@pytest.mark.parametrize(
    "attention",
    [
        "sdpa",
        pytest.param(
            "flash_attention_2",
            marks=pytest.mark.skipif(not HAS_FLASH, reason="flash-attn is not installed here"),
        ),
    ],
)
@pytest.mark.parametrize("packing", [False, True])
def test_training_in_bfloat16_learns_with_and_without_packing(on_gpu, follower_rows, tmp_path, attention, packing):
    recipe = on_gpu | {"packing": packing, "attn_implementation": attention}
    if attention == "flash_attention_2":
        recipe["dtype"] = "bfloat16"
    summary = train(follower_rows, recipe, output_dir=tmp_path / "m")
    assert summary.precision.dtype == "bfloat16"
    assert summary.loss_end < 0.7 * summary.loss_start


@pytest.mark.skipif(not HAS_VLLM, reason="vLLM is not installed here")
def test_a_follower_behind_vllm_answers_with_its_chat_template(on_gpu, follower_rows, tmp_path):
    train(follower_rows, on_gpu, output_dir=tmp_path / "m")
    here = load_engine(EngineSettings(model=str(tmp_path / "m"), dtype="float32"))
    instructions = [f"Say the number {n}." for n in (3, 14)]
    expected = here.generate([render_follower(one) for one in instructions], 1, Sampling(24, temperature=0.0))
    with serving(sys.executable, tmp_path / "m", tmp_path / "log") as url:
        client = openai.OpenAI(base_url=url, api_key="none")
        for instruction, texts in zip(instructions, expected, strict=True):
            message = {"role": "user", "content": instruction}
            answer = client.chat.completions.create(
                model=str(tmp_path / "m"), messages=[message], temperature=0.0, max_tokens=24
            )
            assert [answer.choices[0].message.content] == texts
