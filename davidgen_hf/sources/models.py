"""What a model's folder says about itself, read without loading the model: its card, and the base of an adapter."""

from pathlib import Path
from typing import Annotated

import yaml
from huggingface_hub import CardData, RepoCard
from pydantic import BaseModel, Field

from davidgen_hf.errors import DavidgenError, ModelError
from davidgen_hf.storage.validation import read_json

ADAPTER_FILE = "adapter_config.json"
CARD_FILE = "README.md"


class AdapterFile(BaseModel):
    """The part of ``adapter_config.json`` that names the model which the adapter belongs to.

    Args:
        base_model_name_or_path: Hub id or folder of the base model.
        revision: Commit, branch or tag of the base model; ``None`` for its main branch.
    """

    base_model_name_or_path: Annotated[str, Field(min_length=1)]
    revision: str | None = None


def read_adapter(folder: Path) -> AdapterFile | None:
    """Return what a folder's ``adapter_config.json`` names as base model; None without such a file.

    Raises:
        ModelError: The file is not JSON, or names no base model.
    """
    if not (folder / ADAPTER_FILE).exists():
        return None
    advice = (
        "An adapter's configuration is a JSON object with base_model_name_or_path. Copy or download the adapter "
        "again, or remove the file if the folder holds a whole model."
    )
    return read_json(folder / ADAPTER_FILE, AdapterFile, advice, error=ModelError)


def read_card(folder: Path, error: type[DavidgenError] = ModelError) -> CardData | None:
    """Return the metadata of a folder's ``README.md``; None without such a file.

    Raises:
        DavidgenError: Of the class ``error``: the card is not UTF-8, or its metadata is not a YAML mapping.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        return None
    try:
        text = path.read_text("utf-8")
        return RepoCard(text, ignore_metadata_errors=True).data if text.lstrip().startswith("---") else None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as problem:
        reason = " ".join(str(problem).split()) or type(problem).__name__
        raise error(
            f"The card {path} cannot be read: {reason}. A card is UTF-8 text that may start with metadata, a YAML "
            "mapping between two lines of ---. Fix the card or remove it."
        ) from problem
