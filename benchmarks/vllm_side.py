"""What vLLM takes for the same candidates and scores; run by the Python of an environment that has vLLM.

    VLLM_PYTHON benchmarks/vllm_side.py REQUEST.json ANSWER.json

REQUEST.json: ``model`` (folder), ``dtype``, ``max_length``, ``prompts`` (texts), ``n``, ``max_new_tokens``,
``pairs`` (token ids of context and target), ``repeats``. An absent or empty ``prompts`` or ``pairs`` is left out.
``choose`` has the ``texts`` of the passages that the prompts are about, and what comes ``before`` and ``after`` a
candidate in the prompt of the follower; with it, candidates are scored and chosen as well.
``enforce_eager`` (default false) starts in seconds rather than a minute and runs slower.

ANSWER.json: ``vllm`` (version), ``start_seconds``, ``peak_memory_bytes`` of the process; for candidates, scores or
``chosen``, which is both, the ``seconds`` of every repeat after one warm-up, and ``tokens`` written or ``nll`` of each
pair.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # one process, so that its memory can be read


def main(request: dict) -> dict:
    """Run what ``request`` asks for and return the answer."""
    started = time.perf_counter()
    import vllm

    llm = vllm.LLM(
        model=request["model"],
        dtype=request["dtype"],
        max_model_len=request["max_length"],
        gpu_memory_utilization=request.get("memory_share", 0.2),
        enforce_eager=request.get("enforce_eager", False),
        generation_config="vllm",
    )
    answer = {"vllm": vllm.__version__, "start_seconds": time.perf_counter() - started}
    if request.get("choose"):
        answer["chosen"] = chosen(vllm, llm, request)
    elif request.get("prompts"):
        answer["candidates"] = candidates(vllm, llm, request)
    if request.get("pairs"):
        answer["scores"] = scores(vllm, llm, request)
    return answer | {"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def drawing(vllm, request: dict):
    """Return the paper's sampling, for ``n`` candidates of exactly ``max_new_tokens`` tokens.

    No seed a request: vLLM is quicker with its own.
    """
    return vllm.SamplingParams(
        n=request["n"],
        max_tokens=request["max_new_tokens"],
        ignore_eos=True,
        temperature=0.7,
        top_p=0.9,
        top_k=40,
    )


def chosen(vllm, llm, request: dict) -> dict:
    """Write candidates, score each passage given each of its own, and choose the best; seconds of all three."""
    sampling, scoring = drawing(vllm, request), vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
    tokenizer, choose, n = llm.get_tokenizer(), request["choose"], request["n"]

    def run(count: int) -> list[str]:
        answers = llm.generate(request["prompts"][:count], sampling, use_tqdm=False)
        written = [one.text for answer in answers for one in answer.outputs]
        contexts = [tokenizer.encode(f"{choose['before']}{text}{choose['after']}") for text in written]
        targets = tokenizer(choose["texts"][:count], add_special_tokens=False).input_ids
        prompts = [{"prompt_token_ids": context + targets[at // n]} for at, context in enumerate(contexts)]
        scored = llm.generate(prompts, scoring, use_tqdm=False)
        nll = [target_nll(answer, targets[at // n]) for at, answer in enumerate(scored)]
        return [min(zip(nll[at : at + n], written[at : at + n], strict=True))[1] for at in range(0, len(written), n)]

    run(2)
    seconds, best = [], []
    for _ in range(request.get("repeats", 1)):
        llm.reset_prefix_cache()
        start = time.perf_counter()
        best = run(len(request["prompts"]))
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "chosen": len(best)}


def candidates(vllm, llm, request: dict) -> dict:
    """Write ``n`` candidates a prompt, each of exactly ``max_new_tokens`` tokens, with the paper's sampling."""
    seconds, answers = timed(llm, request["prompts"], drawing(vllm, request), request.get("repeats", 1))
    return {"seconds": seconds, "tokens": sum(len(one.token_ids) for answer in answers for one in answer.outputs)}


def scores(vllm, llm, request: dict) -> dict:
    """Score the target of each pair of token ids through ``prompt_logprobs``."""
    sampling = vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
    prompts = [{"prompt_token_ids": context + target} for context, target in request["pairs"]]
    seconds, answers = timed(llm, prompts, sampling, request.get("repeats", 1))
    nll = [target_nll(answer, target) for answer, (_, target) in zip(answers, request["pairs"], strict=True)]
    return {"seconds": seconds, "nll": nll}


def target_nll(answer, target: list[int]) -> float:
    """Return the summed nll of the last tokens of a prompt, in nats."""
    places = answer.prompt_logprobs[-len(target) :]
    return -sum(place[token].logprob for place, token in zip(places, target, strict=True))


def timed(llm, prompts: list, sampling, repeats: int) -> tuple[list[float], list]:
    """Return the seconds of each repeat, after a warm-up on two prompts, and the last answers."""
    llm.generate(prompts[:2], sampling, use_tqdm=False)
    seconds, answers = [], []
    for _ in range(repeats):
        llm.reset_prefix_cache()
        start = time.perf_counter()
        answers = llm.generate(prompts, sampling, use_tqdm=False)
        seconds.append(time.perf_counter() - start)
    return seconds, answers


if __name__ == "__main__":
    request_file, answer_file = map(Path, sys.argv[1:])
    answer_file.write_text(json.dumps(main(json.loads(request_file.read_text()))))
