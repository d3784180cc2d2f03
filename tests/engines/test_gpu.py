"""The engines on a CUDA device, against the same model in float32 on the CPU, and against plain transformers."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from davidgen_hf.engines import EngineSettings, Sampling, load_engine
from davidgen_hf.prompts import render_follower, render_generator

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
LICENSE = (Path(__file__).parents[2] / "LICENSE").read_text("utf-8")
PASSAGES = [" ".join(LICENSE[start : start + 300].split()) for start in range(0, 9600, 300)]
PROMPTS = [render_generator(text, "instruction") for text in PASSAGES]
K = 4
CONTEXTS = [
    render_follower(f"What does part {n} of {K} say about {text[:40]}?") for text in PASSAGES for n in range(K)
]
TARGETS = [text for text in PASSAGES for _ in range(K)]
SPEED_ROUNDS = 3


@pytest.fixture(scope="module")
def model(tiny_model) -> Path:
    """The architecture of SmolLM2-135M with random weights."""
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 2048}
    size = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}
    return tiny_model(LlamaConfig, **size, **heads, initializer_range=0.05)


@pytest.fixture(scope="module")
def on_cpu(model) -> dict:
    """What the CPU computes in float32: nll of some pairs, and greedy texts."""
    engine = load_engine(EngineSettings(model=str(model), dtype="float32", device="cpu"))
    few = slice(0, 8 * K)
    scores = engine.score(CONTEXTS[few], TARGETS[few])
    written = engine.generate(PROMPTS[:8], 1, Sampling(max_new_tokens=16, temperature=0.0))
    return {
        "nll": np.array([one.nll for one in scores]),
        "n_tokens": [one.n_tokens for one in scores],
        "texts": written,
    }


@pytest.mark.parametrize("kind", ["transformers", "vllm"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_scores_and_greedy_texts_are_those_of_the_cpu(model, on_cpu, kind, dtype, record_property):
    if kind == "vllm":
        pytest.importorskip("vllm", reason="vLLM is not installed here")
    engine = load_engine(EngineSettings(kind, str(model), dtype=dtype, max_length=1024, memory_share=0.2))
    count = len(on_cpu["nll"])
    scores = engine.score(CONTEXTS[:count], TARGETS[:count])
    assert [one.n_tokens for one in scores] == on_cpu["n_tokens"]
    error = np.abs(np.array([one.nll for one in scores]) / on_cpu["nll"] - 1)
    record_property("nll off by, on average and at most", f"{error.mean():.1e}, {error.max():.1e}")
    assert error.mean() < (1e-4 if dtype == "float32" else 0.01)
    texts = engine.generate(PROMPTS[:8], 1, Sampling(max_new_tokens=16, temperature=0.0))
    if dtype == "float32":
        same = sum(one == other for one, other in zip(texts, on_cpu["texts"], strict=True))
        assert same >= 7  # two tokens may be equally likely but for the last bits


def test_candidates_next_to_those_of_generate(model, record_property):
    engine = load_engine(EngineSettings(model=str(model), dtype="bfloat16", device="cuda"))
    engine.end_tokens = set()
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    reference = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).cuda().eval()
    ids = tokenizer(PROMPTS, padding=True, return_tensors="pt").to("cuda")
    ids.pop("token_type_ids", None)
    length = {"min_new_tokens": 32, "max_new_tokens": 32}

    def theirs() -> list[str]:
        written = reference.generate(**ids, do_sample=True, num_return_sequences=K, top_k=40, top_p=0.9, **length)
        return tokenizer.batch_decode(written)

    def ours() -> list[list[str] | None]:
        return engine.generate(PROMPTS, K, Sampling(max_new_tokens=32))

    assert [len(texts or []) for texts in ours()] == [K] * len(PROMPTS)
    compare(record_property, "candidates", ours, theirs)


def test_scores_are_those_of_full_logits(model, record_property):
    engine = load_engine(EngineSettings(model=str(model), dtype="bfloat16", device="cuda"))
    tokenizer = AutoTokenizer.from_pretrained(model)
    reference = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).cuda().eval()

    @torch.inference_mode()
    def theirs() -> list[float]:
        nll = []
        for start in range(0, len(CONTEXTS), 64):
            rows = [
                [tokenizer(context).input_ids, tokenizer(target, add_special_tokens=False).input_ids]
                for context, target in zip(CONTEXTS[start : start + 64], TARGETS[start : start + 64], strict=True)
            ]
            joined = [torch.tensor(context + target) for context, target in rows]
            batch = torch.nn.utils.rnn.pad_sequence(joined, batch_first=True).cuda()
            logprobs = reference(batch).logits[:, :-1].float().log_softmax(-1)
            own = logprobs.gather(-1, batch[:, 1:, None])[..., 0]
            for row, (context, target) in enumerate(rows):
                nll.append(-own[row, len(context) - 1 : len(context) + len(target) - 1].sum().item())
        return nll

    ours = engine.score(CONTEXTS, TARGETS)
    assert [one.nll for one in ours] == pytest.approx(theirs(), rel=0.02)
    compare(record_property, "scores", lambda: engine.score(CONTEXTS, TARGETS), theirs)


def compare(record_property: Callable, what: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    """Record how many times as fast ``ours`` is, by the median of alternating rounds after a warm-up."""
    seconds: dict[Callable[[], object], list[float]] = {ours: [], theirs: []}
    for turn in range(SPEED_ROUNDS + 1):
        for run, spent in seconds.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            run()
            torch.cuda.synchronize()
            if turn:
                spent.append(time.perf_counter() - start)
    ratio = statistics.median(seconds[theirs]) / statistics.median(seconds[ours])
    record_property(f"seconds, {what}", round(statistics.median(seconds[ours]), 3))
    record_property("times as fast as transformers alone", round(ratio, 2))
