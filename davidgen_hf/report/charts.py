"""Histograms and curves as SVG for the page, coloured by its style sheet in both schemes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 520, 220, 44, 34, 8
TICKS = 5


def histogram(
    series: Mapping[str, Counter[int]], label: Callable[[int], str], title: str, unit: str, *, longest: int = 60
) -> str:
    """Return counts by step as outlines, one for each series.

    Args:
        series: Counts by number of the step, by name.
        label: Text below a step.
        title: What the picture shows, for those who do not see it.
        unit: What the axis below counts.
        longest: Maximum number of steps; the rest is counted in the last one.
    """
    steps = sorted({step for counts in series.values() for step in counts})
    if not steps:
        return ""
    first, last = steps[0], min(steps[-1], steps[0] + longest - 1)
    places = range(first, last + 1)
    heights = {name: [_at(counts, place, last) for place in places] for name, counts in series.items()}
    highest = max(max(values) for values in heights.values())
    width = (WIDTH - LEFT) / len(places)
    shapes = []
    for number, (name, values) in enumerate(heights.items()):
        points = [f"{LEFT},{_y(0, highest)}"]
        for place, value in enumerate(values):
            x, y = LEFT + place * width, _y(value, highest)
            points += [f"{x:.1f},{y:.1f}", f"{x + width:.1f},{y:.1f}"]
        points.append(f"{WIDTH},{_y(0, highest)}")
        shapes.append(
            f'<polygon class="series s{number}" points="{" ".join(points)}"><title>{escape(name)}</title></polygon>'
        )
    marks = range(0, len(places), max(1, len(places) // TICKS))
    ticks = [(LEFT + mark * width, label(first + mark)) for mark in marks]
    return _frame((title, unit), shapes, ticks, highest, list(series))


def curve(series: Mapping[str, Sequence[tuple[int, float]]], title: str, unit: str) -> str:
    """Return values over steps as lines, one for each series; those without a value are left out."""
    series = {name: values for name, values in series.items() if values}
    if not series:
        return ""
    last = max(step for values in series.values() for step, _ in values) or 1
    highest = max(value for values in series.values() for _, value in values) or 1.0
    shapes = []
    for number, (name, values) in enumerate(series.items()):
        points = " ".join(
            f"{LEFT + (WIDTH - LEFT - 6) * step / last:.1f},{_y(value, highest):.1f}" for step, value in values
        )
        shapes.append(f'<polyline class="line s{number}" points="{points}"><title>{escape(name)}</title></polyline>')
    ticks = [(LEFT + (WIDTH - LEFT - 6) * part / TICKS, f"{last * part // TICKS}") for part in range(TICKS)]
    return _frame((title, unit), shapes, ticks, highest, list(series))


def _at(counts: Counter[int], place: int, last: int) -> int:
    return counts[place] if place < last else sum(number for step, number in counts.items() if step >= last)


def _y(value: float, highest: float) -> float:
    return TOP + (HEIGHT - BOTTOM - TOP) * (1 - value / highest)


def _frame(
    words: tuple[str, str], shapes: list[str], ticks: list[tuple[float, str]], highest: float, names: list[str]
) -> str:
    title, unit = words
    floor = _y(0, highest)
    axis = "".join(f'<text x="{x:.1f}" y="{floor + 15:.1f}">{escape(text)}</text>' for x, text in ticks)
    top = f"{highest:,.0f}" if highest >= 10 or isinstance(highest, int) else f"{highest:.2f}"
    legend = "".join(f'<li class="s{number}">{escape(name)}</li>' for number, name in enumerate(names))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH}" y1="{floor:.1f}" y2="{floor:.1f}"/>{"".join(shapes)}'
        f'<g class="ticks">{axis}<text class="side" x="{LEFT - 6}" y="{TOP + 10}">{top}</text>'
        f'<text class="side" x="{LEFT - 6}" y="{floor:.1f}">0</text>'
        f'<text class="unit" x="{WIDTH}" y="{HEIGHT - 3}">{escape(unit)}</text></g></svg>'
        + (f'<ul class="legend">{legend}</ul>' if len(names) > 1 else "")
    )
