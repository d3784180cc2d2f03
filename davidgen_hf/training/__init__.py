"""Training: one function for the command line, the pipeline and ``recipes/sft.py``."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from davidgen_hf.storage.yaml_files import read_config
    from davidgen_hf.training.config import check_config
    from davidgen_hf.training.job import resolve_model
    from davidgen_hf.training.sft import train
    from davidgen_hf.training.summary import TrainingSummary

__all__ = ["TrainingSummary", "check_config", "read_config", "resolve_model", "train"]

_HOMES = {
    "TrainingSummary": "davidgen_hf.training.summary",
    "check_config": "davidgen_hf.training.config",
    "read_config": "davidgen_hf.storage.yaml_files",
    "resolve_model": "davidgen_hf.training.job",
    "train": "davidgen_hf.training.sft",
}


def __getattr__(name: str) -> Any:
    """Import the names of this package on first use: a recipe is checked without torch and TRL."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
