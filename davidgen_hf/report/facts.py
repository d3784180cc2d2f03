"""What the page tells of a run as a whole, gathered in one pass over the scored rows; stages may be missing still."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel
from tqdm.auto import tqdm

from davidgen_hf.corpus.build import read_counts
from davidgen_hf.errors import RunFolderError
from davidgen_hf.processors.base import draw
from davidgen_hf.processors.select import margin, perplexity
from davidgen_hf.recipe import selection_of, stages_of
from davidgen_hf.sources.words import count_words
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import iterate_columns, shard_paths
from davidgen_hf.storage.validation import read_json

# Histograms: perplexities by tenths of a power of ten, margins by hundredths of a nat, lengths by words.
PERPLEXITY_STEPS, MARGIN_STEP, OUTPUT_STEP = 10, 0.02, 20
MAX_MARGIN_STEPS = 1000
STEPS = ("seeds", "generator", "corpus", "follower", "evaluation")
COLUMNS = ("id", "text", "output", "strategy", "start", "end", "source", "license", "url", "candidates", "token_ends")


@dataclass
class Facts:
    """What the page tells.

    Args:
        record: ``run.json``.
        counts: Rows of each stage by what became of them.
        seconds: Of each stage.
        rows: Number of scored rows.
        perplexities: Histograms of winner, random candidate and loser, of rows with a choice, by step.
        sums: Their sums and numbers, for the means.
        margins: Histogram of the winner's lead, by step.
        lengths: Histograms of instructions and outputs, in words, by step.
        reasons: Rejected candidates by reason.
        strategies: Scored rows by strategy.
        instructions: Some of the winners, drawn evenly, for the picture of verbs.
        losses: ``(step, loss)`` of the trainings by model and by what was measured.
    """

    record: dict
    counts: dict[str, Counter]
    seconds: dict[str, float]
    rows: int = 0
    perplexities: dict[str, Counter] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    margins: Counter = field(default_factory=Counter)
    lengths: dict[str, Counter] = field(default_factory=lambda: {"instruction": Counter(), "output": Counter()})
    reasons: Counter = field(default_factory=Counter)
    strategies: Counter = field(default_factory=Counter)
    instructions: list[str] = field(default_factory=list)
    losses: dict[str, dict[str, list]] = field(default_factory=dict)

    @property
    def pending(self) -> list[str]:
        """The steps that have not ended yet, by name."""
        return [name for name in STEPS if name not in self.record["steps"]]

    @property
    def fragments(self) -> int:
        """The number of fragments, of which each becomes a scored row."""
        return sum(number for what, number in self.counts["fragments"].items() if what.startswith("fragments."))

    @property
    def stages(self) -> list[tuple[str, int]]:
        """What came in and what was left after each stage: (what, number)."""
        return [
            ("passages", self.counts["fragments"]["passages"]),
            ("fragments", self.fragments),
            ("candidates", self.counts["candidates"]["candidates"]),
            ("candidates that no guard rejected", self.counts["scored"]["accepted"]),
            ("pairs", self.counts["corpus"]["pairs"]),
        ]


def read_facts(run: Path, sample: int = 2000) -> Facts:
    """Gather what the page tells of a run.

    Args:
        run: The run's folder; it need not be finished.
        sample: Number of instructions to keep for the picture of verbs.

    Raises:
        RunFolderError: It is no run's folder, or a file of it is damaged.
    """
    record = read_record(run)
    counts, seconds = read_counts(run, stages_of(record))
    facts = Facts(record, defaultdict(Counter, counts), seconds)
    for model in ("generator", "follower"):
        facts.losses[model] = _losses(run / model)
    every = max(1, facts.counts["scored"]["candidates"] // (4 * max(sample, 1)))
    rows = tqdm(ranked_rows(run, record), desc="report", total=facts.fragments, unit=" rows", leave=False, delay=2)
    for number, (_, ranked, row) in enumerate(rows):
        _count(facts, ranked, row)
        if ranked and number % every == 0 and len(facts.instructions) < sample:
            facts.instructions.append(ranked[0]["instruction"])
    return facts


def ranked_rows(run: Path, record: dict) -> Iterator[tuple[bool, list[dict], dict]]:
    """Yield each scored row: whether it became a pair, its candidates in the order of the selection, and itself."""
    select = selection_of(record)
    if not shard_paths(run / "scored"):
        return
    for row in iterate_columns(run / "scored", COLUMNS):
        yield select.drop_reason(row) is None, [one for _, one in select.rank(row)], row


def lead(ranked: list[dict]) -> float | None:
    """Return how many nats a token the second lies behind the first; None where there is no second."""
    return margin([(one["nll"] / one["n_tokens"], one) for one in ranked])


def _count(facts: Facts, ranked: list[dict], row: dict) -> None:
    facts.rows += 1
    facts.strategies[row["strategy"]] += 1
    facts.reasons.update(one["reject_reason"] for one in row["candidates"] if one["reject_reason"])
    facts.lengths["output"][count_words(row["output"]) // OUTPUT_STEP] += 1
    if ranked:
        facts.lengths["instruction"][count_words(ranked[0]["instruction"])] += 1
    if len(ranked) < 2:
        return
    leads = lead(ranked)
    if leads is None or not math.isfinite(leads):  # a score of an old run that is not a number
        return
    facts.margins[int(min(leads / MARGIN_STEP, MAX_MARGIN_STEPS))] += 1
    drawn = ranked[draw(len(ranked), ranked[0]["instruction"], ranked[0]["nll"])]
    values = {"winner": perplexity(ranked[0]), "random": perplexity(drawn), "loser": perplexity(ranked[-1])}
    if not all(map(math.isfinite, values.values())):
        return
    for name, value in values.items():
        step = math.floor(PERPLEXITY_STEPS * math.log10(max(value, 1.0)))
        facts.perplexities.setdefault(name, Counter())[step] += 1
        facts.sums[name] = facts.sums.get(name, 0.0) + value


class _Losses(BaseModel):
    loss_history: list[tuple[int, float]]
    eval_history: list[tuple[int, float]]


def _losses(folder: Path) -> dict[str, list]:
    path = folder / "run.json"
    if not path.exists():
        return {}
    advice = "The record of a training is expected, and this one is damaged. Put back a copy of it."
    read = read_json(path, _Losses, advice, error=RunFolderError)
    return {"training": read.loss_history, "held out": read.eval_history}
