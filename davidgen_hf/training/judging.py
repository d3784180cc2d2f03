"""Judge where the model and the rows of a training come from, before it begins, and record the verdict after it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from datasets import Dataset, DatasetDict
from transformers.utils import logging

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance import Part, Provenance, ProvenanceRules, judge_file, require
from davidgen_hf.provenance.evidence import EVIDENCE_COLUMNS, rows_reason
from davidgen_hf.sources.origins import card_of, judge_local, model_part, run_of, source_part
from davidgen_hf.sources.paths import local_path
from davidgen_hf.sources.rows import form_of
from davidgen_hf.sources.source import Source
from davidgen_hf.training.card import mark_card
from davidgen_hf.training.summary import FILE_NAME, write_record

logger = logging.get_logger(__name__)

ALLOW = "For a training, that is the option --allow_restricted."


def judge_training(
    values: Mapping[str, Any], *, allow_restricted: bool = False, marks: Mapping[str, str] | None = None
) -> Provenance:
    """Judge the model and the rows that a training recipe names.

    Rows and models in a run folder are judged as that run was, and what its recipe allows is allowed here. Files of
    one's own are unknown; that is recorded, and reported in a warning, since a TRL file has no place to declare them.

    Args:
        values: The recipe, with TRL's names.
        allow_restricted: Train on restricted rows or models; ``run.json`` and the card then say so.
        marks: What loaded rows say of a closed model, as ``marks_of`` returns it, by the name of the source.

    Raises:
        InputError: The rows cannot be read, or the Hub cannot be reached.
        ModelError: The model's card or the adapter's configuration is damaged.
        ProvenanceError: The model or the rows are restricted, and this is not allowed.
    """
    named = [*data_sources(values)]
    model = values.get("model_name_or_path")
    parts = [_marked(_data_part(path, config), (marks or {}).get(path)) for path, config in named]
    if model:
        parts.append(model_part("base_model", model, values.get("model_revision")))
    return require_allowed(parts, [*(path for path, _ in named), *([model] if model else [])], allow_restricted, ALLOW)


def require_allowed(parts: list[Part], sources: list[str], allow_restricted: bool, how: str) -> Provenance:
    """Return the provenance of what is derived from ``parts``, if they may be used.

    Args:
        parts: What it is derived from.
        sources: Paths and ids of the parts; what the recipe of a run allows is allowed for the files in its folder.
        allow_restricted: Whether the user allows restricted parts.
        how: How the user can, as a sentence.

    Raises:
        ProvenanceError: A part is restricted, and this is not allowed.
    """
    places = [path for source in sources if (path := local_path(source))]
    allowed = allow_restricted or any(run.allow_restricted for place in places if (run := run_of(place)))
    rules = ProvenanceRules(allow_restricted=allowed, undeclared="record")
    try:
        verdicts = require([part.verdict for part in parts], rules)
    except ProvenanceError as error:
        raise ProvenanceError(f"{error}\n{how}") from None
    ruled = [replace(part, verdict=verdict) for part, verdict in zip(parts, verdicts, strict=True)]
    provenance = Provenance(tuple(ruled), allowed)
    if provenance.undeclared:
        logger.warning(
            f"The origin of these is not known: {', '.join(part.name for part in provenance.undeclared)}. The "
            f"model's {FILE_NAME} says so."
        )
    return provenance


def record_training(folder: Path, provenance: Provenance) -> None:
    """Add the provenance to the ``run.json`` of a finished training, and mark its card if a part is restricted."""
    record = json.loads((folder / FILE_NAME).read_text("utf-8"))
    write_record(folder, record | {"provenance": provenance.record()})
    mark_card(folder, provenance)


def marks_of(loaded: Mapping[str, Dataset | DatasetDict]) -> dict[str, str]:
    """Return what rows say of a closed model that wrote them, by the name of their source.

    Args:
        loaded: The rows of each source with all of its columns.
    """
    found = {}
    for name, rows in loaded.items():
        for split in rows.values() if isinstance(rows, DatasetDict) else [rows]:
            columns = [column for column in EVIDENCE_COLUMNS if column in split.column_names]
            batches = split.select_columns(columns).iter(1000) if columns else ()
            reason = rows_reason(
                dict(zip(batch, values, strict=True))
                for batch in batches
                for values in zip(*batch.values(), strict=True)
            )
            if reason:
                found[name] = f"In {name}, {reason}."
    return found


def data_sources(values: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield path or id, and configuration, of each set of rows that a recipe names."""
    for one in values.get("datasets") or []:
        files = one.get("data_files")
        listed = [one for group in files.values() for one in _listed(group)] if isinstance(files, dict) else files
        for path in _listed(listed) or [one.get("data_dir") or one["path"]]:
            for found in sorted(glob(path)) or [path]:
                yield found, one.get("name")
    if not values.get("datasets") and values.get("dataset_name"):
        yield values["dataset_name"], values.get("dataset_config")


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _data_part(name: str, config: str | None) -> Part:
    path = local_path(name)
    if path is None:
        return source_part("data", Source(_hub_id(name), config=config).resolved())
    if path.is_dir() or form_of(path) is not None:
        return Part("data", judge_local(path))
    return Part("data", judge_file(path, card=card_of(path)))  # its rows are judged once they are loaded


def _hub_id(name: str) -> str:
    """Return the id of the dataset that an address of the Hub leads to, ``hf://datasets/org/name@commit/file``."""
    address = urlsplit(name)
    if address.scheme == "hf" or address.hostname in ("huggingface.co", "hf.co"):
        parts = f"{address.hostname if address.scheme == 'hf' else ''}{address.path}".strip("/").split("/")
        if parts[0] == "datasets" and len(parts) > 2:
            return f"{parts[1]}/{parts[2].partition('@')[0]}"
    return name


def _marked(part: Part, reason: str | None) -> Part:
    if reason is None or part.answer == "restricted":
        return part
    return replace(part, verdict=replace(part.verdict, answer="restricted", reason=reason, doubtful=False))
