"""Does the winner stay the winner? ``python -m benchmarks.selection``.

K candidates of each passage are scored in float32 and in bfloat16, token by token. From these come how often bfloat16
picks another winner and by what margin, and how often the first T target tokens pick the winner of the whole.
Scores are appended to the output folder as they come, so a run that was stopped goes on where it was.
"""

import argparse
import json
from pathlib import Path

import datasets
from matplotlib.figure import Figure

from benchmarks.workload import read_texts
from davidgen_hf.engines import EngineSettings, Sampling
from davidgen_hf.engines.local import LocalEngine
from davidgen_hf.prompts import render_follower, render_generator

SPANS = (8, 16, 32, 48, 64, 96, 128)
N, AT_ONCE = 4, 20


def main() -> None:
    """Write candidates, score them in the dtypes that are asked for, and lay out what can be compared."""
    parser = argparse.ArgumentParser("python -m benchmarks.selection", description=__doc__)
    parser.add_argument("--passages", type=Path, help="JSON lines with a `text` field (default: embedded passages).")
    parser.add_argument("--generator", default="embedded", help="The model that writes the candidates.")
    parser.add_argument("--scorer", default="embedded", help="The model that scores them.")
    parser.add_argument("--count", type=int, default=200, help="Passages (default: 200).")
    parser.add_argument("--words", type=int, nargs=2, default=(60, 140), help="Fewest and most words of a passage.")
    parser.add_argument("--dtypes", nargs="*", default=["bfloat16", "float32"])
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results"))
    args = parser.parse_args()
    datasets.disable_progress_bars()
    args.output.mkdir(parents=True, exist_ok=True)
    candidates = args.output / "selection_candidates.jsonl"
    if not candidates.is_file():
        fewest, most = args.words
        texts = [text for text in read_texts(args.passages) if fewest <= len(text.split()) <= most][: args.count]
        _write_lines(candidates, write_candidates(args.generator, texts), "w")
    for dtype in args.dtypes:
        score_candidates(args.scorer, dtype, _read_lines(candidates), args.output / f"selection_{dtype}.jsonl")
    scores = {dtype: _read_lines(args.output / f"selection_{dtype}.jsonl") for dtype in ("float32", "bfloat16")}
    if all(map(len, scores.values())):
        print(write_report(scores, args.output))


def write_candidates(generator: str, texts: list[str]) -> list[dict]:
    """Let ``generator`` write ``N`` instructions of one line for each text."""
    sampling = Sampling(max_new_tokens=32, stop=("\n",))
    prompts = [render_generator(text, "instruction") for text in texts]
    written = LocalEngine(EngineSettings(model=generator)).generate(prompts, N, sampling)
    return [
        {"text": text, "instructions": [one.strip() for one in candidates]}
        for text, candidates in zip(texts, written, strict=True)
    ]


