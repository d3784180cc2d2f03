"""Which licence a corpus may carry, given the licences of its texts and of the models that wrote into it.

A table with its reasons, not legal advice. What is not in it is asked for, never guessed. A corpus is taken for an
adaptation of its texts: an instruction is written to each, and texts are cut.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from davidgen_hf.errors import ProvenanceError

# What a licence asks of who passes on adapted text. ODC-By covers the collection; the rights in web pages stay theirs.
CLASSES = {
    "public_domain": ("cc0-1.0", "unlicense", "pddl", "public-domain"),
    "notice": ("mit", "apache-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "psf-2.0", "afl-3.0"),
    "attribution": ("cc-by", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "odc-by"),
    "share_alike": ("cc-by-sa-2.0", "cc-by-sa-2.5", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    "non_commercial": ("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    "non_commercial_share_alike": ("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    "no_derivatives": ("cc-by-nd-3.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
    "llama_only": ("llama2", "llama3"),
    "llama_name": ("llama3.1", "llama3.2", "llama3.3"),
}
# Texts that are offered under either of two licences, of which the first is taken.
EITHER = {frozenset({"cc-by-sa-3.0", "gfdl"}): "cc-by-sa-3.0", frozenset({"cc-by-sa-4.0", "gfdl"}): "cc-by-sa-4.0"}
# Licences of models that claim nothing of what the model writes.
SILENT_ON_OUTPUT = ("notice", "public_domain")

# The whole carries the one licence that the deciding parts have in common; where they have several, it is asked for.
SAME = "same"
LATER_VERSION = (
    "adaptations must carry the licence of the original or a later version; 4.0 is what they have in common"
)

# The licence of the whole by the classes of its parts; None for parts that no licence holds together.
COMPOSED: dict[frozenset[str], tuple[str | None, str]] = {
    frozenset({"public_domain"}): ("cc0-1.0", "no part asks for anything"),
    frozenset({"notice"}): (
        "cc-by-4.0",
        "each part may be passed on under other terms if its notice stays, which the licence of each row names",
    ),
    frozenset({"attribution"}): ("cc-by-4.0", "each part asks to be named, and no more"),
    frozenset({"share_alike"}): ("cc-by-sa-4.0", LATER_VERSION),
    frozenset({"non_commercial"}): ("cc-by-nc-4.0", "commercial use is not granted for a part, so not for the whole"),
    frozenset({"non_commercial_share_alike"}): ("cc-by-nc-sa-4.0", LATER_VERSION),
    frozenset({"non_commercial", "non_commercial_share_alike"}): (
        "cc-by-nc-sa-4.0",
        "the share-alike part fixes the licence, and it grants no commercial use either",
    ),
    frozenset({"share_alike", "non_commercial"}): (
        None,
        "share-alike text must not be put under a ban of commercial use, which the other part asks for",
    ),
    frozenset({"share_alike", "non_commercial_share_alike"}): (
        None,
        "both ask that the whole carry their own licence, and the two licences differ",
    ),
    frozenset({"llama_only"}): (SAME, "the licence goes with the output, which is for models that are Llama only"),
    frozenset({"llama_name"}): (
        SAME,
        "the licence goes with the output: the name of a model that is trained on it must begin with Llama",
    ),
    frozenset({"share_alike", "llama_only"}): (
        None,
        "share-alike text must not be put under further limits, and the Llama licence limits what it may be used for",
    ),
    frozenset({"share_alike", "llama_name"}): (
        None,
        "share-alike text must not be put under further limits, and the Llama licence demands a name",
    ),
}
# These ask for less than every other class but each other, and never change the licence of the whole.
YIELDING = ("public_domain", "notice", "attribution")


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
    asked = {licence for one in texts for licence in _licenses(one)}
    of_models = {licence for one in models for licence in _licenses(one)}
    parts = tuple(sorted(asked | of_models))
    asked |= {one for one in of_models if _class(one) not in SILENT_ON_OUTPUT}
    license, reason = _look_up(asked)
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
        f"recipe; the table knows {sorted(one for names in CLASSES.values() for one in names)}."
    )


def may_pass_on(license: str | None) -> bool:
    """Tell whether texts under a licence may be published, changed: not where it is unknown or allows no changes."""
    return all(_class(one) not in ("unknown", "no_derivatives") for one in _licenses(license))


def _licenses(text: str | None) -> set[str]:
    """Return the licences that a column names; all of them hold, unless they are EITHER."""
    named = frozenset(split_licenses(text))
    return {EITHER[named]} if named in EITHER else set(named)


def _look_up(licences: set[str]) -> tuple[str | None, str]:
    """Return licence and reason; no licence where none fits, and no reason either where the table is silent."""
    classes = {_class(one) for one in licences}
    if "no_derivatives" in classes:
        return None, "one of them forbids to pass on adaptations, which a corpus is"
    if len(licences) == 1 and not classes & {"unknown", "llama_only", "llama_name"}:
        return next(iter(licences)), "every part carries it"
    binding = _binding(classes)
    license, reason = COMPOSED.get(binding, (None, ""))
    if license == SAME:
        deciding = [one for one in licences if _class(one) in binding]
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
    return {
        "apache2.0": "apache-2.0",
        "cc0": "cc0-1.0",
        "cc-0": "cc0-1.0",
        "odc-by-1.0": "odc-by",
        "odbl-1.0": "odbl",
    }.get(words, words)


def _class(license: str) -> str:
    return next((name for name, licences in CLASSES.items() if license in licences), "unknown")


def _binding(classes: set[str]) -> frozenset[str]:
    """Return the classes that decide: what yields is left out, unless nothing else is there."""
    strict = classes - set(YIELDING)
    if strict:
        return frozenset(strict)
    return frozenset({max(classes, key=YIELDING.index)}) if classes else frozenset()
