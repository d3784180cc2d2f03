"""The races, one function each: what is run, and the figures that come of it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch

from benchmarks.contenders import Generate, LmEval, ours, vllm
from benchmarks.measure import Measured, matmul_rate, race
from benchmarks.workload import Workload
from davidgen_hf.engines import EngineSettings, Sampling
from davidgen_hf.engines.loading import find_model
from davidgen_hf.engines.local import LocalEngine
from davidgen_hf.engines.number_types import choose_number_type
from davidgen_hf.engines.scoring import share_opening
from davidgen_hf.prompts import render_follower, render_generator


@dataclass
class Bench:
    """The model of a run, loaded once for each contender, and how often each race is run."""

    engine: LocalEngine
    folder: str
    dtype: torch.dtype
    texts: list[str]
    repeats: int
    scale: int
    vllm_python: str | None

    @classmethod
    def load(
        cls, settings: EngineSettings, texts: list[str], repeats: int, scale: int, vllm_python: str | None
    ) -> Self:
        engine = LocalEngine(settings)
        dtype = choose_number_type(settings.dtype, engine.model.device).torch_dtype
        return cls(engine, find_model(settings).name, dtype, texts, repeats, scale, vllm_python)

    @property
    def device(self) -> torch.device:
        return self.engine.model.device

    def run(self, contenders: dict[str, Callable[[], object]]) -> dict[str, Measured]:
        return race(contenders, self.repeats, self.dtype, self.device)

    def reference(self) -> Generate:
        return Generate(self.folder, self.dtype, self.device)

    @property
    def workload(self) -> Workload:
        return Workload(self.texts, self.engine.tokenizer)


@dataclass
class Race:
    """What a race came to, and the same work as a request for ``vllm_side.py``."""

    figures: dict
    request: dict


def candidates(bench: Bench, prompts: int = 16, n: int = 4, tokens: int = 370, new_tokens: int = 32) -> Race:
    """Candidates for prompts of equal length."""
    return _candidates(bench, bench.workload.prompts([tokens] * prompts * bench.scale), n, new_tokens)


def candidates_mixed(bench: Bench, prompts: int = 32, n: int = 1, new_tokens: int = 32) -> Race:
    """Candidates for prompts of 30 to 800 tokens, in random order."""
    return _candidates(bench, bench.workload.prompts(_spread(30, 800, prompts * bench.scale)), n, new_tokens)


def scores(bench: Bench, targets: int = 16, n: int = 4, tokens: int = 270) -> Race:
    """Scores of pairs of equal length."""
    return _scores(bench, bench.workload.pairs([tokens] * targets * bench.scale, n))


def scores_mixed(bench: Bench, targets: int = 16, n: int = 4) -> Race:
    """Scores of pairs of 60 to 800 tokens, in random order."""
    return _scores(bench, bench.workload.pairs(_spread(60, 800, targets * bench.scale), n))


def end_to_end(bench: Bench, passages: int = 16, n: int = 4, tokens: int = 120, new_tokens: int = 32) -> Race:
    """From passages to the candidate that predicts each best: candidates, their scores, and the choice."""
    workload = bench.workload
    texts = [workload.window(tokens) for _ in range(passages * bench.scale)]
    prompts = [render_generator(text, "instruction") for text in texts]
    reference = bench.reference()
    lm_eval = LmEval(reference)

    def of_this_package(count: int, new_tokens: int) -> list[str]:
        written = ours(bench.engine, prompts[:count], n, new_tokens)
        contexts = [render_follower(one) for many in written for one in many]
        scored = bench.engine.score(contexts, _repeated(texts[:count], n))
        return _winners([one for many in written for one in many], [one.nll for one in scored], n)

    def of_libraries(count: int, new_tokens: int) -> list[str]:
        written = reference.candidates(prompts[:count], n, new_tokens)
        pairs = zip(map(render_follower, written), _repeated(texts[:count], n), strict=True)
        return _winners(written, lm_eval.scores(list(pairs)), n)

    for run in (of_this_package, of_libraries):
        run(2, 2)
    contenders = {"ours": of_this_package, "generate_lm_eval": of_libraries}
    results = bench.run({name: partial(run, len(texts), new_tokens) for name, run in contenders.items()})
    rows = {
        name: _row(measured) | {"passages_per_second": len(texts) / measured.median}
        for name, measured in results.items()
    }
    size = {"passages": len(texts), "passage_tokens": sum(bench.engine.count_tokens(texts)), "n": n}
    before, after = render_follower("\0").split("\0")
    request = {"prompts": prompts, "n": n, "max_new_tokens": new_tokens, "choose": {"texts": texts}}
    request["choose"] |= {"before": before, "after": after}
    return Race(
        size | {"new_tokens": new_tokens, "unit": "passages_per_second", "work": len(texts), "rows": rows}, request
    )


def _repeated(texts: list[str], n: int) -> list[str]:
    return [text for text in texts for _ in range(n)]


def _winners(candidates: list[str], nll: list[float], n: int) -> list[str]:
    return [
        min(zip(nll[start : start + n], candidates[start : start + n], strict=True))[1]
        for start in range(0, len(candidates), n)
    ]


def cost_by_passages(bench: Bench, counts: tuple[int, ...], n: int = 4, tokens: int = 24, new_tokens: int = 8) -> dict:
    """Seconds of generation and of scoring for ever more short passages."""
    return {"n": n, "points": [_cost(bench, count, n, tokens, new_tokens) for count in counts]}


def cost_by_n(bench: Bench, ns: tuple[int, ...], passages: int = 24, tokens: int = 96, new_tokens: int = 16) -> dict:
    """Seconds of generation and of scoring for ever more candidates of the same passages."""
    return {"passages": passages, "points": [_cost(bench, passages, n, tokens, new_tokens) for n in ns]}


def _spread(low: int, high: int, count: int) -> list[int]:
    lengths = [round(low + (high - low) * place / (count - 1)) for place in range(count)]
    random.Random(0).shuffle(lengths)
    return lengths


def _candidates(bench: Bench, prompts: list[str], n: int, new_tokens: int) -> Race:
    reference = bench.reference()
    contenders = {
        "ours": lambda: ours(bench.engine, prompts, n, new_tokens),
        "generate": lambda: reference.candidates(prompts, n, new_tokens),
    }
    ours(bench.engine, prompts[:2], n, 2)
    reference.candidates(prompts[:2], n, 2)
    results = bench.run(contenders)
    tokens = len(prompts) * n * new_tokens
    rows = {
        name: _row(measured) | {"tokens_per_second": tokens / measured.median} for name, measured in results.items()
    }
    request = {"prompts": prompts, "n": n, "max_new_tokens": new_tokens}
    prompt_tokens = sum(bench.engine.count_tokens(prompts))
    size = {"prompts": len(prompts), "prompt_tokens": prompt_tokens, "n": n, "new_tokens": new_tokens}
    return Race(size | {"unit": "tokens_per_second", "work": tokens, "rows": rows}, request)


def _scores(bench: Bench, texts: list[tuple[str, str]]) -> Race:
    contexts, targets = map(list, zip(*texts, strict=True))
    lm_eval = LmEval(bench.reference())
    contenders = {
        "ours": lambda: bench.engine.score(contexts, targets),
        "lm_eval": lambda: lm_eval.scores(texts),
    }
    bench.engine.score(contexts[:2], targets[:2])
    lm_eval.scores(texts[:2])
    results = bench.run(contenders)
    rows = {
        name: _row(measured) | {"pairs_per_second": len(texts) / measured.median} for name, measured in results.items()
    }
    pairs = bench.engine.tokens.pairs(contexts, targets)
    with torch.inference_mode():
        opening = share_opening(bench.engine.model, pairs)
    skipped = opening.tokens if opening else 0
    run = sum(len(pair.context) + len(pair.target) - 1 - skipped for pair in pairs)
    predicted = sum(len(pair.target) for pair in pairs)
    rate = max(results["ours"].rates)
    achieved = _operations(bench.engine.model, run, predicted) / results["ours"].median
    rows["ours"] |= {"operations_per_second": achieved, "share_of_matmul_rate": achieved / rate}
    request = {"pairs": [[list(pair.context), list(pair.target)] for pair in pairs]}
    size = {"pairs": len(texts), "tokens": run + (skipped + 1) * len(texts), "opening": skipped}
    return Race(size | {"unit": "pairs_per_second", "work": len(texts), "rows": rows}, request)


def _operations(model, run: int, predicted: int) -> int:
    """Count the operations of the linear layers: two a weight for each token run, and the head for those predicted."""
    embeddings = model.get_input_embeddings().weight.numel()
    head = model.get_output_embeddings().weight
    body = sum(weight.numel() for weight in model.parameters()) - embeddings
    if head is not model.get_input_embeddings().weight:
        body -= head.numel()
    return 2 * (body * run + head.numel() * predicted)


def _row(measured: Measured) -> dict:
    return {
        "seconds": measured.seconds,
        "processor_seconds": measured.processor_seconds,
        "median_seconds": measured.median,
        "peak_bytes_above_weights": measured.peak_bytes,
        "matmul_gflops": [rate / 1e9 for rate in measured.rates],
    }


def add_vllm(bench: Bench, race: Race) -> None:
    """Let vLLM run, right after the others, in a process of its own; its figures join the race's."""
    dtype = str(bench.dtype).removeprefix("torch.")
    common = {"model": bench.folder, "dtype": dtype, "max_length": 1024, "repeats": bench.repeats}
    answer = vllm(bench.vllm_python, common | race.request)
    part = next(name for name in ("chosen", "candidates", "scores") if name in answer)
    measured = Measured(answer[part]["seconds"], rates=[matmul_rate(bench.dtype, bench.device)])
    race.figures["rows"]["vllm"] = _row(measured) | {
        race.figures["unit"]: race.figures["work"] / measured.median,
        "version": answer["vllm"],
        "start_seconds": answer["start_seconds"],
    }


def _cost(bench: Bench, passages: int, n: int, tokens: int, new_tokens: int) -> dict:
    workload, engine = bench.workload, bench.engine
    targets = [workload.window(tokens) for _ in range(passages)]
    sampling = Sampling(max_new_tokens=new_tokens)
    start = time.perf_counter()
    prompts = [f"{target}\n\nWhat kind of instruction could this be the answer to?\n\nX:" for target in targets]
    written = engine.generate(prompts, n, sampling)
    generated = time.perf_counter()
    contexts = [
        f"### Instruction:\n{candidate}\n\n### Response:" for candidates in written for candidate in candidates
    ]
    engine.score(contexts, [target for target in targets for _ in range(n)])
    return {
        "passages": passages,
        "n": n,
        "generate_seconds": generated - start,
        "score_seconds": time.perf_counter() - generated,
    }
