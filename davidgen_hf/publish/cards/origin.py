"""Where the corpora of runs come from, all together, as their cards say it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from davidgen_hf.provenance import Part, Provenance, with_license
from davidgen_hf.publish.cards.rows import RowFacts

NOT_RECORDED = "The sources and models of the run were not recorded."


@dataclass(frozen=True)
class Origin:
    """What is known of the origin of a corpus.

    Args:
        provenance: Sources and models of its runs.
        restricted_rows: Number of rows that are marked as restricted.
        is_old_demo: Whether a run of version 0.1 is marked as made with the embedded model, which is restricted.
    """

    provenance: Provenance
    restricted_rows: int = 0
    is_old_demo: bool = False

    @property
    def parts(self) -> Sequence[Part]:
        """The sources and models."""
        return self.provenance.parts

    @property
    def answer(self) -> str:
        """The worst verdict on a part."""
        return "restricted" if self.restricted else self.provenance.answer

    @property
    def restricted(self) -> bool:
        """Whether a closed model wrote a part of it, or terms forbid training on one."""
        return self.provenance.restricted or self.restricted_rows > 0 or self.is_old_demo

    @property
    def license(self) -> str | None:
        """License under which it may be published; ``None`` if none is known."""
        return self.provenance.license

    @property
    def reason(self) -> str:
        """Why that license, or why none."""
        return self.provenance.license_reason.partition(". ")[0].removesuffix(".")

    @property
    def marks(self) -> list[str]:
        """Tags that mark it."""
        return ["restricted"] if self.restricted else []


def origin_of(records: Sequence[dict[str, Any]], rows: RowFacts) -> Origin:
    """Return where the corpora of runs come from, all together.

    The license of one corpus is what its run recorded; that of several follows from all their rows.
    """
    found = [Provenance.from_record(one["provenance"]) for one in records if "provenance" in one]
    demo = any(record.get("demo", False) for record in records)
    if len(found) < len(records):
        return Origin(Provenance((), license_reason=NOT_RECORDED), rows.restricted, demo)
    if len(found) == 1:
        return Origin(found[0], rows.restricted, demo)
    parts = tuple(dict.fromkeys(part for one in found for part in one.parts))
    whole = replace(found[0], parts=parts, allow_restricted=any(one.allow_restricted for one in found))
    declared = {one.license for one in found}
    return Origin(
        with_license(
            whole,
            [license for *_, license in rows.origins],
            declared=declared.pop() if len(declared) == 1 else None,
        ),
        rows.restricted,
        demo,
    )
