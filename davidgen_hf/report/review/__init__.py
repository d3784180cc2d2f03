"""The page on which people accept, reject and edit the rows of a run, and what they said all together."""

from davidgen_hf.report.review.served import serve_review

__all__ = ["serve_review"]
