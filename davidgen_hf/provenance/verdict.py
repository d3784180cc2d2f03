"""The three answers to where text comes from, and how the answers of parts make the answer of a whole."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Answer = Literal["clean", "restricted", "unknown"]
# From the best to the worst: a whole is what the worst of its parts is.
ANSWERS: tuple[Answer, ...] = ("clean", "unknown", "restricted")


@dataclass(frozen=True)
class Verdict:
    """What is known of where one dataset, file or model comes from.

    Args:
        name: What was judged.
        answer: ``clean`` where people or open-weight models are known to have written it, ``restricted`` where a
            closed model did or a term forbids to train on it, ``unknown`` otherwise.
        reason: Why, in a sentence a card can show.
        license: Licence as the Hub writes it, ``cc-by-sa-3.0``; ``None`` where it varies by row or is not known.
        source: Where the reason can be read.
        declaration: What a recipe says of a source that was unknown.
        parts: The verdicts that this one was made of: a model's base and the data it was trained on.
        doubtful: Whether an unknown source has the name of restricted data, or a card that names no writer.
    """

    name: str
    answer: Answer
    reason: str
    license: str | None = None
    source: str | None = None
    declaration: str | None = None
    parts: tuple["Verdict", ...] = ()
    doubtful: bool = False

    def record(self) -> dict[str, Any]:
        """Return the verdict and its parts as plain values, for ``run.json``."""
        return asdict(self)


def compose(name: str, verdicts: Iterable[Verdict], *, license: str | None = None) -> Verdict:
    """Return the verdict of a whole: as bad as the worst of its parts, for the reasons of the worst.

    Raises:
        ValueError: ``parts`` is empty.
    """
    parts = tuple(verdicts)
    if not parts:
        raise ValueError(f"{name} has no parts to compose a verdict of.")
    worst = max((part.answer for part in parts), key=ANSWERS.index)
    reasons = dict.fromkeys(part.reason for part in parts if part.answer == worst)
    sources = [part.source for part in parts if part.answer == worst]
    doubtful = worst == "unknown" and any(part.doubtful for part in parts)
    return Verdict(name, worst, " ".join(reasons), license, sources[0], parts=parts, doubtful=doubtful)
