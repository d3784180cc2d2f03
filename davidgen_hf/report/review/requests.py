"""What the review page may ask for, checked by pydantic, and how it is refused."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from davidgen_hf.corpus.review.log import Action, Identity
from davidgen_hf.storage.validation import Text


def _line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of characters that can be seen")
    return text


Name = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(_line)]
Reason = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is not carried out.

    Args:
        status: Status of the answer.
        text: What was found, what was expected and what to do.
        row: The row as it is now, where the page has to show it.
    """

    def __init__(self, status: int, text: str, row: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.status, self.row = status, row


class Queue(BaseModel):
    """Which rows to review, in which order; the fields are those of the page's form.

    Args:
        reviewer: Name of the reviewer.
        order: ``random`` is the same sample for everyone.
        strategy: Only rows of this strategy.
        style: Only rows whose first candidate was written for a prompt of this style.
        only: ``unreviewed`` by anyone, ``not_mine`` those that the reviewer has not seen; or those that were
            ``accepted`` or ``rejected``, have a ``note``, or about which reviewers ``disagree``.
        sample: Only the first rows of the order.
        after: Number of the row after which to begin; -1 for the start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reviewer: Name
    order: Literal["random", "margin", "-perplexity", "n"] = "random"
    strategy: Annotated[str, Field(max_length=1000)] = ""
    style: Annotated[str, Field(max_length=1000)] = ""
    only: Literal["", "unreviewed", "not_mine", "accepted", "rejected", "note", "disagree"] = ""
    sample: Annotated[int, Field(ge=1, le=10**9)] | None = None
    after: Annotated[int, Field(ge=-1, le=10**9)] = -1


class Decision(BaseModel):
    """A decision as the page sends it.

    Args:
        id: Made by the page; a decision that is sent again counts once.
        reviewer: Who decides.
        action: What to do.
        row: Its ``row_key``; an ``undo`` takes back the reviewer's last decision and needs none.
        version: The ``version`` of the row that the reviewer saw; another one is a conflict.
        reason: Why it is rejected.
        candidate: Number of the candidate to promote, in the order of the column ``candidates``.
        instruction: The instruction as the reviewer wrote it.
        note: A remark.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Identity
    reviewer: Name
    action: Action
    row: Annotated[str, Field(max_length=64)] = ""
    version: Annotated[str, Field(max_length=64)] = ""
    reason: Reason | None = None
    candidate: Annotated[int, Field(ge=0)] | None = None
    instruction: Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)] | None = (
        None
    )
    note: Annotated[Text, StringConstraints(strip_whitespace=True, max_length=2000)] | None = None
