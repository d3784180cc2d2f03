"""A few rows that stand for many: of all lengths, from all over the input."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

# So many rows are held while the input is read through; the sample is drawn from them by length.
HELD = 2000


@dataclass(frozen=True)
class Population:
    """All rows of an input, and some that stand for them."""

    count: int
    sample: list[dict[str, Any]]


def survey(
    rows: Iterable[dict[str, Any]], size: int, length: Callable[[dict[str, Any]], int], stop_after: int | None = None
) -> Population:
    """Read rows through, count them, and draw a sample of all lengths from all over them, the same in every call.

    Args:
        rows: The input, read once.
        size: Rows of the sample.
        length: What a row's cost grows with.
        stop_after: Read no further than so many rows.
    """
    draw = random.Random(0)
    held: list[dict[str, Any]] = []
    count = 0
    for count, row in enumerate(rows, start=1):
        if len(held) < HELD:
            held.append(row)
        elif (place := draw.randrange(count)) < HELD:  # Vitter's algorithm R: each row is held with the same chance
            held[place] = row
        if count == stop_after:
            break
    return Population(count, spread(held, size, length))


def spread(rows: list[dict[str, Any]], size: int, length: Callable[[dict[str, Any]], int]) -> list[dict[str, Any]]:
    """Return ``size`` rows at even distances in the order of their lengths, so that their mean is that of all."""
    if len(rows) <= size:
        return list(rows)
    ordered = sorted(rows, key=length)
    return [ordered[int((place + 0.5) * len(ordered) / size)] for place in range(size)]


def spread_dataset(rows: Dataset, size: int, *columns: str) -> Dataset:
    """Return ``spread`` rows of a dataset by the length of the texts in ``columns``."""
    texts = zip(*(rows[column][:] for column in columns), strict=True)
    numbered = [{"place": place, "length": sum(map(len, row))} for place, row in enumerate(texts)]
    return rows.select(sorted(row["place"] for row in spread(numbered, size, lambda row: row["length"])))
