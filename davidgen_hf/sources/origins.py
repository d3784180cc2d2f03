"""Verdicts on the sources and models that a recipe names, with their commits and licenses."""

import contextlib
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from huggingface_hub import CardData

from davidgen_hf.errors import InputError
from davidgen_hf.provenance import Part, compose, judge_dataset, judge_file, judge_model, normalise_license
from davidgen_hf.provenance.evidence import EVIDENCE_COLUMNS, rows_reason
from davidgen_hf.provenance.judge import judge_model_copy
from davidgen_hf.provenance.record import Provenance, find_provenance
from davidgen_hf.provenance.verdict import Verdict
from davidgen_hf.sources.embedded import CODE_NAME, EMBEDDED, MODEL_NAME, MODEL_PACKAGE, SEED_PACKAGE
from davidgen_hf.sources.hub import adapter_base, describe_dataset, model_cards
from davidgen_hf.sources.models import ADAPTER_FILE, read_adapter, read_card
from davidgen_hf.sources.passages import PassageSource
from davidgen_hf.sources.paths import explain_unreadable, local_path, name_of
from davidgen_hf.sources.rows import PlacedRow, on_hub, package_of, read_rows
from davidgen_hf.sources.source import Source

_EMBEDDED = {
    "seeds": ("chatterbot-corpus", "english", SEED_PACKAGE.partition("==")[2]),
    "passages": ("pydoc_data.topics", None, ".".join(map(str, sys.version_info[:3]))),
}


def source_part(role: str, source: Source) -> Part:
    """Return what is known about seeds or passages.

    Args:
        role: ``seeds`` or ``passages``, which decides what ``embedded`` refers to.
        source: The source; if it is on the Hub, resolved to its commit.

    Raises:
        InputError: The source cannot be read.
    """
    if source.source == EMBEDDED:
        name, config, revision = _EMBEDDED[role]
        if isinstance(source, PassageSource) and source.kind == "code":
            name = CODE_NAME
        return Part(role, judge_dataset(name), config=config, revision=revision)
    if on_hub(source.source):
        card = describe_dataset(source.source, source.revision).card
        verdict = judge_dataset(source.source, config=source.config, card=card)
    elif package := package_of(source.source):
        verdict = _of_plugin(source, package)
    else:
        path = Path(os.path.expanduser(source.source))
        path = path if path.name not in ("", "..") else path.resolve()
        verdict = replace(judge_local(path, source.read(EVIDENCE_COLUMNS)), name=name_of(source.source))
    license = source.license or verdict.license
    verdict = replace(verdict, license=normalise_license(license) if license else None)
    return Part(role, verdict, config=source.config or None, revision=source.revision or None)


def _of_plugin(source: Source, package: str) -> Verdict:
    """Judge a plugin's source by its name and by what its rows say; a name alone makes nothing clean."""
    verdict = judge_dataset(source.source, config=source.config)
    if verdict.answer == "restricted":
        return verdict
    rows = read_rows(source.source, config=source.config, split=source.split, columns=EVIDENCE_COLUMNS)
    if reason := rows_reason(row for _, row in rows):
        return Verdict(source.source, "restricted", f"In {source.source}, {reason}.", verdict.license)
    reason = f"{package} reads {source.source}, and does not say who wrote it."
    return Verdict(source.source, "unknown", reason, doubtful=verdict.doubtful)


def judge_local(path: Path, rows: Iterable[PlacedRow] | None = None) -> Verdict:
    """Judge a file or folder by the run that wrote it, or else by its name, its content, its card and all its rows.

    Args:
        path: The file or folder.
        rows: Its rows, if they are not to be read as ``read_rows`` does.

    Raises:
        InputError: It cannot be read.
    """
    run = run_of(path)
    if run is not None:
        return _of_run(path.name, run)
    rows = read_rows(str(path), columns=EVIDENCE_COLUMNS) if rows is None else rows
    with explain_unreadable(path):
        return judge_file(path, (row for _, row in rows), card=card_of(path))


def card_of(path: Path) -> CardData | None:
    """Return the metadata of the card of the dataset that a file or folder belongs to; None if there is none.

    A file may be some folders below the card, as ``data/unsupervised/train.parquet`` is.

    Raises:
        InputError: The folder that was named has a card that cannot be read.
    """
    if path.is_dir():
        return read_card(path, InputError)
    for folder in list(path.resolve().parents)[:3]:
        with contextlib.suppress(InputError):  # a text of that name in a folder that nobody named
            if card := read_card(folder, InputError):
                return card
    return None


def model_part(role: str, name: str, revision: str | None = None) -> Part:
    """Return what is known about a model or adapter; ``revision`` is the commit of one on the Hub.

    Raises:
        ModelError: The card or the adapter's configuration is damaged.
    """
    if name == EMBEDDED:
        return Part(role, replace(judge_model(EMBEDDED), name=MODEL_NAME), revision=MODEL_PACKAGE)
    verdict = _model(name, revision, ())
    return Part(role, verdict, revision=None if local_path(name) else revision or None)


def _model(name: str, revision: str | None, adapters: tuple[str, ...]) -> Verdict:
    """Judge a model or adapter; ``adapters`` lead to it, each naming the next as its base."""
    if name in adapters:
        return Verdict(name, "unknown", f"{name} is an adapter that names itself as its base model.")
    path = local_path(name)
    if path is not None:
        run = run_of(path)
        return _of_run(path.name, run) if run else _local_model(path, (*adapters, name))
    verdict = judge_model(name)
    if verdict.answer != "unknown":
        return verdict
    cards = model_cards(name, revision)
    verdict = judge_model(name, card=cards.get(name), ancestors=cards)
    base = adapter_base(name, revision)
    return _with_base(verdict, _model(base, None, (*adapters, name))) if base else verdict


def _local_model(path: Path, adapters: tuple[str, ...]) -> Verdict:
    """Judge a folder by its name, its card, and the base that an adapter in it names."""
    name = path.resolve().name
    folder = f"local/{name}"  # the folders above it say nothing about it, and no record may contain them
    if copied := judge_model_copy(name):
        return copied
    verdict = _renamed(judge_model(folder, card=read_card(path)), folder, name)
    adapter = read_adapter(path)
    if adapter is None:
        return verdict
    return _with_base(verdict, _model(adapter.base_model_name_or_path, adapter.revision, adapters))


def _with_base(adapter: Verdict, base: Verdict) -> Verdict:
    """Return the verdict on an adapter, which is at best what its base model is, and under that one's license too."""
    licenses = dict.fromkeys(one for one in (base.license, adapter.license) if one)
    base = replace(base, reason=f"{ADAPTER_FILE} names {base.name}, which is {base.answer}: {base.reason}")
    return compose(adapter.name, [base, adapter], license=", ".join(licenses) or None)


def run_of(path: Path) -> Provenance | None:
    """Return the provenance of the run or training whose folder contains a path; None if there is none."""
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
