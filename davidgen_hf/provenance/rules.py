"""What a recipe says of its sources, and the stop where it says nothing or not enough."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance.verdict import Verdict


@dataclass(frozen=True)
class Declaration:
    """What the user knows of a source that the tables do not.

    Args:
        written_by: ``people``, or ``open_model`` for a model whose weights are published.
        statement: Who wrote it and how that is known, in a sentence; every card shows it.
        license: Licence as the Hub writes it, ``cc-by-4.0``.

    Raises:
        ProvenanceError: The statement is empty.
    """

    written_by: Literal["people", "open_model"]
    statement: str
    license: str | None = None

    def __post_init__(self) -> None:
        if not self.statement.strip():
            raise ProvenanceError("A declaration needs a statement that says who wrote the data and how you know.")


@dataclass(frozen=True)
class ProvenanceRules:
    """provenance.yaml: what a recipe allows and declares, for the whole run. The file may be absent.

    A file of your own is unknown, since nothing in it says who wrote it. By default a run then asks for a
    declaration before its first step. With ``undeclared: record`` it continues, ``run.json`` and the card say that it
    is unknown, and the declaration is required when the corpus is pushed; the recipes for trying things out have that.

    Args:
        allow_restricted: Accept restricted sources; rows, ``run.json`` and cards then say so.
        undeclared: ``stop`` at a source that is unknown and not declared, or ``record`` it and go on.
        declarations: By name of the source, as the error that asks for it has it.
        license: Licence of the whole corpus, where the table of combinations does not hold that of its parts.
    """

    allow_restricted: bool = False
    undeclared: Literal["stop", "record"] = "stop"
    declarations: dict[str, Declaration] = field(default_factory=dict)
    license: str | None = None


def require(verdicts: Iterable[Verdict], rules: ProvenanceRules | None = None) -> list[Verdict]:
    """Return the verdicts with the declarations of a recipe in them, if with these one may train and publish.

    Raises:
        ProvenanceError: A source is restricted and this is not allowed, is unknown and not declared (unless that is
            to be recorded only), or is declared though it is known or not used at all; all of them are named.
    """
    rules = rules or ProvenanceRules()
    verdicts = list(verdicts)
    problems = [
        f"{name}: declared, but it is not one of the sources: {sorted(verdict.name for verdict in verdicts)}."
        for name in rules.declarations.keys() - {verdict.name for verdict in verdicts}
    ]
    declared = []
    for verdict in verdicts:
        declaration = rules.declarations.get(verdict.name)
        declared.append(_recorded(verdict, rules) if declaration is None else _declare(verdict, declaration))
        problems += _problems(declared[-1], declaration, rules)
    problems = sorted(set(problems))
    if problems:
        unknown = dict.fromkeys(one.name for one in declared if one.answer == "unknown")
        request = (
            f"\nTo declare, add to the command, or as YAML to the recipe's provenance.yaml:\n  {unknown_line(unknown)}"
        )
        raise ProvenanceError(
            f"{len(problems)} source(s) stand against training and publishing:\n  "
            + "\n  ".join(problems)
            + (request if unknown and rules.undeclared == "stop" else "")
        )
    return declared


def unknown_line(names: Iterable[str]) -> str:
    """Return the override that declares sources, for the user to fill in, quoted for a shell."""
    answer = '{written_by: people, statement: "WHO WROTE IT AND HOW YOU KNOW", license: LICENCE}'
    return f"'provenance.declarations={{{', '.join(f'{json.dumps(name)}: {answer}' for name in names)}}}'"


def _declare(verdict: Verdict, declaration: Declaration) -> Verdict:
    if verdict.answer != "unknown":
        return verdict
    writer = "people" if declaration.written_by == "people" else "a model with open weights"
    return replace(
        verdict,
        answer="clean",
        reason=f"Declared as written by {writer}: {declaration.statement}",
        license=declaration.license or verdict.license,
        declaration=declaration.statement,
    )


def _recorded(verdict: Verdict, rules: ProvenanceRules) -> Verdict:
    """Return a verdict as it is recorded: what nobody declares and looks like restricted data counts as restricted."""
    if verdict.answer != "unknown" or not verdict.doubtful or rules.undeclared == "stop":
        return verdict
    reason = f"{verdict.reason} Nobody declared who wrote it, so it counts as restricted."
    return replace(verdict, answer="restricted", reason=reason, doubtful=False)


def _problems(verdict: Verdict, declaration: Declaration | None, rules: ProvenanceRules) -> list[str]:
    found = []
    if declaration is not None and verdict.declaration is None:
        found.append(
            f"{verdict.name}: declared, but known to be {verdict.answer}, which a declaration does not change. "
            f"{verdict.reason} Take the declaration out."
        )
    if verdict.answer == "restricted" and not rules.allow_restricted:
        found.append(
            f"{verdict.name}: restricted. {verdict.reason} Name another source, or set "
            "provenance.allow_restricted=true, which marks every row and card that comes of it."
        )
    if verdict.answer == "unknown" and rules.undeclared == "stop":
        found.append(
            f"{verdict.name}: unknown. {verdict.reason} If you know who wrote it, declare it: written_by (people or "
            "open_model), a statement, and the license."
        )
    return found