def score_candidates(scorer: str, dtype: str, rows: list[dict], path: Path) -> None:
    """Append the nll of each target token, in nats, by candidate, for the rows that ``path`` lacks."""
    engine = LocalEngine(EngineSettings(model=scorer, dtype=dtype))
    for start in range(len(_read_lines(path)), len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        contexts = [render_follower(instruction) for row in some for instruction in row["instructions"]]
        targets = [row["text"] for row in some for _ in row["instructions"]]
        nll = [one.tolist() for one in engine.token_nll(engine.tokens.pairs(contexts, targets))]
        _write_lines(path, [nll[place : place + N] for place in range(0, len(nll), N)], "a")


def winner(row: list[list[float]], span: int | None = None) -> int:
    """Return the candidate with the least nll over the first ``span`` tokens."""
    return min(range(len(row)), key=lambda place: sum(row[place][:span]))


def margin(row: list[list[float]]) -> float:
    """Return how many nats per token the second lies behind the winner."""
    first, second, *_ = sorted(sum(nll) for nll in row)
    return (second - first) / len(row[0])


def write_report(scores: dict[str, list], folder: Path) -> str:
    """Compare the dtypes and the spans; write the figures as JSON and a page, and the curve as a plot."""
    exact, rounded = scores["float32"], scores["bfloat16"]
    rows = list(zip(exact, rounded, strict=False))
    agree = [winner(one) == winner(other) for one, other in rows]
    sums = [(sum(nll), sum(other)) for one, two in rows for nll, other in zip(one, two, strict=True)]
    result = {
        "passages": len(rows),
        "dtype_agreement": sum(agree) / len(rows),
        "margins_where_dtypes_disagree": [margin(one) for (one, _), same in zip(rows, agree, strict=True) if not same],
        "median_margin": sorted(margin(one) for one, _ in rows)[len(rows) // 2],
        "mean_relative_difference": sum(abs(other / one - 1) for one, other in sums) / len(sums),
        "largest_relative_difference": max(abs(other / one - 1) for one, other in sums),
        "spans": [_span(exact, span) for span in SPANS],
        "median_target_tokens": sorted(len(row[0]) for row in exact)[len(exact) // 2],
    }
    (folder / "selection.json").write_text(json.dumps(result, indent=1) + "\n")
    _plot(result["spans"], folder / "selection.png")
    text = _page(result)
    (folder / "selection.md").write_text(text)
    return text


def _span(rows: list, span: int) -> dict:
    whole = [winner(row) for row in rows]
    longer = [place for place, row in enumerate(rows) if len(row[0]) > span]
    same = {place for place, row in enumerate(rows) if winner(row, span) == whole[place]}
    # What the winner of the span costs beyond the winner of the whole, in nats per token.
    losses = [
        (sum(row[winner(row, span)]) - sum(row[best])) / len(row[0]) for row, best in zip(rows, whole, strict=True)
    ]
    return {
        "tokens": span,
        "agreement": len(same) / len(rows),
        "agreement_among_longer": len(same & set(longer)) / len(longer) if longer else None,
        "longer": len(longer),
        "mean_loss": sum(losses) / len(losses),
        "share_of_tokens": sum(min(span, len(row[0])) for row in rows) / sum(len(row[0]) for row in rows),
    }


def _plot(spans: list[dict], path: Path) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([one["tokens"] for one in spans], [100 * one["agreement"] for one in spans], marker="o")
    axes.axhline(97, color="gray", linestyle="--", linewidth=1)
    axes.set(xlabel="target tokens scored", ylabel="same winner as the whole target, %", ylim=(0, 101))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def _page(result: dict) -> str:
    margins = ", ".join(f"{one:.4f}" for one in sorted(result["margins_where_dtypes_disagree"])) or "none"
    lines = [
        "# Does the winner stay the winner?\n",
        f"{result['passages']} passages (median {result['median_target_tokens']} tokens), {N} candidates each.\n",
        f"bfloat16 picks float32's winner in {result['dtype_agreement']:.1%}. Margins where it does not, in nats a "
        f"token: {margins} (median margin of all passages: {result['median_margin']:.4f}). Its nll is off by "
        f"{result['mean_relative_difference']:.3%} on average, {result['largest_relative_difference']:.3%} at most.\n",
        "![agreement](selection.png)\n",
        "| first tokens | same winner | same winner, longer targets only "
        "| mean loss, nats per token | tokens scored |",
        "|--:|--:|--:|--:|--:|",
    ]
    for one in result["spans"]:
        among = f"{one['agreement_among_longer']:.1%} of {one['longer']}" if one["longer"] else ""
        lines.append(
            f"| {one['tokens']} | {one['agreement']:.1%} | {among} | {one['mean_loss']:.4f} "
            f"| {one['share_of_tokens']:.0%} |"
        )
    return "\n".join(lines) + "\n"


def _read_lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


def _write_lines(path: Path, rows: list, mode: str) -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
