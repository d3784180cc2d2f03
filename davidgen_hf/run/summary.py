"""What a run prints when it ends: what came in, what was rejected, some pairs, where everything is."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from davidgen_hf.corpus.facts import Choices, attrition, pairs_per_hour, ranked_rows, yield_by_style
from davidgen_hf.processors.base import draw
from davidgen_hf.processors.select import Ranked, perplexity
from davidgen_hf.provenance import find_provenance
from davidgen_hf.report import FILE_NAME as REPORT
from davidgen_hf.storage.record import RunRecord
from davidgen_hf.storage.shards import Part

SHOWN = 3
Row = tuple[Ranked, dict[str, Any]]


def print_summary(record: RunRecord, console: Console) -> None:
    """Print tables of rows, perplexities and evaluation, three pairs next to their losers, and what to do next."""
    choices = Choices()
    rows = _with_a_choice(record, choices)
    shown = heapq.nsmallest(SHOWN, rows, key=lambda row: draw(2**64, row[1]["output"], row[1]["strategy"]))
    tables = (attrition_table(record), style_table(record), perplexities(choices), evaluation(record))
    for table in (*tables, *map(_pair, shown)):
        if table is not None:
            console.print(table)
    console.print(places(record.folder))
    found = find_provenance(record.folder)
    if found and found.restrictions:
        console.print(
            f"This run is restricted: {' '.join(found.restrictions)} Its result is for trying things out, not for "
            "publishing.",
            markup=False,
        )
    folder = escape(quote(str(record.folder)))
    if record.content["name"] == "demo":
        then = "or bring text of your own: [bold]davidgen run demo --passages my_texts.jsonl --output runs/mine[/bold]"
    else:
        then = f"judge its pairs there with [bold]davidgen review {folder}[/bold]"
        if not (found and found.restrictions):
            then += f", and publish with [bold]davidgen push {folder} ORG/NAME[/bold]"
    console.print(f"Next: open [bold]{escape(str(record.folder / REPORT))}[/bold] in a browser, {then}")


def attrition_table(record: RunRecord) -> Table:
    """Return the table of what came in and what was left out, by stage."""
    speed = pairs_per_hour(record.content)
    caption = f"{speed:,.0f} pairs per hour of one worker" if speed else None
    table = Table("stage", "what", "number", title="From text to pairs", caption=caption)
    before = None
    for stage, what, number in attrition([record.content]):
        if stage != before:
            table.add_section()
        table.add_row(stage, escape(what), str(number))
        before = stage
    return table


def style_table(record: RunRecord) -> Table | None:
    """Return the table of the outcomes of the candidates of each style, if there are several."""
    styles = yield_by_style([record.content])
    if len(styles) < 2:
        return None
    table = Table("style", "candidates", "accepted", "pairs", title="Yield by style of the prompt")
    for style, *numbers in styles:
        table.add_row(escape(style), *map(str, numbers))
    return table


def perplexities(choices: Choices) -> Table | None:
    """Return the table of mean perplexities of winner, random candidate and loser, over rows with a choice."""
    if not len(choices):
        return None
    title = f"Perplexity of the output, {len(choices)} rows with at least two candidates left"
    table = Table("candidate", "mean", "median", title=title)
    for name, values in choices.means().items():
        table.add_row(escape(name), f"{values['mean']:.2f}", f"{values['median']:.2f}")
    return table


def evaluation(record: RunRecord) -> Table | None:
    """Return the table of base model and follower on the held-out seeds."""
    report = record.steps.get("evaluation")
    if not report or not (report["held_out"] or report.get("too_long")):
        return None
    caption = f"{report['too_long']} more left out: too long for the models" if report.get("too_long") else None
    table = Table("model", "ROUGE-L", "perplexity", title=f"On {report['held_out']} held-out seeds", caption=caption)
    for name, scores in report["scores"].items():
        cells = (scores["rougeL"], scores["perplexity"])
        table.add_row(name, *("not measured" if cell is None else f"{cell:.2f}" for cell in cells))
    return table


def _with_a_choice(record: RunRecord, choices: Choices) -> Iterator[Row]:
    """Yield the rows that had at least two candidates left, and count them on the way."""
    for _, ranked, row in ranked_rows(record.folder, record.content):
        choices.add(ranked, row)
        if len(ranked) > 1:
            yield ranked, row


def _pair(row: Row) -> Table:
    """Return the table of a row's candidates in the order of the selection, and of those that were rejected."""
    ranked, columns = row
    table = Table("perplexity", "candidate", title=escape(_brief(columns["output"], 300)), title_justify="left")
    for place, (_, one) in enumerate(ranked):
        style, value = "bold" if place == 0 else None, perplexity(one)
        shown = "not scored" if value is None else f"{value:.2f}"
        table.add_row(shown, escape(_brief(one["instruction"], 200)), style=style)
    for one in columns["candidates"]:
        if one["reject_reason"]:
            table.add_row(escape(one["reject_reason"]), escape(_brief(one["instruction"] or "", 200)), style="dim")
    return table


def places(folder: Path) -> Table:
    """Return the table of what is where."""
    table = Table("what", "where", title="Where everything is")
    for what, name in (
        ("a page to look at it all", REPORT),
        ("pairs to train on", "corpus"),
        ("all candidates with scores and reasons", "scored"),
        ("instruction generator", "generator"),
        ("instruction follower", "follower"),
        ("answers to held-out seeds", "evaluation"),
        ("recipe, versions, counts, seconds", "run.json"),
    ):
        if (folder / name).exists():
            table.add_row(what, escape(str(folder / name)))
    return table


def _brief(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def describe_missing(missing: dict[str, int], part: Part, folder: Path) -> str:
    """Return what to do after a part of a corpus, from what ``run_part`` returns."""
    if not missing:
        return f"Part {part} is done, and so are all others. The same command without --shard continues in {folder}."
    ((stage, count),) = missing.items()
    if stage == "corpus":
        return (
            f"Part {part} is done. {count} shard(s) of other parts are missing; when they are done, leave --shard out."
            " With target_pairs, give the same command again for every part: it reads on where pairs are missing."
        )
    return (
        f"Part {part} is done up to {stage}, where {count} shard(s) of other parts are missing. When the others have "
        "come as far, give the same command again for every part, or once without --shard."
    )
