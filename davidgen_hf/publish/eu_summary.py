"""The Commission's summary of training content (AI Act, Article 53(1)(d)), as far as a run knows it."""

import math
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from markupsafe import Markup

from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.provenance import Part, Provenance
from davidgen_hf.publish.cards.facts import model_name, settings_of
from davidgen_hf.publish.cards.model import read_training
from davidgen_hf.publish.cards.rows import RowFacts, count_rows
from davidgen_hf.publish.cards.text import plain, render
from davidgen_hf.sources.rows import on_hub
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.record import read_record

FILE_NAME = "eu_summary.md"
MARK = "**To fill in:**"
# The ranges of the template, and a mark that no fact holds for the number of fields, which is known at the end.
RANGES = ((10**9, "less than 1 billion"), (10**13, "1 billion to 10 trillion"), (math.inf, "more than 10 trillion"))
_COUNT = "\ue000"
_ADVICE = "It must be a file in a folder that can be written to. Name another file with --output."
_USES = {"seeds": "instructions that the generator learns from", "passages": "outputs of the pairs"}


def write_eu_summary(run: Path, output: Path) -> int:
    """Write the summary of a run's follower, or of its generator if there is no follower, as Markdown.

    Data sources, sizes, languages, models and processing come from ``run.json`` and the shards. What only the provider
    knows is marked in the text.

    Args:
        run: A run's folder, with a finished corpus and at least one trained model.
        output: The file to write; an earlier one is replaced.

    Returns:
        How many fields are left for a person.

    Raises:
        RunFolderError: It is not a run folder, has no corpus or no trained model, or a file of it is damaged.
        InputError: The file cannot be written.

    Source: Communication C(2025) 8311, https://digital-strategy.ec.europa.eu/en/library
    """
    record = read_record(run)
    role = next((one for one in ("follower", "generator") if one in record["steps"]), None)
    if role is None or "corpus" not in record["steps"]:
        raise RunFolderError(
            f"{run} has no trained model or no finished corpus. The summary describes what a model was trained on. "
            "Finish the run with `davidgen run`."
        )
    training, rows = read_training(run / role), count_rows([run], reviewed=True)
    parts = Provenance.from_record(record["provenance"]).parts if "provenance" in record else ()
    public: list[dict[str, Any]] = []
    private: list[dict[str, Any]] = []
    for part in parts:
        if part.role in _USES:
            is_local = part.revision is None and not on_hub(part.name)
            (private if is_local else public).append(_source(part, record, rows))
    recipe = record["recipe"]
    facts = {
        "title": f"{record['name']}-{role}",
        "run": run.resolve().name,
        "version": version("davidgen-hf"),
        "repo": _repository(record, role),
        "base": model_name(recipe[role]["model_name_or_path"]),
        "base_revision": training["base_revision"],
        "pairs": rows.pairs if role == "follower" else training["rows"]["used"],
        "tokens": (tokens := training["rows"]["tokens"]),
        "range": next(name for most, name in RANGES if tokens < most),
        "languages": sorted(rows.languages),
        "public": public,
        "private": private,
        "synthetic": list(_synthetic(parts, rows)),
        "licenses": _allowed(recipe["corpus"]),
        "restricted": list(dict.fromkeys(part.reason for part in parts if part.answer == "restricted")),
        "steps": settings_of(record),
    }
    marks: list[Markup] = []

    def fill(what: str) -> Markup:
        marks.append(Markup(f"{MARK} {plain(what)}"))
        return marks[-1]

    text = render("eu_summary", facts | {"fill": fill, "open": _COUNT})
    write_whole(output, text.replace(_COUNT, str(len(marks)), 1), error=InputError, advice=_ADVICE)
    return len(marks)


def _source(part: Part, record: dict[str, Any], rows: RowFacts) -> dict[str, Any]:
    """Return what the tables say of a source."""
    if part.role == "passages":
        wanted = (part.name, part.config or "", part.revision or "")
        count = sum(number for (*place, _), number in rows.origins.items() if tuple(place) == wanted)
    else:
        count = record["steps"].get("seeds", {}).get("counts", {}).get("read", 0)
    return {
        "name": part.name + (f", {part.config}" if part.config else ""),
        "use": _USES[part.role],
        "address": f"https://huggingface.co/datasets/{part.name}" if on_hub(part.name) else part.verdict.source,
        "version": part.revision,
        "license": part.license,
        "rows": count,
        "declaration": part.verdict.declaration,
    }


def _synthetic(parts: Sequence[Part], rows: RowFacts) -> Iterator[tuple[str, str]]:
    """Yield what models wrote of the training data, and which."""
    whats = {"generator": "instructions of the pairs", "extractor": "which words of a passage are an output"}
    for part in parts:
        if part.role in whats:
            yield whats[part.role], part.id
    for model in rows.written_by:
        yield "outputs of the pairs", model


def _allowed(corpus: dict[str, Any]) -> list[str]:
    """Return the licenses that the sources of passages require of their rows."""
    passages = corpus.get("passages") or []
    given = passages if isinstance(passages, list) else [passages]
    return list(dict.fromkeys(name for one in given for name in one.get("allowed_licenses") or ()))


def _repository(record: dict[str, Any], role: str) -> str | None:
    """Return the repository to which the model was pushed."""
    published = record.get("published") or []
    return next((one["repo"] for one in published if one["part"] == role), None)
