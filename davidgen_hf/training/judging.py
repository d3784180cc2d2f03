"""Where the model and the rows of a training come from, judged before it begins."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers.utils import logging

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance import Part, Provenance, ProvenanceRules, judge_file, require
from davidgen_hf.sources.origins import judge_local, model_part, run_of, source_part
from davidgen_hf.sources.rows import SUFFIXES
from davidgen_hf.sources.source import Source
from davidgen_hf.training.summary import FILE_NAME, write_record

logger = logging.get_logger(__name__)


def judge_training(values: dict[str, Any], *, allow_restricted: bool = False) -> Provenance:
    """Judge the model and the rows that a training recipe names.

    Rows and models of a run folder are what that run was made with, and what its recipe allows is allowed here. Files
    of one's own are unknown; that is recorded, and said in a warning, since a TRL file has no place to declare them.

    Args:
        values: The recipe, with TRL's names.
        allow_restricted: Go on with what is restricted; ``run.json`` then says so.

    Raises:
        InputError: The rows cannot be read, or the Hub cannot be reached.
        ProvenanceError: The model or the rows are restricted, and this is not allowed.
    """
    named = [*_named(values)]
    model = values.get("model_name_or_path")
    parts = [_data_part(path, config) for path, config in named]
    if model:
        parts.append(model_part("base_model", model, values.get("model_revision")))
    places = [Path(one) for one in [*(path for path, _ in named), *([model] if model else [])]]
    inherited = any(run.allow_restricted for place in places if place.exists() and (run := run_of(place)))
    allowed = allow_restricted or inherited
    try:
        require([part.verdict for part in parts], ProvenanceRules(allow_restricted=allowed, undeclared="record"))
    except ProvenanceError as error:
        raise ProvenanceError(f"{error}\nFor a training, that is the option --allow_restricted.") from None
    provenance = Provenance(tuple(parts), allowed)
    if provenance.undeclared:
        logger.warning(
            f"It is not known where these come from: {', '.join(part.name for part in provenance.undeclared)}. The "
            f"model's {FILE_NAME} says so."
        )
    return provenance


def tell_training(folder: Path, provenance: Provenance) -> None:
    """Add the provenance to the ``run.json`` of a finished training."""
    record = json.loads((folder / FILE_NAME).read_text("utf-8"))
    write_record(folder, record | {"provenance": provenance.record()})


def _named(values: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield path or id, and configuration, of each set of rows."""
    for one in values.get("datasets") or []:
        files = one.get("data_files")
        for path in [files] if isinstance(files, str) else files or [one["path"]]:
            yield path, one.get("name")
    if not values.get("datasets") and values.get("dataset_name"):
        yield values["dataset_name"], values.get("dataset_config")


def _data_part(name: str, config: str | None) -> Part:
    path = Path(name)
    if not path.exists():
        return source_part("data", Source(name, config=config).resolved())
    readable = path.is_dir() or path.suffix in SUFFIXES
    return Part.of("data", judge_local(path) if readable else judge_file(path))
