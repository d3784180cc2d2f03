from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from davidgen_hf.evaluation.rings import draw_rings, ring_figure, spread


def counts(*verbs):
    """Make counts from ``(verb, (noun, count), ...)``."""
    top = [
        {
            "verb": verb,
            "count": sum(count for _, count in nouns),
            "nouns": [{"noun": noun, "count": count} for noun, count in nouns],
        }
        for verb, *nouns in verbs
    ]
    return {"n_with_verb_and_noun": sum(verb["count"] for verb in top), "top": top}


EVEN = counts(*((f"verb{v}", *((f"noun{v}{n}", 3) for n in range(4))) for v in range(20)))
STEEP = counts(
    *((f"summarize{v}", *((f"characterization{n}", 20000 // 3**v + 1) for n in range(4))) for v in range(20))
)
LONE = counts(("write", ("story", 1)))


def corners(text):
    """Return the four corners of a text on the picture, in pixels, turned as it is."""
    renderer = text.figure.canvas.get_renderer()
    rotation = text.get_rotation()
    text.set_rotation(0)
    box = text.get_window_extent(renderer)
    text.set_rotation(rotation)
    anchor = text.get_transform().transform(text.get_position())
    level = np.array([[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1]]) - anchor
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    return level @ np.array([[cos, sin], [-sin, cos]]) + anchor


def overlap(first, second):
    """Tell whether two rectangles share more than a pixel, by their separating axes."""
    for axis in (first[1] - first[0], first[2] - first[1], second[1] - second[0], second[2] - second[1]):
        unit = axis / np.linalg.norm(axis)
        if min((first @ unit).max(), (second @ unit).max()) - max((first @ unit).min(), (second @ unit).min()) < 1:
            return False
    return True


@pytest.mark.parametrize("made", [EVEN, STEEP, LONE], ids=["even", "steep", "lone"])
def test_no_label_overlaps_another_and_none_is_lost(made):
    figure = ring_figure(made, "Title")
    boxes = {text: corners(text) for text in figure.axes[0].texts}

    assert [(a.get_text(), b.get_text()) for a, b in combinations(boxes, 2) if overlap(boxes[a], boxes[b])] == []
    written = " ".join(text.get_text() for text in boxes)
    for verb in made["top"]:
        assert verb["verb"] in written
        assert all(noun["noun"] in written for noun in verb["nouns"])


@pytest.mark.parametrize("made", [STEEP, LONE], ids=["steep", "lone"])
def test_nothing_is_cut_off_and_the_ground_is_white(made, tmp_path):
    png, _ = draw_rings(made, "A title " * 8, tmp_path / "rings.png")
    pixels = np.asarray(Image.open(png))
    margin = 20

    assert (pixels[[*range(margin), *range(-margin, 0)]] == 255).all()
    assert (pixels[:, [*range(margin), *range(-margin, 0)]] == 255).all()
    assert (pixels[margin:-margin, margin:-margin] != 255).any()


def test_wedges_are_as_wide_as_their_counts():
    figure = ring_figure(counts(("write", ("story", 2), ("poem", 1)), ("bake", ("bread", 1))), "Title")
    widths = [wedge.theta2 - wedge.theta1 for wedge in figure.axes[0].patches]

    assert sorted(widths) == pytest.approx([90, 90, 90, 180, 270])


def test_a_narrow_verb_is_named_next_to_its_nouns():
    texts = [
        text.get_text()
        for text in ring_figure(counts(("give", ("list", 999)), ("bake", ("bread", 1))), "").axes[0].texts
    ]

    assert "bake bread" in texts
    assert "bake" not in texts
    assert {"give", "list"} <= set(texts)


def test_the_same_counts_give_the_same_two_files(tmp_path):
    first = draw_rings(EVEN, "Title", tmp_path / "a.png")
    second = draw_rings(EVEN, "Title", tmp_path / "b.png")

    assert [path.name for path in first] == ["a.png", "a.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(
    ("targets", "gap"),
    [
        ([0.0, 90.0, 180.0], 10),
        ([10.0, 10.0, 10.0, 10.0], 5),
        ([0.0, 1.0, 2.0, 350.0, 359.0, 359.5], 8),
        ([100.0], 10),
        ([], 10),
        (list(np.linspace(0, 20, 80)), 4),
        (list(np.linspace(0, 359, 200)), 10),
    ],
)
def test_places_are_spread_in_order(targets, gap):
    places = np.array(spread(targets, gap))
    least = min(gap, 360 / len(targets)) if targets else gap

    assert len(places) == len(targets)
    if len(places) > 1:
        distances = (np.roll(places, -1) - places) % 360
        assert distances.min() >= least - 1e-6
        assert distances.sum() == pytest.approx(360)  # once around: the order is kept


def test_places_that_are_far_enough_apart_stay():
    assert spread([0.0, 90.0, 180.0], 10) == pytest.approx([0, 90, 180])
