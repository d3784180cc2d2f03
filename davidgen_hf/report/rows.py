"""Scored rows as the page shows them: what is shown in the list, and what when one is opened."""

import math
from typing import Any

from davidgen_hf.processors.select import Ranked, margin, perplexity
from davidgen_hf.schema import Candidate


def row_of(place: int, kept: list[Candidate], ranked: Ranked, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as plain values for JSON; ``place`` counts the rows of the run, and ``number`` a row's candidates.

    ``start`` and ``end`` count UTF-16 units of the passage, as browsers count; both are None where the output is no
    single span of it, and then ``output`` has its text, which is None where it has not.
    """
    text = row["text"]
    is_span = row["start"] is not None and text[row["start"] : row["end"]] == row["output"]
    order = {id(one): rank for rank, (_, one) in enumerate(ranked)}
    pairs = {id(one) for one in kept}
    candidates = [
        {
            "instruction": one["instruction"] or "",
            "input": one["input"] or "",
            "style": one["style"],
            "perplexity": _rounded(perplexity(one)),
            "reason": one["reject_reason"],
            "rank": order.get(id(one), -1) + 1,
            "kept": id(one) in pairs,
            "number": number,
        }
        for number, one in enumerate(row["candidates"])
    ]
    return {
        "n": place,
        "id": row["id"],
        "strategy": row["strategy"],
        "kept": bool(kept),
        "text": text,
        "start": _units(text, row["start"]) if is_span else None,
        "end": _units(text, row["end"]) if is_span else None,
        "output": None if is_span else row["output"],
        "source": row["source"],
        "license": row["license"],
        "url": row["url"],
        "perplexity": _rounded(perplexity(ranked[0][1])) if ranked else None,
        "margin": _rounded(margin(ranked)),
        "reasons": sorted({one["reject_reason"] for one in row["candidates"] if one["reject_reason"]}),
        "candidates": sorted(candidates, key=lambda one: one["rank"] or len(candidates) + 1),
    }


def search_text(row: dict[str, Any]) -> str:
    """Return the text of a row that a search looks through."""
    return "\n".join([row["text"], row["output"] or "", *(one["instruction"] for one in row["candidates"])])


def _units(text: str, place: int) -> int:
    return len(text[:place].encode("utf-16-le", "surrogatepass")) // 2


def _rounded(value: float | None) -> float | None:
    """Return four digits of a number; None for what is none, which JSON cannot write."""
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None
