"""What a run's rows say as a whole, counted once for its summary, its cards and its report."""

import math
import statistics
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from davidgen_hf.corpus.counts import read_counts, take_styles
from davidgen_hf.errors import RunFolderError
from davidgen_hf.processors.base import draw
from davidgen_hf.processors.counting import shown_counts
from davidgen_hf.processors.select import Ranked, margin, perplexity
from davidgen_hf.recipe import STEPS, method_of, ranked_stage, selection_of, target_of
from davidgen_hf.schema import ELIMINATED, Candidate
from davidgen_hf.sources.words import count_words
from davidgen_hf.storage.progress import Bar, counted
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import iterate_columns, shard_paths
from davidgen_hf.storage.validation import read_json

# Histograms: perplexities by tenths of a power of ten, margins by hundredths of a nat, lengths by words.
PERPLEXITY_STEPS, MARGIN_STEP, OUTPUT_STEP = 10, 0.02, 20
MAX_MARGIN_STEPS = 1000
COLUMNS = ("id", "text", "output", "strategy", "start", "end", "source", "license", "url", "candidates")
Losses = list[tuple[int, float]]


@dataclass(frozen=True)
class TrainingLosses:
    """What a model's own ``run.json`` records of its losses."""

    loss_history: Losses
    eval_history: Losses


@dataclass
class Choices:
    """Perplexities of the rows that had a choice: of the winner, of a candidate drawn at random, and of the loser.

    Winner and loser are the first and the last of the ranking. Rows without scores are left out, and those with a
    score that is not a finite number, which old runs may hold.
    """

    values: "dict[str, array[float]]" = field(
        default_factory=lambda: {name: array("d") for name in ("winner", "random", "loser")}
    )

    def __len__(self) -> int:
        return len(self.values["winner"])

    def add(self, ranked: Ranked, row: Mapping[str, Any]) -> None:
        """Add a row and its candidates, as ``SelectInstruction.rank`` returns them.

        A row with a candidate that was not scored in full is left out: what is left of it says nothing of a loser.
        """
        if len(ranked) < 2 or _has_eliminated(row):
            return
        candidates = [one for _, one in ranked]
        drawn = candidates[draw(len(candidates), candidates[0]["instruction"], candidates[0]["nll"])]
        scored = [perplexity(one) for one in (candidates[0], drawn, candidates[-1])]
        found = [one for one in scored if one is not None and math.isfinite(one)]
        if len(found) == len(scored):
            for values, value in zip(self.values.values(), found, strict=True):
                values.append(value)

    def extend(self, other: "Choices") -> None:
        """Add the rows of another run."""
        for name, values in self.values.items():
            values.extend(other.values[name])

    def means(self) -> dict[str, dict[str, float]]:
        """Return mean and median by kind of candidate; empty if no row had a choice."""
        return {
            name: {"mean": statistics.fmean(values), "median": statistics.median(values)}
            for name, values in self.values.items()
            if values
        }

    def histograms(self) -> dict[str, Counter[int]]:
        """Return the number of rows by step of perplexity, by kind of candidate."""
        return {
            name: Counter(math.floor(PERPLEXITY_STEPS * math.log10(max(value, 1.0))) for value in values)
            for name, values in self.values.items()
            if values
        }


@dataclass
class Facts:
    """What is known of a run, finished or not.

    Args:
        record: ``run.json``.
        counts: What each stage counted, in the order of the stages.
        seconds: Seconds of each stage.
        styles: Outcomes of the candidates, by the style of their prompt.
        rows: Number of ranked rows.
        choices: Perplexities of winner, random candidate and loser.
        margins: Histogram of the winner's lead, by step.
        lengths: Histograms of instructions and outputs, in words, by step.
        reasons: Rejected candidates by reason.
        strategies: Ranked rows by strategy.
        instructions: Some of the winners, drawn evenly, for the picture of verbs.
        funnel: What the steps of the method count, from the first stage to the last, and what it is called where only
            that is shown.
        losses: ``(step, loss)`` of the trainings by model and by what was measured.
    """

    record: dict[str, Any]
    counts: Mapping[str, Counter[str]]
    seconds: dict[str, float]
    funnel: Mapping[str, str]
    styles: dict[str, dict[str, int]] = field(default_factory=dict)
    rows: int = 0
    choices: Choices = field(default_factory=Choices)
    margins: Counter[int] = field(default_factory=Counter)
    lengths: dict[str, Counter[int]] = field(default_factory=lambda: {"instruction": Counter(), "output": Counter()})
    reasons: Counter[str] = field(default_factory=Counter)
    strategies: Counter[str] = field(default_factory=Counter)
    instructions: list[str] = field(default_factory=list)
    losses: dict[str, dict[str, Losses]] = field(default_factory=dict)

    @property
    def stages(self) -> list[tuple[str, int]]:
        """What came in and what was left, in the order of the stages: (what, number)."""
        found = dict.fromkeys(self.funnel.values(), 0)
        for counts in self.counts.values():
            stage: Counter[str] = Counter({"accepted": 0} if "candidates" in counts else {})
            for what, number in counts.items():
                stage[what.partition(".")[0]] += number
            found |= {self.funnel[what]: number for what, number in stage.items() if what in self.funnel}
        return list(found.items())

    @property
    def pending(self) -> list[str]:
        """The steps that have not ended yet, by name."""
        return [name for name in STEPS if name not in self.record["steps"]]


