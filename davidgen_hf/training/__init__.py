"""Rows to checkpoint: one function for the command line, the pipeline and ``recipes/sft.py``."""

from davidgen_hf.storage.yaml_files import read_config
from davidgen_hf.training.config import check_config
from davidgen_hf.training.job import resolve_model
from davidgen_hf.training.sft import train
from davidgen_hf.training.summary import TrainingSummary

__all__ = ["TrainingSummary", "check_config", "read_config", "resolve_model", "train"]
