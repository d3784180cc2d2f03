"""Two generations of a generator side by side, by what they wrote for passages that neither has learned from."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich.table import Table

from davidgen_hf.evaluation.diversity import distinct_n, self_rouge_l
from davidgen_hf.processors import GuardCandidates, SelectInstruction
from davidgen_hf.processors.guard import candidate_text, runs
from davidgen_hf.processors.select import perplexity
from davidgen_hf.sources.words import words
from davidgen_hf.storage.shards import iterate_columns

COPIED_WORDS = GuardCandidates().max_copied_run + 1
SAMPLE = 500  # winners whose self-ROUGE-L is measured; its time grows with the square
RESAMPLES = 1000
# What is measured, as a table shows it.
MEASURES = {
    "perplexity": "perplexity of the output under the winner",
    "copies": f"candidates that repeat {COPIED_WORDS} consecutive words of their output",
    "duplicates": "candidates that repeat an earlier one",
    "distinct_2": "distinct-2 of the winners",
    "self_rouge_l": "self-ROUGE-L of the winners",
}
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Judged:
    """What one generation wrote for one output.

    Args:
        winner: The instruction that the selection ranks first; None without one.
        perplexity: Of the output under it.
        copies: Share of the candidates that repeat words of the output.
        duplicates: Share of the candidates with the words of an earlier candidate, of any output.
    """

    winner: str | None
    perplexity: float | None
    copies: float
    duplicates: float


def judge(folder: Path, select: SelectInstruction) -> dict[Row, Judged]:
    """Return what a generation wrote, by source, id, strategy and output of the row.

    Args:
        folder: Shards of scored candidates.
        select: The step that ranks them.

    Raises:
        RunFolderError: A shard is damaged.
    """
    found: dict[Row, Judged] = {}
    seen: set[tuple[str, ...]] = set()
    for row in iterate_columns(folder, ("source", "id", "strategy", "output", "candidates", *select.needs)):
        known = runs(words(row["output"]), COPIED_WORDS)
        copies, duplicates = [], []
        for one in row["candidates"]:
            own = tuple(words(candidate_text(one)))
            copies.append(bool(runs(own, COPIED_WORDS) & known))
            duplicates.append(own in seen)
            seen.add(own)
        ranked = select.rank(row)
        winner, value = (candidate_text(ranked[0][1]), perplexity(ranked[0][1])) if ranked else (None, None)
        place = row["source"], row["id"], row["strategy"], row["output"]
        found[place] = Judged(winner, value, _share(copies), _share(duplicates))
    return found


def compare_generations(before: dict[Row, Judged], after: dict[Row, Judged], seed: int = 0) -> dict[str, Any]:
    """Return the measures of both generations and their differences, with intervals, ready for JSON.

    Perplexity, distinct-2 and self-ROUGE-L are those of the outputs for which both have a winner, so that the same
    outputs and equal numbers of instructions are compared.

    Returns:
        The number of outputs and of those with two winners; and by measure ``before``, ``after`` and ``change``, each
        with its value and the interval that holds 95 % of the resampled values. Means are resampled by the bootstrap,
        over outputs. A distinct-2 is not, since an output that is drawn twice would repeat its n-grams: it is
        measured on random halves, and their spread, which is about that of the whole, is put around the whole's
        value. None where there is nothing to measure.
    """
    both = [row for row in before if row in after]
    won = [row for row in both if before[row].winner is not None and after[row].winner is not None]
    pairs = {
        "perplexity": [(before[row].perplexity, after[row].perplexity) for row in won],
        "copies": [(before[row].copies, after[row].copies) for row in both],
        "duplicates": [(before[row].duplicates, after[row].duplicates) for row in both],
    }
    generator = np.random.default_rng(seed)
    texts = [[one[row].winner or "" for row in won] for one in (before, after)]
    drawn = sorted(generator.choice(len(won), min(SAMPLE, len(won)), replace=False).tolist()) if won else []
    nearest = [self_rouge_l([of_one[place] for place in drawn]) for of_one in texts]
    pairs["self_rouge_l"] = list(zip(*nearest, strict=True))
    found = {name: _bootstrapped(np.array(values, dtype=float), generator) for name, values in pairs.items()}
    found["distinct_2"] = _on_halves(texts, distinct_2, generator)
    return {"outputs": len(both), "with_two_winners": len(won)} | {name: found[name] for name in MEASURES}


def distinct_2(texts: Sequence[str]) -> float:
    """Return the share of different pairs of words; NaN if no text has two words."""
    share = distinct_n(texts, (2,))["2"]
    return math.nan if share is None else share


def comparison_table(figures: dict[str, Any], names: tuple[str, str]) -> Table:
    """Return the measures of two generations as a table.

    Args:
        figures: What ``compare_generations`` returned.
        names: What to call the two.
    """
    title = f"{figures['outputs']} outputs that neither has learned from, {figures['with_two_winners']} with a winner "
    table = Table("", *names, "change", title=title + "of both", caption="in brackets: 95 % intervals")
    for name, label in MEASURES.items():
        cells = [_cell(figures[name], part, signed=part == "change") for part in ("before", "after", "change")]
        table.add_row(label, *cells)
    return table


def _share(flags: list[bool]) -> float:
    return fmean(flags) if flags else 0.0


def _bootstrapped(values: np.ndarray, generator: np.random.Generator) -> dict[str, Any] | None:
    """Return means and intervals of ``values``, ``(n, 2)``: before, after, and the paired difference."""
    if not len(values):
        return None
    columns = {"before": values[:, 0], "after": values[:, 1], "change": values[:, 1] - values[:, 0]}
    places = generator.integers(len(values), size=(RESAMPLES, len(values)))
    return {name: _figure(one.mean(), one[places].mean(axis=1)) for name, one in columns.items()}


def _on_halves(
    texts: list[list[str]], measure: Callable[[Sequence[str]], float], generator: np.random.Generator
) -> dict[str, Any] | None:
    """Return a measure of two lists of texts and its intervals, from random halves of both."""
    whole = np.array([measure(of_one) for of_one in texts])
    n = len(texts[0])
    if n < 2 or np.isnan(whole).any():
        return None
    halves = np.array(
        [
            [measure([of_one[place] for place in places]) for of_one in texts]
            for places in (generator.permutation(n)[: n // 2] for _ in range(RESAMPLES))
        ]
    )
    moved = halves - np.nanmean(halves, axis=0) + whole
    columns = {"before": (whole[0], moved[:, 0]), "after": (whole[1], moved[:, 1])}
    columns["change"] = (whole[1] - whole[0], moved[:, 1] - moved[:, 0])
    return {name: _figure(*one) for name, one in columns.items()}


def _figure(value: float, resampled: np.ndarray) -> dict[str, Any]:
    interval = [round(float(end), 4) for end in np.nanquantile(resampled, (0.025, 0.975))]
    return {"value": round(float(value), 4), "interval": interval}


def _cell(figures: dict[str, Any] | None, part: str, *, signed: bool) -> str:
    if figures is None:
        return "not measured"
    number = "{:+.3f}" if signed else "{:.3f}"
    (low, high), value = figures[part]["interval"], figures[part]["value"]
    return f"{number.format(value)} [{number.format(low)}, {number.format(high)}]"
