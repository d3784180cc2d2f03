"""Masking copied tokens against the copy guard: ``python -m benchmarks.copying --passages FILE --generator FOLDER``.

Candidates of every passage are written and scored once, token by token, whatever a guard would say; every way to
choose among them is then tried on the same scores. All ways but the first share the guards that have nothing to do
with copying. The scored candidates hold other people's texts and stay in ``--work``; figures go to ``--output``.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

import datasets
from datasets import Dataset, Features, Value

from benchmarks.workload import read_texts
from davidgen_hf.engines import EngineSettings, Sampling
from davidgen_hf.processors import GenerateInstructions, GuardCandidates, KeepWhole, ScoreCandidates, SelectInstruction
from davidgen_hf.processors.base import draw
from davidgen_hf.processors.copied import copied_tokens
from davidgen_hf.processors.guard import candidate_text, copied_share, runs
from davidgen_hf.processors.select import ifd, perplexity, rank
from davidgen_hf.schema import FRAGMENT, SCORED
from davidgen_hf.sources.words import words

LONG_RUN = 8
WORDS = (3, 4, 6, 8)
AT_ONCE = 20
Choice = Callable[[dict], dict | None]


def main() -> None:
    """Write and score what is missing, then compare."""
    parser = argparse.ArgumentParser("python -m benchmarks.copying", description=__doc__)
    parser.add_argument("--passages", type=Path, required=True, help="JSON lines with a `text` field.")
    parser.add_argument("--generator", required=True, help="Folder of a trained instruction generator.")
    parser.add_argument("--scorer", default="embedded", help="The filtering model.")
    parser.add_argument("--count", type=int, default=200, help="Passages.")
    parser.add_argument(
        "--work", type=Path, required=True, help="Folder for scored candidates; a second call goes on."
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results") / "copying.json")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    texts = [text for text in read_texts(args.passages) if 40 <= len(text.split()) <= 120][: args.count]
    parts = range(0, len(texts), AT_ONCE)
    rows = [row for start in parts for row in scored_rows(texts[start : start + AT_ONCE], start, args)]
    result = compare(rows)
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(page(result))


def scored_rows(texts: list[str], start: int, args: argparse.Namespace) -> list[dict]:
    """Return the scored candidates of some passages, from an earlier call where there was one."""
    path = args.work / f"{start:05d}.parquet"
    if not path.is_file():
        generate = GenerateInstructions(EngineSettings(model=args.generator), sampling=Sampling(max_new_tokens=48))
        batch = KeepWhole()({"text": texts})
        batch |= generate(batch)
        batch |= ScoreCandidates(EngineSettings(model=args.scorer), unconditional=True, token_nll=True)(batch)
        args.work.mkdir(parents=True, exist_ok=True)
        features = Features({"text": Value("string")} | FRAGMENT | SCORED)
        Dataset.from_dict(batch, features=features).to_parquet(path)
    return list(Dataset.from_parquet(str(path)))


# The guards that have nothing to do with copying, and all of them.
NO_COPY_RULE = GuardCandidates(max_copied_run=10**6, max_copied_share=1.0, min_copied_words=10**6)
ALL_RULES = GuardCandidates()


def compare(rows: list[dict]) -> dict:
    """Choose from the same rows in every way, and describe the winners of each."""
    without, guarded = ([mark(row, guard) for row in rows] for guard in (NO_COPY_RULE, ALL_RULES))
    ways = {"all guards off": (rows, lowest), "no copy rule": (without, lowest), "copy rule": (guarded, lowest)}
    for number in WORDS:
        ways[f"masked, {number} words"] = (without, masked(number))
    ways |= {f"copy rule, and masked, {number} words": (guarded, masked(number)) for number in (4,)}
    ways["own uncopied tokens alone, 4 words"] = (without, own_uncopied(4))
    ways["copied tokens as without instruction, 4 words"] = (without, charged(4))
    chosen = {name: [choose(row) for row in given] for name, (given, choose) in ways.items()}
    candidates = [one for row in rows for one in row["candidates"]]
    return {
        "passages": len(rows),
        "candidates": len(candidates),
        "candidates_with_long_run": share(repeats(one, row["output"]) for row in rows for one in row["candidates"]),
        "accepted_by_copy_rule": len([one for row in guarded for one in rank(row["candidates"])]),
        "accepted_without_it": len([one for row in without for one in rank(row["candidates"])]),
        "ways": {name: describe(rows, winners, chosen["copy rule"]) for name, winners in chosen.items()},
        "random": describe(rows, [at_random(row) for row in guarded], chosen["copy rule"]),
    }


def mark(row: dict, guard: GuardCandidates) -> dict:
    """Return a row with its candidates marked by a guard."""
    marked = guard({"output": [row["output"]], "candidates": [row["candidates"]]})
    return row | {"candidates": marked["candidates"][0]}


def lowest(row: dict) -> dict | None:
    """Return the candidate with the lowest perplexity."""
    return next(iter(rank(row["candidates"])), None)


def at_random(row: dict) -> dict | None:
    """Return any candidate that was not rejected."""
    left = rank(row["candidates"])
    return left[draw(len(left), row["output"])] if left else None


def masked(number: int) -> Choice:
    """Return the package's own way: the tokens that no candidate copies, the same for all."""
    select = SelectInstruction(mask_copied_words=number)
    return lambda row: next((one for _, one in select.rank(row)), None)


