"""Root verbs and their nouns as two rings, as in the paper's Figures 5 and 6."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Wedge
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from scipy.optimize import isotonic_regression

# Radii in units, of which the picture has 2 * _EXTENT before it is cropped; angles are degrees clockwise from the top.
_HOLE, _VERBS, _NOUNS, _LEADERS, _LABELS = 0.30, 0.66, 0.84, (0.85, 0.98), 0.99
_EXTENT, _INCHES, _DPI = 1.5, 11.0, 150
_POINTS = _INCHES * 72 / (2 * _EXTENT)  # points of one unit
_NOUN_SIZE, _VERB_SIZES = 8.5, (10.0, 9.0, 8.0, 7.0)
_LINE = 1.2  # height of a line of text, in sizes of its font
_INK, _FAINT, _GROUND = "#1f2430", "#8a90a0", "#ffffff"


def draw_rings(counts: dict[str, Any], title: str, path: Path) -> list[Path]:
    """Save the figure of ``ring_figure`` as PNG and SVG; the same counts give the same files.

    Args:
        counts: What ``count_verb_nouns`` returns, with at least one verb in ``top``.
        title: Text above the rings.
        path: The files' path; its suffix is replaced.

    Returns:
        The paths of the PNG and the SVG.
    """
    figure = ring_figure(counts, title)
    axes = figure.axes[0]
    crop = _box(axes).transformed(figure.dpi_scale_trans.inverted()).padded(0.3)
    paths = [path.with_suffix(suffix) for suffix in (".png", ".svg")]
    with rc_context({"svg.hashsalt": title}):
        for target in paths:
            undated = {"Date": None} if target.suffix == ".svg" else {}
            figure.savefig(target, bbox_inches=crop, metadata={"Title": title} | undated)
    return paths


def ring_figure(counts: dict[str, Any], title: str) -> Figure:
    """Draw the verbs as inner ring and each verb's nouns as outer ring.

    A verb is as wide as the nouns that are shown of it, as in Self-Instruct; its whole count is in ``counts``. A
    verb too narrow for a label is named next to its nouns instead. Labels are moved along the circle until none
    overlaps. The ground is white, so that the picture can be read on a dark page too.
    """
    figure = Figure(figsize=(_INCHES, _INCHES), dpi=_DPI, facecolor=_GROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-_EXTENT, _EXTENT), ylim=(-_EXTENT, _EXTENT), aspect="equal")
    axes.axis("off")
    whole = counts["n_with_verb_and_noun"]
    axes.text(0, 0.03, f"{whole:,}", ha="center", va="bottom", fontsize=16, color=_INK)
    axes.text(0, 0.0, "instructions with\na root verb and\nits object", ha="center", va="top", fontsize=9, color=_INK)
    _draw_labels(axes, _draw_wedges(axes, counts["top"]))
    top = _box(axes).transformed(axes.transData.inverted()).y1
    axes.text(0, top + 0.08, title, ha="center", va="bottom", fontsize=15, color=_INK)
    return figure


def spread(targets: list[float], gap: float, turn: float = 360.0) -> list[float]:
    """Return places on a circle that are at least ``gap`` apart, in the order of ``targets`` and as near as possible.

    The circle is cut where its targets are farthest apart; on the line that this gives, the nearest places (in the
    sense of least squares) are an isotonic regression.

    Args:
        targets: Desired places, ascending, in ``[0, turn)``.
        gap: Least distance; it is smaller if so many do not fit.
        turn: Length of the circle.
    """
    n = len(targets)
    if n < 2:
        return list(targets)
    gap = min(gap, turn / n)
    line = np.asarray(targets)
    distances = np.diff(line, append=line[0] + turn)
    first = int(distances.argmax() + 1) % n
    line = np.concatenate([line[first:], line[:first] + turn])
    cut = line[0] - distances.max() / 2
    steps = gap * np.arange(n)
    flat = isotonic_regression(line - steps).x
    places = flat.clip(cut + gap / 2, cut + turn + gap / 2 - n * gap) + steps
    return list(np.roll(places, first) % turn)


def _draw_wedges(axes: Axes, top: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """Draw both rings; return the angle and text of each label that belongs outside."""
    shown = sum(noun["count"] for verb in top for noun in verb["nouns"])
    labels, start = [], 0.0
    for number, verb in enumerate(top):
        width = 360 * sum(noun["count"] for noun in verb["nouns"]) / shown
        hue = number / len(top)
        _wedge(axes, start, width, (_HOLE, _VERBS), hsv_to_rgb((hue, 0.60, 0.50)))
        named = _draw_verb(axes, verb["verb"], start + width / 2, width)
        for noun in verb["nouns"]:
            part = 360 * noun["count"] / shown
            _wedge(axes, start, part, (_VERBS, _NOUNS), hsv_to_rgb((hue, 0.30, 0.88)))
            labels.append((start + part / 2, noun["noun"] if named else f"{verb['verb']} {noun['noun']}"))
            start += part
    return labels


def _wedge(axes: Axes, start: float, width: float, radii: tuple[float, float], color: Any) -> None:
    inner, outer = radii
    edge = 0.6 if math.radians(width) * outer * _POINTS > 3 else 0.15
    theta = (90 - start - width, 90 - start)
    wedge = Wedge((0, 0), outer, *theta, width=outer - inner, facecolor=to_hex(color), edgecolor=_GROUND, lw=edge)
    axes.add_patch(wedge)


def _draw_verb(axes: Axes, verb: str, angle: float, width: float) -> bool:
    """Write a verb into its wedge, along the radius; return whether there is room for it."""
    middle = (_HOLE + _VERBS) / 2
    text = _radial_text(axes, middle, angle, verb, _VERB_SIZES[0], ha="center", color="white", weight="bold")
    for size in _VERB_SIZES:
        text.set_fontsize(size)
        length = _length(text)
        # The wedge is narrowest at the text's inner end.
        height = math.radians(width) * (middle * _POINTS - length / 2)
        if length < 0.94 * (_VERBS - _HOLE) * _POINTS and height > _LINE * size:
            return True
    text.remove()
    return False


def _length(text: Text) -> float:
    """Return how long a text is along its line, in points."""
    rotation = text.get_rotation()
    text.set_rotation(0)
    length = float(text.get_window_extent().width) * 72 / _DPI
    text.set_rotation(rotation)
    return length


def _box(axes: Axes) -> Bbox:
    """Return the box around rings and texts, in pixels."""
    return Bbox.union([artist.get_window_extent() for artist in (*axes.texts, *axes.patches)])


def _draw_labels(axes: Axes, labels: list[tuple[float, str]]) -> None:
    """Write the labels around the rings, each led to the middle of its wedge.

    A leader's radius grows evenly with its angle: so leaders cross neither each other nor the rings.
    """
    gap = math.degrees(_LINE * _NOUN_SIZE / (_LABELS * _POINTS))
    for (angle, label), place in zip(labels, spread([angle for angle, _ in labels], gap), strict=True):
        turn = (place - angle + 180) % 360 - 180
        way = np.linspace(0, 1, 2 + int(abs(turn) // 2))
        leader = [_point(_LEADERS[0] + (_LEADERS[1] - _LEADERS[0]) * part, angle + turn * part) for part in way]
        axes.plot(*zip(_point(_NOUNS, angle), *leader, strict=True), color=_FAINT, lw=0.5)
        _radial_text(axes, _LABELS, place, label, _NOUN_SIZE, color=_INK)


def _radial_text(axes: Axes, radius: float, angle: float, text: str, size: float, **style: Any) -> Text:
    """Write along the radius, never upside down; ``ha`` says whether it starts at ``radius`` or is centered there."""
    left = angle % 360 > 180
    rotation = (90 - angle) + (180 if left else 0)
    style = {"ha": "right" if left else "left"} | style
    x, y = _point(radius, angle)
    return axes.text(
        x, y, text, rotation=rotation, rotation_mode="anchor", va="center_baseline", fontsize=size, **style
    )


def _point(radius: float, angle: float) -> tuple[float, float]:
    return radius * math.sin(math.radians(angle)), radius * math.cos(math.radians(angle))
