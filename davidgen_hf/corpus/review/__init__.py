"""What people decided about the rows of a run: the log of their decisions, and the corpus that follows from it."""

from davidgen_hf.corpus.review.log import Entry, Log, RowState, log_path, row_key
from davidgen_hf.corpus.review.pairs import WRITTEN_BY, read_pairs, reviews_in_use
from davidgen_hf.corpus.review.state import Reviews, read_reviews

__all__ = [
    "WRITTEN_BY",
    "Entry",
    "Log",
    "Reviews",
    "RowState",
    "log_path",
    "read_pairs",
    "read_reviews",
    "reviews_in_use",
    "row_key",
]
