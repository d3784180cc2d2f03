"""What the finished shards of a corpus counted, and what ``run.json`` says of it."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from davidgen_hf.corpus.finished import read_mark
from davidgen_hf.methods import Stage
from davidgen_hf.processors.counting import STYLES, TOKENS
from davidgen_hf.storage.shards import read_metadata, shard_paths


def read_counts(folder: Path, stages: Iterable[Stage]) -> tuple[dict[str, Counter[str]], dict[str, float]]:
    """Return the counts and the seconds of each stage, summed over its finished shards."""
    counts, seconds = {}, {}
    for stage in stages:
        notes = [read_metadata(path) for path in shard_paths(folder / stage.name)]
        counts[stage.name] = sum((note.counts for note in notes), Counter())
        seconds[stage.name] = round(sum(note.seconds for note in notes), 1)
    return counts, seconds


def take_tokens(counts: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Move the counts of tokens out of the counts of each stage, and return them for the stages that ran a model.

    They are the tokens of the generator's prompts, of the candidates it wrote, and of the outputs that were scored,
    once for each candidate.
    """
    found = {
        stage: {what.removeprefix(TOKENS): of_stage.pop(what) for what in list(of_stage) if what.startswith(TOKENS)}
        for stage, of_stage in counts.items()
    }
    return {stage: tokens for stage, tokens in found.items() if tokens}


def take_styles(counts: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Move what came of the candidates of each style out of the counts of the stages, and return it by style."""
    found: dict[str, dict[str, int]] = {}
    for of_stage in counts.values():
        for what in [one for one in of_stage if one.startswith(STYLES)]:
            style, _, outcome = what.removeprefix(STYLES).rpartition(".")
            found.setdefault(style, {})[outcome] = of_stage.pop(what)
    return found


def report_of(folder: Path, stages: tuple[Stage, ...]) -> dict[str, Any]:
    """Return what ``run.json`` says of a finished corpus."""
    counts, seconds = read_counts(folder, stages)
    tokens, styles = take_tokens(counts), take_styles(counts)
    skipped = read_mark(folder / stages[0].name).skipped
    report = {"counts": counts, "stage_seconds": seconds, "stage_tokens": tokens, "skipped": skipped}
    return report | ({"styles": styles} if styles else {})
