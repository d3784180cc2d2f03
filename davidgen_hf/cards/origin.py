"""Where the parts of a corpus come from, and which licence the whole may carry, as its card says it."""

from collections.abc import Sequence
from dataclasses import dataclass

from davidgen_hf.cards.rows import RowFacts
from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance import Verdict, compose_licences, judge_model, judge_source
from davidgen_hf.provenance.verdict import ANSWERS
from davidgen_hf.recipe import parse_recipe


@dataclass(frozen=True)
class Part:
    """One thing that a run was made with: its role, where it is from, and what is known of it."""

    role: str
    name: str
    revision: str | None
    license: str | None
    answer: str
    reason: str


@dataclass(frozen=True)
class Origin:
    """What is known of the origin of a corpus.

    Args:
        parts: What it was made with.
        license: Licence that it may carry; ``None`` where none is known.
        reason: Why that one, or why none.
        demo: Whether it was made for trying things out.
    """

    parts: Sequence[Part]
    license: str | None
    reason: str
    demo: bool

    @property
    def answer(self) -> str:
        """The worst verdict on a part."""
        return max((part.answer for part in self.parts), key=ANSWERS.index, default="unknown")

    @property
    def restricted(self) -> bool:
        """Whether a part of it stands under terms that may forbid to train on it."""
        return self.answer == "restricted"

    @property
    def marks(self) -> list[str]:
        """Tags that tell of it."""
        return [name for name, true in (("demo", self.demo), ("restricted", self.restricted)) if true]


def origin_of(records: Sequence[dict], rows: RowFacts) -> Origin:
    """Return where the corpora of runs come from, all together."""
    parts = list(dict.fromkeys(part for record in records for part in _parts(record)))
    writers = [part.license for part in parts if part.role == "generator"]
    demo = any(record["demo"] for record in records)
    try:
        whole = compose_licences([license for *_, license in rows.origins], writers)
    except ProvenanceError as error:
        return Origin(parts, None, f"{str(error).partition('. ')[0]}.", demo)
    return Origin(parts, whole.license, whole.reason, demo)


def _parts(record: dict) -> list[Part]:
    recipe = parse_recipe(record["name"], record["recipe"])
    verdicts = (
        ("seeds", judge_source(recipe.seeds.source.source, config=recipe.seeds.source.config)),
        ("passages", judge_source(recipe.corpus.passages.source, config=recipe.corpus.passages.config)),
        ("generator", judge_model(recipe.base_model)),
    )
    return [_part(role, verdict) for role, verdict in verdicts]


def _part(role: str, verdict: Verdict) -> Part:
    return Part(role, verdict.name, None, verdict.license, verdict.answer, verdict.reason)
