"""What a run tells when it ends: what came in, what was rejected, some pairs, where everything lies."""

import heapq
import statistics
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from davidgen_hf.processors.base import draw
from davidgen_hf.processors.counting import shown_counts
from davidgen_hf.processors.select import SelectInstruction, perplexity
from davidgen_hf.recipe import selection_of
from davidgen_hf.report import FILE_NAME as REPORT
from davidgen_hf.storage.record import RunRecord
from davidgen_hf.storage.shards import iterate_columns

COLUMNS = ["output", "strategy", "candidates", "token_ends"]


def print_summary(record: RunRecord, console: Console) -> None:
    """Show tables of rows, perplexities and evaluation, three pairs beside their losers, and what to do next."""
    select = selection_of(record.content)
    scored = record.folder / "scored"
    tables = (attrition(record), perplexities(iterate_columns(scored, COLUMNS), select), evaluation(record))
    console.print(Group(*(table for table in tables if table is not None)))
    for pair in three_pairs(iterate_columns(scored, COLUMNS), select):
        console.print(pair)
    console.print(places(record.folder))
    if record.content["demo"]:
        console.print(
            "This run is marked `demo`: its base model was tuned on data that closed models partly wrote, so what "
            "came of it is for trying things out, not for publishing."
        )
    console.print(
        f"Next: look at [bold]{escape(str(record.folder / REPORT))}[/bold] in a browser, or bring text of your own: "
        "[bold]davidgen run demo --passages my_texts.jsonl --output runs/mine[/bold]"
    )


def attrition(record: RunRecord) -> Table:
    """Return the table of what came in and what was left out, by reason."""
    table = Table("stage", "what", "rows", title="From text to pairs")
    for step in [name for name in ("seeds", "corpus") if name in record.steps]:
        unit = "seeds" if step == "seeds" else "passages"
        for reason, number in record.steps[step]["skipped"]["counts"].items():
            shown = ", ".join(record.steps[step]["skipped"]["places"][reason])
            table.add_row("read", escape(f"{unit} skipped: {reason} ({shown})"), str(number))
    for stage, given in shown_counts(record.steps["corpus"]["counts"]).items():
        for what, number in given.items():
            if number:
                table.add_row(stage, escape(what.replace(".", ": ").replace("_", " ")), str(number))
        table.add_section()
    return table


def perplexities(scored: Iterable[dict], select: SelectInstruction) -> Table | None:
    """Return the table of mean perplexities of winner, random candidate and loser, over rows with a choice."""
    chosen = {name: array("d") for name in ("winner", "random", "loser")}
    for row in scored:
        ranked = [one for _, one in select.rank(row)]
        if len(ranked) > 1:
            drawn = ranked[draw(len(ranked), ranked[0]["instruction"], ranked[0]["nll"])]
            for values, one in zip(chosen.values(), (ranked[0], drawn, ranked[-1]), strict=True):
                values.append(perplexity(one))
    if not chosen["winner"]:
        return None
    title = f"Perplexity of the output, {len(chosen['winner'])} rows with at least two candidates left"
    table = Table("candidate", "mean", "median", title=title)
    for name, values in chosen.items():
        table.add_row(name, f"{statistics.fmean(values):.2f}", f"{statistics.median(values):.2f}")
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


def three_pairs(scored: Iterable[dict], select: SelectInstruction) -> Iterator[Table]:
    """Yield three rows that had a choice, each with its candidates in the order of the selection."""
    rows = (row for row in scored if len(select.rank(row)) > 1)
    for row in heapq.nsmallest(3, rows, key=lambda row: draw(2**64, row["output"], row["strategy"])):
        table = Table("perplexity", "candidate", title=escape(_brief(row["output"], 300)), title_justify="left")
        for place, one in enumerate(one for _, one in select.rank(row)):
            style = "bold" if place == 0 else None
            table.add_row(f"{perplexity(one):.2f}", escape(_brief(one["instruction"], 200)), style=style)
        for one in row["candidates"]:
            if one["reject_reason"]:
                table.add_row(escape(one["reject_reason"]), escape(_brief(one["instruction"], 200)), style="dim")
        yield table


def places(folder: Path) -> Table:
    """Return the table of what lies where, and the next command to try."""
    table = Table("what", "where", title="Where everything lies")
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
