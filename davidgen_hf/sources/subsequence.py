"""The longest common subsequence of two texts, and ROUGE-L, which measures it."""

from collections.abc import Hashable, Sequence

from rouge_score import scoring


def rouge_l(prediction: Sequence[Hashable], reference: Sequence[Hashable]) -> float:
    """Return the F1 of the longest common subsequence, from 0 to 1, in the arithmetic of rouge-score."""
    if not prediction or not reference:
        return 0.0
    common = lcs_length(reference, prediction)
    return float(scoring.fmeasure(common / len(prediction), common / len(reference)))


def lcs_length(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Return the length of the longest common subsequence by Hyyrö's bit-parallel rows (2004): one integer per row."""
    places: dict[Hashable, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    row = full = (1 << len(first)) - 1
    for token in second:
        matches = row & places.get(token, 0)
        row = (row + matches | row - matches) & full
    return len(first) - row.bit_count()
