"""What people decided about a run: the rows that its follower learns from, and what ``review --report`` prints."""

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow
from datasets import Dataset, Features, Value
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from davidgen_hf.corpus.review import read_pairs, read_reviews, reviews_in_use
from davidgen_hf.corpus.review.accuracy import Accuracy, Tally, measure_accuracy
from davidgen_hf.corpus.review.log import FOLDER
from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.files import replacing
from davidgen_hf.storage.record import RunRecord
from davidgen_hf.storage.shards import shard_paths

SHOWN = 20
TRAINING = "training"


def reviewed_rows(run: Path) -> Dataset | None:
    """Return prompts and completions of the corpus as people decided; None if their decisions change nothing.

    They are written to the run's folder ``review/training`` a shard at a time, and read from there as training needs
    them. Remove it with ``remove_reviewed_rows`` after that.

    Raises:
        RunFolderError: Reviewers left no row, or a shard or the log is damaged.
    """
    if not reviews_in_use(run):
        return None
    remove_reviewed_rows(run)
    schema = Features({"prompt": Value("string"), "completion": Value("string")}).arrow_schema
    path = run / FOLDER / TRAINING / "pairs.arrow"
    path.parent.mkdir(parents=True)
    with replacing(path) as draft, pyarrow.ipc.new_stream(draft, schema) as writer:
        for shard in shard_paths(run / "corpus"):
            writer.write_table(read_pairs(shard, schema.names).cast(schema))
    rows = Dataset.from_file(str(path))
    if not len(rows):
        remove_reviewed_rows(run)
        raise RunFolderError(
            f"{run} has no row left to train on. The recipe's corpus.review.use leaves only rows that reviewers "
            f"accepted or did not reject. Review more: davidgen review {run}. Or set corpus.review.use=ignore."
        )
    return rows


def remove_reviewed_rows(run: Path) -> None:
    """Remove what ``reviewed_rows`` wrote, and what training kept next to it."""
    shutil.rmtree(run / FOLDER / TRAINING, ignore_errors=True)


def review_digest(run: Path) -> str | None:
    """Return a hash of the decisions that a follower is trained by; None if they change nothing."""
    in_use = reviews_in_use(run)
    if in_use is None:
        return None
    states = sorted((row, state.model_dump_json()) for row, state in in_use.reviews.verdicts())
    return hashlib.sha256(json.dumps([in_use.use, states]).encode()).hexdigest()[:16]


def compare_decisions(record: RunRecord, announce: Callable[[str], None], *, may_retrain: bool) -> None:
    """Say where people have decided since the follower was trained, and with ``may_retrain`` forget that training."""
    if "follower" not in record.steps or record.steps["follower"].get("review") == review_digest(record.folder):
        return
    if not may_retrain:
        announce("Reviewers have decided since the follower was trained. Add --update --yes to train it again.")
        return
    announce("Reviewers have decided since the follower was trained: it is trained again.")
    for step in ("follower", "evaluation"):
        record.steps.pop(step, None)
    record.save()
    shutil.rmtree(record.folder / "follower", ignore_errors=True)


def announce_lost_decisions(run: Path, announce: Callable[[str], None]) -> None:
    """Say how many decisions are about rows that a corpus no longer has."""
    if lost := len(measure_accuracy(run).without_row) if read_reviews(run).rows else 0:
        announce(
            f"{lost} decision(s) of reviewers no longer apply, because the row's output or candidates changed. "
            f"davidgen review {run} --report lists them."
        )


def print_review(run: Path, console: Console) -> None:
    """Print how many rows were reviewed with which result, how far reviewers agree, and how often argmin was right.

    Raises:
        RunFolderError: It is not a run folder, nobody has reviewed it, or a file of it is damaged.
    """
    reviews = read_reviews(run)
    found = measure_accuracy(run)
    if not reviews.rows:
        raise RunFolderError(
            f"{run} has no decisions. A report needs rows that people reviewed. Review some: davidgen review {run}."
        )
    counts = reviews.counts()
    shared, agreed, kappa = reviews.agreement()
    table = Table("decision", "rows", title=f"Reviewed by {counts['people']}")
    for name in ("reviewed", "accepted", "edited", "promoted", "rejected"):
        table.add_row(name, str(counts[name]))
    for reason, number in reviews.reasons().most_common():
        table.add_row(f"  {escape(reason) or 'no reason given'}", str(number))
    console.print(table)
    if shared:
        chance = "" if kappa is None else f" (Cohen's kappa {kappa:.2f})"
        console.print(f"Two reviewers saw the same row {shared} times and agreed {agreed} times{chance}.")
    _print_accuracy(found, console)
    if found.without_row:
        console.print(f"{len(found.without_row)} decisions no longer apply: the row's output or candidates changed.")
        for one in found.without_row[:SHOWN]:
            console.print(f"  {escape(str(one.source))} {escape(str(one.record))} {one.strategy}: {one.action}")
        if len(found.without_row) > SHOWN:
            console.print(f"  and {len(found.without_row) - SHOWN} more")


def _print_accuracy(found: Accuracy, console: Console) -> None:
    if found.total == Tally():
        console.print("No reviewed row left a choice among candidates, so the selection's accuracy is not known.")
        return
    console.print(_accuracy_table(found))
    console.print(
        "Right: the reviewer accepted the selection's first choice. Wrong: they promoted another candidate. Rows that "
        "they edited or rejected do not count. The page shows the first choice first, which favors it."
    )


def _accuracy_table(found: Accuracy) -> Table:
    columns = ("margin", "right", "wrong", "accuracy", "95% interval", "chance", "edited", "rejected")
    title = "How often the selection was right, by margin in nats per token"
    table = Table(*columns, title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for (low, high), tally in found.buckets.items():
        table.add_row(f"from {low:g}" if math.isinf(high) else f"{low:g} to {high:g}", *_cells(tally))
    table.add_section()
    table.add_row("all", *_cells(found.total))
    return table


def _cells(tally: Tally) -> list[str]:
    counts = [str(tally.kept), str(tally.promoted)]
    rest = [str(tally.edited), str(tally.rejected)]
    if tally.accuracy is None:
        return [*counts, "-", "-", "-", *rest]
    low, high = tally.interval
    return [
        *counts,
        f"{tally.accuracy:.0%}",
        f"{low:.0%} to {high:.0%}",
        f"{tally.by_chance / tally.judged:.0%}",
        *rest,
    ]
