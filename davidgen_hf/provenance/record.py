"""``provenance`` in ``run.json``: each thing that a run was made with, what is known of it, and what follows.

``read_provenance(folder)`` gives it back to all who write cards, push, evaluate or train on what a run made.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance.licenses import compose_licenses
from davidgen_hf.provenance.rules import ProvenanceRules, require, unknown_line
from davidgen_hf.provenance.verdict import ANSWERS, Answer, Verdict, compose
from davidgen_hf.storage.validation import describe, read_json

FILE_NAME = "run.json"
# What a part does, in the order of the way. ``generator`` is the model that wrote the instructions: one that the run
# trained itself has the base model and the seeds as its lineage. ``extractor`` is there only if a model extracts, and
# ``data`` are the rows of a training outside a run.
ROLES = ("seeds", "passages", "data", "base_model", "generator", "extractor", "scorer", "follower_base")


@dataclass(frozen=True)
class Part:
    """One thing that a run was made with.

    Args:
        role: One of ``ROLES``.
        verdict: What is known of it. Its name is the id of a dataset or model, the name of a local file without its
            folder, or the name of a package.
        config: Configuration of a dataset.
        revision: Commit, or version of a package; ``None`` for a local file.
    """

    role: str
    verdict: Verdict
    config: str | None = None
    revision: str | None = None

    @property
    def name(self) -> str:
        """The name of the verdict."""
        return self.verdict.name

    @property
    def answer(self) -> Answer:
        """``clean``, ``restricted`` or ``unknown``."""
        return self.verdict.answer

    @property
    def reason(self) -> str:
        """Why, in a sentence a card can show."""
        return self.verdict.reason

    @property
    def license(self) -> str | None:
        """Licence as the Hub writes it; ``None`` where it varies by row or is not known."""
        return self.verdict.license

    @property
    def id(self) -> str:
        """Name, configuration and commit in one, ``wikimedia/wikipedia:20231101.en@b04c8d1``; rows name parts so."""
        return self.name + (f":{self.config}" if self.config else "") + (f"@{self.revision}" if self.revision else "")

    def record(self) -> dict[str, Any]:
        """Return the part as plain values, its ``id`` among them, in one level with its verdict."""
        verdict = self.verdict.record()
        place = {"id": self.id, "role": self.role, "config": self.config, "revision": self.revision}
        return place | {"lineage": verdict.pop("parts")} | verdict

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Return what ``record`` wrote; see ``Provenance.from_record``."""
        given = {name: value for name, value in record.items() if name not in ("id", "lineage")}
        place = {name: given.pop(name) for name in ("role", "config", "revision")}
        return cls(verdict=Verdict(**given, parts=_verdicts(record["lineage"])), **place)