def read_facts(run: Path, sample: int = 2000) -> Facts:
    """Count what a run holds, in one pass over its ranked rows.

    Args:
        run: The run's folder; it need not be finished.
        sample: Number of instructions to keep for the picture of verbs.

    Raises:
        RunFolderError: It is not a run folder, or a file of it is damaged.
    """
    record = read_record(run)
    method = method_of(record)
    counts, seconds = read_counts(run, method.stages())
    styles = take_styles(counts)
    facts = Facts(record, defaultdict(Counter, counts), seconds, method.funnel, styles)
    for model in ("generator", "follower"):
        facts.losses[model] = _losses(run / model)
    total = facts.stages[1][1]  # fragments or tasks: what has a row
    every = max(1, total // max(sample, 1))
    rows = counted(ranked_rows(run, record), Bar("report", "rows", total, delay=2))
    for number, (_, ranked, row) in enumerate(rows):
        _count(facts, ranked, row)
        if ranked and number % every == 0 and len(facts.instructions) < sample:
            facts.instructions.append(ranked[0][1]["instruction"])
    return facts


def read_choices(run: Path) -> Choices:
    """Return the perplexities of a run's rows that had a choice, where nothing else of ``read_facts`` is needed.

    Raises:
        RunFolderError: As ``read_facts``.
    """
    choices = Choices()
    for _, ranked, row in ranked_rows(run, read_record(run)):
        choices.add(ranked, row)
    return choices


def ranked_rows(run: Path, record: dict[str, Any]) -> Iterator[tuple[list[Candidate], Ranked, dict[str, Any]]]:
    """Yield each row: the candidates that became pairs, all candidates as the selection ranks them, and the row."""
    select, folder, left = selection_of(record), run / ranked_stage(record), target_of(record)
    if not shard_paths(folder):
        return
    for row in iterate_columns(folder, (*COLUMNS, *select.needs)):
        kept = [one for one, _ in select.kept(row)][:left]
        left = None if left is None else left - len(kept)
        yield kept, select.rank(row), row


def attrition(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Return what came in and what was left out: (stage, what, rows) in the order of the stages, summed over runs."""
    found: Counter[tuple[str, str]] = Counter()
    for record in records:
        for step, unit in (("seeds", "seeds"), ("corpus", "passages")):
            skipped = record["steps"].get(step, {}).get("skipped", {})  # a corpus may be built without seeds
            for reason, number in skipped.get("counts", {}).items():
                places = ", ".join(skipped.get("places", {}).get(reason, ()))
                found["read", f"{unit} skipped: {_words(reason)}" + (f" ({places})" if places else "")] += number
        for stage, counts in shown_counts(record["steps"].get("corpus", {}).get("counts", {})).items():
            found.update({(stage, _words(what)): number for what, number in counts.items()})
    return [(stage, what, number) for (stage, what), number in found.items() if number]


def pairs_per_hour(record: Mapping[str, Any]) -> float | None:
    """Return how many pairs came of an hour of one worker, over all stages of the corpus; None without a corpus."""
    corpus = record["steps"].get("corpus", {})
    pairs = sum(counts.get("pairs", 0) for counts in corpus.get("counts", {}).values())
    seconds = sum(corpus.get("stage_seconds", {}).values())
    return 3600 * pairs / seconds if seconds else None


def yield_by_style(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, int, int, int]]:
    """Return (style, candidates, those that no guard rejected, pairs) of each style of prompt, summed over runs."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        for style, counts in record["steps"].get("corpus", {}).get("styles", {}).items():
            found[style].update(counts)
    return [(style, one["candidates"], one["accepted"], one["pairs"]) for style, one in sorted(found.items())]


def _words(name: str) -> str:
    return name.replace(".", ": ").replace("_", " ")


def _count(facts: Facts, ranked: Ranked, row: Mapping[str, Any]) -> None:
    facts.rows += 1
    facts.strategies[row["strategy"]] += 1
    facts.reasons.update(one["reject_reason"] for one in row["candidates"] if one["reject_reason"])
    facts.lengths["output"][count_words(row["output"]) // OUTPUT_STEP] += 1
    if ranked:
        facts.lengths["instruction"][count_words(ranked[0][1]["instruction"])] += 1
    facts.choices.add(ranked, row)
    lead = None if _has_eliminated(row) else margin(ranked)
    if lead is not None and math.isfinite(lead):
        facts.margins[int(min(lead / MARGIN_STEP, MAX_MARGIN_STEPS))] += 1


def _has_eliminated(row: Mapping[str, Any]) -> bool:
    return any(one["reject_reason"] == ELIMINATED for one in row["candidates"])


def _losses(folder: Path) -> dict[str, Losses]:
    path = folder / "run.json"
    if not path.exists():
        return {}
    advice = "It must be what davidgen_hf wrote there. Put back a copy of it."
    content = read_json(path, TrainingLosses, advice, error=RunFolderError)
    return {"training": content.loss_history, "held out": content.eval_history}
