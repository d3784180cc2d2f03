"""Which licence a corpus may carry, given the licences of its texts and of the models that wrote into it.

The rules are in ``licenses.yaml``: a table with its reasons, not legal advice. What is not in it must be declared, and
is never guessed. A corpus counts as an adaptation of its texts: each gets an instruction, and texts are cut.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance.tables import licenses

# In the table: the whole carries the one licence that the deciding parts have in common.
SAME = "same"


@dataclass(frozen=True)
class CorpusLicense:
    """The licence that a corpus may carry, why, and the licences that led to it."""

    license: str
    reason: str
    parts: tuple[str, ...]
    declared: bool = False


def compose_licenses(
    texts: Iterable[str | None], models: Iterable[str | None] = (), *, declared: str | None = None
) -> CorpusLicense:
    """Return the licence that a corpus may carry.

    Args:
        texts: Licences of its texts, of each row or of each source; several in one are joined by commas or slashes.
        models: Licences of the models that wrote instructions into it; one that only scored does not count.
        declared: Licence that the recipe names, for combinations that are not in the table.

    Raises:
        ProvenanceError: No licence fits, or the table does not hold the combination and none is declared.
    """
    binding = {licence for one in texts for licence in _licenses(one)}
    of_models = {licence for one in models for licence in _licenses(one)}
    parts = tuple(sorted(binding | of_models))
    binding |= {one for one in of_models if class_of(one) not in licenses().silent_on_output}
    license, reason = _look_up(binding)
    if license:
        return CorpusLicense(license, reason, parts)
    if reason:
        raise ProvenanceError(
            f"No licence fits a corpus of {list(parts)}: {reason}. Make a corpus of each, or leave one out."
        )
    if declared:
        return CorpusLicense(declared, "declared in the recipe", parts, declared=True)
    raise ProvenanceError(
        f"It is not known which licence a corpus of {list(parts)} may carry. Read them, and name the licence in the "
        f"recipe; the table knows {sorted(one for group in licenses().classes.values() for one in group.licenses)}."
    )


def may_pass_on(license: str | None) -> bool:
    """Tell whether texts under a licence may be published, changed: not where it is unknown or allows no changes."""
    return all(class_of(one) not in ("unknown", "no_derivatives") for one in _licenses(license))


def _licenses(text: str | None) -> set[str]:
    """Return the licences that a column names; all of them hold, unless they are EITHER."""
    named = set(split_licenses(text))
    return next(({choice.take} for choice in licenses().either if set(choice.of) == named), named)


def _look_up(licences: set[str]) -> tuple[str | None, str]:
    """Return licence and reason; no licence where none fits, and no reason either where the table is silent."""
    classes = {class_of(one) for one in licences}
    if "no_derivatives" in classes:
        return None, "one of them forbids to pass on adaptations, which a corpus is"
    if len(licences) == 1 and not classes & {"unknown", "llama_only", "llama_name"}:
        return next(iter(licences)), "every part carries it"
    binding = _binding(classes)
    row = next((row for row in licenses().composed if frozenset(row.of) == binding), None)
    license, reason = (row.license, row.reason) if row else (None, "")
    if license == SAME:
        deciding = [one for one in licences if class_of(one) in binding]
        return (deciding[0], reason) if len(deciding) == 1 else (None, "")
    return license, reason


def split_licenses(text: str | None) -> list[str]:
    """Return the licences that a column or card names, joined by commas or slashes, as the Hub writes each."""
    return [normalise_license(one) for one in re.split("[,/]", text or "unknown")]


def normalise_license(name: str | None) -> str:
    """Return a licence as the Hub writes it: ``CC BY-SA 4.0`` is ``cc-by-sa-4.0``; ``unknown`` where none is given.

    A Creative Commons licence without a version, as some tasks of SuperNI have it, is left without one.
    """
    words = re.sub(r"[\s_-]+", "-", (name or "unknown").strip().lower())
    words = re.sub(r"^(the-)?|-(license|licence|international|unported)(?=-|$)", "", words)
    return licenses().spellings.get(words, words)


def class_of(license: str) -> str:
    """Return the class of a licence in ``licenses.yaml``; ``unknown`` if it is in none."""
    return next((name for name, group in licenses().classes.items() if license in group.licenses), "unknown")


def _binding(classes: set[str]) -> frozenset[str]:
    """Return the classes that decide: what yields is left out, unless nothing else is there."""
    yielding = licenses().yielding
    strict = classes - set(yielding)
    if strict:
        return frozenset(strict)
    return frozenset({max(classes, key=yielding.index)}) if classes else frozenset()