def own_uncopied(number: int) -> Choice:
    """Return the way that takes the mean over each candidate's own uncopied tokens."""

    def cost(row: dict, one: dict) -> float:
        left = [nll for place, nll in enumerate(one["token_nll"]) if place not in _copied(row, one, number)]
        return statistics.fmean(left) if left else math.inf

    return _cheapest(cost)


def charged(number: int) -> Choice:
    """Return the way that counts a copied token as the mean token costs without any instruction."""

    def cost(row: dict, one: dict) -> float:
        alone = row["unconditional_nll"] / one["n_tokens"]
        copied = _copied(row, one, number)
        return sum(alone if place in copied else nll for place, nll in enumerate(one["token_nll"]))

    return _cheapest(cost)


def describe(rows: list[dict], winners: list[dict | None], reference: list[dict | None]) -> dict:
    """Return what the winners of one way are like, and how often they are those of the copy rule."""
    pairs = [(row, one) for row, one in zip(rows, winners, strict=True) if one is not None]
    both = [(one, other) for one, other in zip(winners, reference, strict=True) if one and other]
    found = [perplexity(one) for _, one in pairs]
    return {
        "pairs": len(pairs),
        "long_run": share(repeats(one, row["output"]) for row, one in pairs),
        "copied_words": statistics.fmean(_copied_share(row, one) for row, one in pairs),
        "mean_perplexity": statistics.fmean(found),
        "median_perplexity": statistics.median(found),
        "mean_ifd": statistics.fmean(ifd(one, row["unconditional_nll"]) for row, one in pairs),
        "agrees_with_copy_rule": share(one["instruction"] == other["instruction"] for one, other in both),
    }


def repeats(candidate: dict, output: str) -> bool:
    """Tell whether a candidate has ``LONG_RUN`` words in a row of the output."""
    return bool(runs(words(candidate_text(candidate)), LONG_RUN) & runs(words(output), LONG_RUN))


def share(answers: Iterable[bool]) -> float:
    """Return which share of the answers is yes."""
    return statistics.fmean(answers)


def page(result: dict) -> str:
    """Lay the figures out as a table."""
    lines = [
        f"{result['passages']} passages, {result['candidates']} candidates; {result['candidates_with_long_run']:.0%} "
        f"of them repeat {LONG_RUN} or more words in a row. {result['accepted_without_it']} pass the guards without "
        f"the copy rule, {result['accepted_by_copy_rule']} with it.\n",
        f"| winners by | pairs | repeat {LONG_RUN}+ words | copied words | mean perplexity | median | mean ifd | same "
        "as the copy rule |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, one in {**result["ways"], "a random one of the copy rule": result["random"]}.items():
        lines.append(
            f"| {name} | {one['pairs']} | {one['long_run']:.0%} | {one['copied_words']:.0%} | "
            f"{one['mean_perplexity']:.2f} | {one['median_perplexity']:.2f} | {one['mean_ifd']:.2f} | "
            f"{one['agrees_with_copy_rule']:.0%} |"
        )
    return "\n".join(lines)


def _copied(row: dict, one: dict, number: int) -> set[int]:
    return copied_tokens(row["output"], row["token_ends"], candidate_text(one), number)


def _copied_share(row: dict, one: dict) -> float:
    return copied_share(words(candidate_text(one)), words(row["output"]), 4)


def _cheapest(cost: Callable[[dict, dict], float]) -> Choice:
    def choose(row: dict) -> dict | None:
        left = [one for one in rank(row["candidates"]) if math.isfinite(cost(row, one))]
        return min(left, key=lambda one: cost(row, one), default=None)

    return choose


if __name__ == "__main__":
    main()
