"""Scoring by elimination against exact scores and lm-eval: ``python -m benchmarks.elimination --generator FOLDER``.

A trained generator writes K candidates for each passage. Each part of the passages is then scored exactly, by
elimination and by lm-eval, in turn, so that a busy minute meets all three; vLLM runs right after them. From the exact
scores of each token come, without more passes, the winners kept and the tokens run under other settings.
Candidates are kept in the output folder, so a run that was stopped does not write them again.
"""

import argparse
import json
import time
from itertools import product
from pathlib import Path

import datasets
import torch

from benchmarks.contenders import Generate, LmEval, vllm
from benchmarks.measure import device_name, matmul_rate
from benchmarks.workload import read_texts
from davidgen_hf.engines import EngineSettings, Sampling, load_engine
from davidgen_hf.engines.elimination import Elimination, eliminate
from davidgen_hf.engines.loading import find_model
from davidgen_hf.prompts import render_follower, render_generator

FIRST_TOKENS, MARGINS = (16, 32, 64), (3.0, 4.0, 6.0, 8.0)


def main() -> None:
    """Write candidates, score them in all ways, and write what was kept and what it took."""
    parser = argparse.ArgumentParser("python -m benchmarks.elimination", description=__doc__)
    add = parser.add_argument
    add("--passages", type=Path, required=True, help="JSON lines with a `text` field.")
    add("--generator", required=True, help="The trained model that writes the candidates.")
    add("--scorer", default="embedded", help="The model that scores them.")
    add("--dtype", default="auto", help="float32, bfloat16 or float16 (default: auto).")
    add("--words", type=int, nargs=2, default=(60, 140), help="Fewest and most words of a passage.")
    add("--count", type=int, default=100, help="Passages (default: 100).")
    add("--n", type=int, default=4, help="Candidates of a passage (default: 4).")
    add("--first-tokens", type=int, default=32, help="As in the recipe (default: 32).")
    add("--margin-nats", type=float, default=6.0, help="As in the recipe (default: 6).")
    add("--at-once", type=int, default=20, help="Passages of a part (default: 20).")
    add("--settings-only", action="store_true", help="Score exactly alone, to compare settings of the elimination.")
    add("--vllm-python", help="Python of an environment with vLLM.")
    add("--output", type=Path, required=True, help="A folder for candidates and figures.")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    args.output.mkdir(parents=True, exist_ok=True)
    rows = read_candidates(args)
    engine = load_engine(EngineSettings(model=args.scorer, dtype=args.dtype))
    lm_eval = None
    if not args.settings_only:
        model = find_model(EngineSettings(model=args.scorer)).name
        lm_eval = LmEval(Generate(model, engine.model.dtype, engine.model.device))
    found = measure(engine, lm_eval, rows, args)
    if args.vllm_python:
        dtype, pairs = str(engine.model.dtype).removeprefix("torch."), found.pop("pairs")
        request = {"model": find_model(EngineSettings(model=args.scorer)).name, "dtype": dtype, "max_length": 1024}
        found["vllm"] = vllm(args.vllm_python, request | {"pairs": pairs})["scores"]["seconds"]
    found.pop("pairs", None)
    (args.output / "elimination.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def read_candidates(args: argparse.Namespace) -> list[dict]:
    """Return each passage with its candidates, which are written if the folder has none."""
    path = args.output / "candidates.jsonl"
    if not path.is_file():
        fewest, most = args.words
        texts = [text for text in read_texts(args.passages) if fewest <= len(text.split()) <= most][: args.count]
        sampling = Sampling(max_new_tokens=32, stop=("\n",))
        prompts = [render_generator(text, "instruction") for text in texts]
        written = load_engine(EngineSettings(model=args.generator)).generate(prompts, args.n, sampling)
        path.write_text(
            "".join(
                json.dumps({"text": text, "instructions": [one.strip() for one in many]}, ensure_ascii=False) + "\n"
                for text, many in zip(texts, written, strict=True)
            ),
            "utf-8",
        )
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def measure(engine, lm_eval: LmEval | None, rows: list[dict], args: argparse.Namespace) -> dict:
    """Score the passages part by part, in all ways in turn."""
    rule = Elimination(args.first_tokens, args.margin_nats)
    seconds: dict[str, dict[str, float]] = {}
    exact, kept, same_as_lm_eval, all_pairs = [], [], [], []
    for start in range(0, len(rows), args.at_once):
        part = rows[start : start + args.at_once]
        contexts = [render_follower(one) for row in part for one in row["instructions"]]
        targets = [row["text"] for row in part for _ in row["instructions"]]
        limits = [engine.max_length] * len(targets)
        pairs = engine.tokens.pairs(contexts, targets)
        all_pairs += [[list(pair.context), list(pair.target)] for pair in pairs]
        scores = timed(seconds, "exact", engine.score, contexts, targets)
        winners = [best([one.nll for one in many]) for many in grouped(scores, args.n)]
        exact += [
            [(pair, one.token_nll) for pair, one in many]
            for many in grouped(list(zip(pairs, scores, strict=True)), args.n)
        ]
        if lm_eval is None:
            continue
        by_rule = timed(seconds, "eliminate", engine.score_by_elimination, contexts, targets, rule, limits)
        chosen = [
            best([one.nll if one.complete else float("inf") for one in many]) for many in grouped(by_rule, args.n)
        ]
        kept += [one == other for one, other in zip(chosen, winners, strict=True)]
        theirs = timed(seconds, "lm_eval", lm_eval.scores, list(zip(contexts, targets, strict=True)))
        same_as_lm_eval += [best(many) == one for many, one in zip(grouped(theirs, args.n), winners, strict=True)]
        print(f"{len(kept)} passages, {sum(kept)} winners kept: {json.dumps(seconds)}", flush=True)
    target_tokens = sorted(len(row[0][1]) for row in exact)
    found = {
        "passages": len(rows),
        "n": args.n,
        "median_target_tokens": target_tokens[len(target_tokens) // 2],
        "settings": [
            {"first_tokens": first, "margin_nats": margin} | simulate(exact, Elimination(first, margin))
            for first, margin in product(FIRST_TOKENS, MARGINS)
        ],
        "seconds": seconds,
        "dtype": str(engine.model.dtype).removeprefix("torch."),
        "device": device_name(engine.model.device),
        "threads": torch.get_num_threads(),
        "matmul_gflops": matmul_rate(engine.model.dtype, engine.model.device) / 1e9,
        "pairs": all_pairs,
    }
    if kept:
        found["first_tokens"], found["margin_nats"] = args.first_tokens, args.margin_nats
        found["same_winner"] = sum(kept) / len(kept)
        found["same_winner_lm_eval"] = sum(same_as_lm_eval) / len(same_as_lm_eval)
        found["ratio_to_exact"], found["ratio_to_lm_eval"] = (
            {kind: seconds[other][kind] / seconds["eliminate"][kind] for kind in ("clock", "processor")}
            for other in ("exact", "lm_eval")
        )
    return found


def simulate(exact: list, rule: Elimination) -> dict:
    """Return how many winners a rule keeps, and how many times fewer tokens run, contexts included."""
    same, whole, run = 0, 0, 0
    for row in exact:
        values = [nll for _, nll in row]
        spans = iter_spans(values)
        left = eliminate(rule, [0] * len(row), [pair for pair, _ in row], spans)
        sums = [sum(one) if len(one) == len(nll) else float("inf") for one, nll in zip(left, values, strict=True)]
        same += best(sums) == best([sum(nll) for nll in values])
        unique = {
            pair: (len(pair.context) + len(nll), len(pair.context) + len(one))
            for (pair, nll), one in zip(row, left, strict=True)
        }
        whole += sum(before for before, _ in unique.values())
        run += sum(after for _, after in unique.values())
    return {"same_winner": same / len(exact), "times_fewer_tokens": whole / run}


def iter_spans(values: list):
    """Return a function that gives the nll of the next span from stored values, as an engine's does."""
    done = 0

    def advance(rows: list[int], end: int) -> list:
        nonlocal done
        start, done = done, end
        return [values[row][start:end] for row in rows]

    return advance


def timed(seconds: dict[str, dict[str, float]], name: str, run, *given):
    """Run, and add to the seconds by the clock and of the processor."""
    start, busy = time.perf_counter(), time.process_time()
    result = run(*given)
    spent = seconds.setdefault(name, {"clock": 0.0, "processor": 0.0})
    spent["clock"] += time.perf_counter() - start
    spent["processor"] += time.process_time() - busy
    return result


def grouped(values: list, n: int) -> list[list]:
    """Return the values of each passage's candidates."""
    return [values[start : start + n] for start in range(0, len(values), n)]


def best(nll: list[float]) -> int:
    """Return the place of the lowest."""
    return min(range(len(nll)), key=nll.__getitem__)


if __name__ == "__main__":
    main()
