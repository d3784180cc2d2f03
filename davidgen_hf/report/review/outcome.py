"""What a decision makes of the state of a row."""

from typing import Any

from davidgen_hf.corpus.review import RowState
from davidgen_hf.corpus.review.pairs import chosen_candidate
from davidgen_hf.processors.select import SelectInstruction
from davidgen_hf.report.review.requests import Decision, Refusal


def state_after(decision: Decision, before: RowState, row: dict[str, Any], select: SelectInstruction) -> RowState:
    """Return the state of a row after a decision.

    Raises:
        Refusal: The row has no such candidate, or a text is missing.
    """
    ranked = select.rank(row)
    accepted: dict[str, Any] = {"verdict": "accepted", "reason": None}
    changes: dict[str, Any]
    if decision.action in ("accept", "edit", "promote") and not (row["output"] or "").strip():
        raise Refusal(422, "The row has no output. A row that is accepted needs one. Reject the row.")
    match decision.action:
        case "reject":
            changes = {"verdict": "rejected", "reason": decision.reason}
        case "note":
            changes = {"note": decision.note or None}
        case "edit" if decision.instruction:
            changes = {
                "verdict": "accepted",
                "reason": None,
                "instruction": decision.instruction,
                "version": decision.id,
            }
        case "promote":
            number = _promoted(decision.candidate, row)
            if ranked and ranked[0][1] is row["candidates"][number]:
                number = None  # the selection's own choice
            changes = accepted | {"candidate": number, "instruction": None, "version": decision.id}
        case "accept" if before.instruction or chosen_candidate(row, before, select):
            changes = accepted
        case _:
            raise Refusal(
                422, "There is no instruction. A row that is accepted needs one. Write it, or reject the row."
            )
    return before.model_copy(update=changes)


def _promoted(number: int | None, row: dict[str, Any]) -> int | None:
    if number is None or number >= len(row["candidates"]):
        raise Refusal(422, f"There is no candidate {number}. The row has {len(row['candidates'])}. Name one of these.")
    one = row["candidates"][number]
    if not one["instruction"] or one["reject_reason"] == "overlaps_evaluation":
        raise Refusal(
            422,
            "This candidate cannot be promoted: it is empty, or overlaps an evaluation set. Choose another, or edit "
            "the instruction.",
        )
    return number