@dataclass(frozen=True)
class Provenance:
    """Where a run's data and models come from.

    Args:
        parts: In the order of ``ROLES``.
        allow_restricted: Whether the recipe allows restricted parts; rows, ``run.json`` and cards then say so.
        license: Licence that the corpus may carry; ``None`` as long as it is not known.
        license_reason: Why that one, or why none is known.
    """

    parts: tuple[Part, ...]
    allow_restricted: bool = False
    license: str | None = None
    license_reason: str = "The corpus is not finished, and its licence follows from those of its rows."

    @property
    def answer(self) -> Answer:
        """The worst answer on a part; ``unknown`` where there are none."""
        return max((part.answer for part in self.parts), key=ANSWERS.index, default="unknown")

    @property
    def restricted(self) -> bool:
        """Whether a closed model wrote a part, or a term forbids to train on it."""
        return self.answer == "restricted"

    @property
    def restrictions(self) -> list[str]:
        """Why parts are restricted, each reason once."""
        return list(dict.fromkeys(part.reason for part in self.parts if part.answer == "restricted"))

    @property
    def undeclared(self) -> list[Part]:
        """The parts that are unknown, and that nobody has declared."""
        return [part for part in self.parts if part.answer == "unknown"]

    def of_role(self, role: str) -> list[Part]:
        """Return the parts that have a role; only ``seeds`` and ``passages`` may be more than one."""
        return [part for part in self.parts if part.role == role]

    def record(self) -> dict[str, Any]:
        """Return all of it as plain values, the worst answer among them, for ``run.json``."""
        return {"answer": self.answer} | asdict(self) | {"parts": [part.record() for part in self.parts]}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Return what ``record`` wrote.

        Raises:
            ProvenanceError: It is something else.
        """
        try:
            given = {name: value for name, value in record.items() if name not in ("answer", "parts")}
            read = cls(tuple(map(Part.from_record, record["parts"])), **given)
            return TypeAdapter(cls).validate_python(asdict(read))
        except (LookupError, TypeError, AttributeError, ValidationError) as error:
            found = describe(error) if isinstance(error, ValidationError) else repr(error)
            raise ProvenanceError(
                f"The record of where the data and models come from is damaged: {found}. It is expected as `davidgen "
                "run` writes it. Put back a copy of run.json, or give the command that made the folder once more."
            ) from error


def _verdicts(records: Iterable[dict[str, Any]]) -> tuple[Verdict, ...]:
    return tuple(Verdict(**record | {"parts": _verdicts(record["parts"])}) for record in records)


def read_provenance(folder: str | Path) -> Provenance:
    """Return what ``run.json`` says of where a run, or a model that was trained by itself, comes from.

    Raises:
        ProvenanceError: There is no ``run.json``, it is damaged, or it says nothing of provenance.
    """
    path = Path(folder) / FILE_NAME
    advice = (
        "It does not say where the data and models come from. Give the command that made the folder once more: what "
        "is finished stays, and the record is completed."
    )
    content = read_json(path, dict[str, Any], advice, error=ProvenanceError)
    if "provenance" not in content:
        raise ProvenanceError(f"{path} has no provenance. {advice}")
    return Provenance.from_record(content["provenance"])


def find_provenance(folder: str | Path) -> Provenance | None:
    """Return what ``read_provenance`` does, or None without such a record.

    Raises:
        ProvenanceError: There is one, and it is damaged.
    """
    try:
        content = read_json(Path(folder) / FILE_NAME, dict[str, Any], "", error=ProvenanceError)
    except ProvenanceError:  # whoever needs the rest of the file says so
        return None
    return Provenance.from_record(content["provenance"]) if "provenance" in content else None


def with_license(provenance: Provenance, texts: Iterable[str | None], *, declared: str | None = None) -> Provenance:
    """Return the provenance with the licence that the corpus may carry, or why none is known.

    Args:
        provenance: Of the run; the licence of its generator counts too, for that writes into the corpus.
        texts: Licences of the rows.
        declared: Licence that the recipe names for combinations that the table does not hold.
    """
    try:
        found = compose_licenses(texts, [part.license for part in provenance.of_role("generator")], declared=declared)
    except ProvenanceError as error:
        return replace(provenance, license=None, license_reason=str(error))
    return replace(provenance, license=found.license, license_reason=found.reason)


def require_parts(parts: Iterable[Part], rules: ProvenanceRules, *, trains_generator: bool) -> Provenance:
    """Apply what a recipe declares and allows to the parts of its run.

    Args:
        parts: In the order of ``ROLES``.
        rules: Of the recipe.
        trains_generator: Whether the run's own generator writes the instructions; its lineage are the base model and
            the seeds. A run without a corpus trains one as well.

    Returns:
        The parts with what is declared of them, and the generator after its base model.

    Raises:
        ProvenanceError: A part is restricted and the recipe does not allow that, or unknown and not declared.
    """
    parts = list(parts)
    verdicts = require([part.verdict for part in parts], rules)
    ruled = [replace(part, verdict=verdict) for part, verdict in zip(parts, verdicts, strict=True)]
    roles = {part.role for part in ruled}
    if "base_model" in roles and (trains_generator or "generator" not in roles):
        *seeds, base = [part for part in ruled if part.role in ("seeds", "base_model")]
        name = f"{base.id} tuned on {', '.join(part.id for part in seeds)}"
        verdict = compose(name, [base.verdict, *(part.verdict for part in seeds)], license=base.license)
        ruled.insert(ruled.index(base) + 1, Part("generator", verdict))
    return Provenance(tuple(ruled), rules.allow_restricted)


def require_publishable(provenance: Provenance) -> None:
    """Stop what must not be published yet.

    Raises:
        ProvenanceError: A part is restricted and the recipe does not allow that, a part is unknown and nobody has
            declared it, or no licence is known; all reasons are named, and what to do.
    """
    problems = [
        f"{part.id} ({part.role}) is restricted, and the recipe does not allow that. {part.reason}"
        for part in provenance.parts
        if part.answer == "restricted" and not provenance.allow_restricted
    ]
    if undeclared := provenance.undeclared:
        # What the run made itself is known as soon as that is, of which it was made.
        undeclared = [part for part in undeclared if not part.verdict.parts] or undeclared
        names = ", ".join(f"{part.name} ({part.role})" for part in undeclared)
        problems.append(
            f"It is not known who wrote or made {names}. If you know, give the command of the run once more with\n    "
            + unknown_line([part.name for part in undeclared])
        )
    if provenance.license is None:
        problems.append(
            f"{provenance.license_reason} To name one, give the command of the run once more with\n    "
            "provenance.license=LICENCE"
        )
    if problems:
        raise ProvenanceError("This cannot be published yet:\n  " + "\n  ".join(problems))
