"""The page's pictures as PNG, for cards: on a ground of their own, so that they can be read in both colour schemes."""

import base64
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from davidgen_hf.corpus.facts import MARGIN_STEP, PERPLEXITY_STEPS, Facts, read_facts
from davidgen_hf.publish.cards.pictures import FOLDER
from davidgen_hf.report.rings import opening_picture, verb_picture

COLOURS = ("#1f5fa8", "#a8780f", "#a3341f")
STYLES = ("-", "--", ":")


def write_pictures(run: Path, facts: Facts | None = None) -> list[Path]:
    """Draw what the report shows into the run's ``pictures`` folder; what has no rows yet is left out.

    Args:
        run: The run's folder.
        facts: What ``read_facts`` returned for it; None reads them.

    Raises:
        RunFolderError: It is not a run folder, or a file of it is damaged.
    """
    facts = facts or read_facts(run)
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    paths = []
    drawn = {"passages_to_pairs": _funnel, "reject_reasons": _reasons, "perplexity": _perplexity, "margin": _margin}
    for name, draw in drawn.items():
        figure = draw(facts)
        if figure is not None:
            paths.append(folder / f"{name}.png")
            figure.savefig(paths[-1], dpi=150, facecolor="white", metadata={"Software": None})
    rings = {"opening_words": opening_picture, "verbs_and_nouns": verb_picture}
    for name, draw_rings in rings.items():
        if picture := draw_rings(facts.instructions):
            paths.append(folder / f"{name}.png")
            paths[-1].write_bytes(base64.b64decode(picture))
    return paths


def _perplexity(facts: Facts) -> Figure | None:
    return _steps(
        facts.choices.histograms(),
        lambda step: 10 ** (step / PERPLEXITY_STEPS),
        "perplexity of the output",
        logarithmic=True,
    )


def _margin(facts: Facts) -> Figure | None:
    lead = {"rows": facts.margins} if facts.margins else {}
    return _steps(lead, lambda step: step * MARGIN_STEP, "lead of the winner (nats per token)")


def _steps(
    series: dict[str, Counter[int]], value: Callable[[int], float], label: str, *, logarithmic: bool = False
) -> Figure | None:
    if not series:
        return None
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    steps = {step for counts in series.values() for step in counts}
    places = range(min(steps), max(steps) + 1)
    edges = [value(step) for step in (*places, places[-1] + 1)]
    for (name, counts), colour, style in zip(series.items(), COLOURS, STYLES, strict=False):
        axes.stairs([counts[step] for step in places], edges, label=name, color=colour, linestyle=style, linewidth=1.8)
    axes.set(xlabel=label, ylabel="rows", xscale="log" if logarithmic else "linear")
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        axes.legend(frameon=False)
    return figure


def _funnel(facts: Facts) -> Figure | None:
    return _bars(facts.stages, "rows", COLOURS[0]) if facts.rows else None


def _reasons(facts: Facts) -> Figure | None:
    reasons = [(name.replace("_", " "), number) for name, number in facts.reasons.most_common()]
    return _bars(reasons, "candidates rejected", COLOURS[2]) if reasons else None


def _bars(rows: list[tuple[str, int]], label: str, colour: str) -> Figure:
    names, numbers = zip(*reversed(rows), strict=True)
    figure = Figure(figsize=(6, 0.9 + 0.32 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.bar_label(axes.barh(names, numbers, color=colour), fmt="{:,.0f}", padding=3)
    axes.set(xlabel=label)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
