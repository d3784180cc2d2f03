"""Runs engine calls in an environment that has vLLM: ``PYTHON vllm_worker.py REQUEST.json ANSWER.json``.

REQUEST.json: ``settings`` of the engine and ``calls``, a list of method names with their arguments. With
``interpret``, vLLM's second model runner, which needs a GPU's Triton, runs in Triton's own interpreter on the CPU.
``block_size`` is that of the cache.
ANSWER.json: what each call returned and ``cache_hits``, the tokens read from the prefix cache, or ``error`` of
loading; an error of ours is its class and text.
"""

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from davidgen_hf.engines import EngineSettings, Sampling, load_engine
from davidgen_hf.engines.elimination import Elimination
from davidgen_hf.errors import DavidgenError


def main(request: dict) -> dict:
    if request.get("interpret"):
        interpret_triton()
    import vllm

    # Compiling takes a minute and changes no result.
    vllm.LLM = partial(vllm.LLM, enforce_eager=True, block_size=request.get("block_size"))
    try:
        engine = load_engine(EngineSettings(**request["settings"]))
    except DavidgenError as error:
        return {"error": [type(error).__name__, str(error)]}
    hits: list[int] = []
    engine._run = partial(counting, engine._run, hits)
    answers = [call(engine, method, arguments) for method, *arguments in request["calls"]]
    found = {"answers": answers, "max_length": engine.max_length, "scores_targets_only": engine.scores_targets_only}
    return found | {"cache_hits": sum(hits)}


def counting(run, hits: list[int], *given) -> list:
    answers = run(*given)
    hits += [answer.num_cached_tokens or 0 for answer in answers]
    return answers


def interpret_triton() -> None:
    from triton.backends import backends

    # vLLM's build for processors takes Triton only if it lists a backend for them.
    backends["cpu"] = SimpleNamespace(driver=SimpleNamespace(is_active=lambda: True), compiler=None)


def call(engine, method: str, arguments: list):
    try:
        if method == "generate":
            prompts, n, sampling = arguments
            return engine.generate(prompts, n, Sampling(**sampling))
        if method == "score_by_elimination":
            *given, rule, spans = arguments
            return [asdict(score) for score in engine.score_by_elimination(*given, Elimination(**rule), spans)]
        if method == "score":
            return [asdict(score) for score in engine.score(*arguments)]
        return getattr(engine, method)(*arguments)
    except DavidgenError as error:
        return [type(error).__name__, str(error)]


if __name__ == "__main__":
    request_file, answer_file = map(Path, sys.argv[1:])
    answer_file.write_text(json.dumps(main(json.loads(request_file.read_text("utf-8")))), "utf-8")
