"""From what a recipe names to what is known of it: the verdict on a source or a model, its commit and its licence."""

import os
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

from huggingface_hub import CardData, RepoCard

from davidgen_hf.provenance import Part, compose, judge_dataset, judge_file, judge_model, normalise_license
from davidgen_hf.provenance.judge import WRITER_COLUMNS
from davidgen_hf.provenance.record import Provenance, find_provenance
from davidgen_hf.provenance.verdict import Verdict
from davidgen_hf.sources.embedded import EMBEDDED, MODEL_NAME, MODEL_PACKAGE, SEED_PACKAGE
from davidgen_hf.sources.hub import describe_dataset, model_cards
from davidgen_hf.sources.paths import explain_unreadable, local_path
from davidgen_hf.sources.rows import on_hub, read_rows
from davidgen_hf.sources.source import Source

# Rows of a local file in which a column may say that a closed model wrote it.
ROWS_LOOKED_AT = 1000
_EMBEDDED = {
    "seeds": ("chatterbot-corpus", "english", SEED_PACKAGE.partition("==")[2]),
    "passages": ("pydoc_data.topics", None, ".".join(map(str, sys.version_info[:3]))),
}


def source_part(role: str, source: Source) -> Part:
    """Return what is known of seeds or passages.

    Args:
        role: ``seeds`` or ``passages``, which decides what ``embedded`` stands for.
        source: The source; that of the Hub resolved to its commit.

    Raises:
        InputError: The source cannot be read.
    """
    if source.source == EMBEDDED:
        name, config, revision = _EMBEDDED[role]
        return Part.of(role, judge_dataset(name), config=config, revision=revision)
    if on_hub(source.source):
        card = describe_dataset(source.source, source.revision).card
        verdict = judge_dataset(source.source, config=source.config, card=card)
    else:
        verdict = judge_local(Path(os.path.expanduser(source.source)), source.config, source.split)
    license = source.license or verdict.license
    verdict = replace(verdict, license=normalise_license(license) if license else None)
    return Part.of(role, verdict, config=source.config, revision=source.revision)


def judge_local(path: Path, config: str | None = None, split: str = "train") -> Verdict:
    """Judge a file or folder: by the run that wrote it, if it lies in a run's folder, else by what can be seen of it.

    Raises:
        InputError: It cannot be read.
    """
    run = run_of(path)
    if run is not None:
        return _of_run(path.name, run)
    rows = islice(read_rows(str(path), config=config, split=split, columns=WRITER_COLUMNS), ROWS_LOOKED_AT)
    with explain_unreadable(path):
        return judge_file(path, (row for _, row in rows))


def model_part(role: str, name: str, revision: str | None = None) -> Part:
    """Return what is known of a model; ``revision`` is the commit of one of the Hub."""
    if name == EMBEDDED:
        return Part.of(role, replace(judge_model(EMBEDDED), name=MODEL_NAME), revision=MODEL_PACKAGE)
    path = local_path(name)
    if path is None:
        verdict = judge_model(name)
        if verdict.answer == "unknown":
            cards = model_cards(name, revision)
            verdict = judge_model(name, card=cards.get(name), ancestors=cards)
        return Part.of(role, verdict, revision=revision)
    run = run_of(path)
    if run is not None:
        return Part.of(role, _of_run(path.name, run))
    folder = f"local/{path.resolve().name}"  # the folders above it say nothing of it, and are in no record
    return Part.of(role, _renamed(judge_model(folder, card=_local_card(path)), folder, path.resolve().name))


def run_of(path: Path) -> Provenance | None:
    """Return the provenance of the run, or the training, in whose folder a path lies; None where there is none."""
    for folder in (path, *list(path.resolve().parents)[:2]):
        if found := find_provenance(folder):
            return found
    return None


def _of_run(name: str, run: Provenance) -> Verdict:
    return compose(name, [part.verdict for part in run.parts], license=run.license)


def _renamed(verdict: Verdict, old: str, new: str) -> Verdict:
    parts = tuple(_renamed(part, old, new) for part in verdict.parts)
    name, reason = verdict.name.replace(old, new), verdict.reason.replace(old, new)
    return replace(verdict, name=name, reason=reason, parts=parts)


def _local_card(folder: Path) -> CardData | None:
    path = folder / "README.md"
    return RepoCard.load(path, ignore_metadata_errors=True).data if path.is_file() else None
