"""Open-weight models behind two methods: write candidates, and score an output given a context."""

import ctypes
import gc
from contextlib import suppress
from functools import lru_cache

from davidgen_hf.engines.base import Engine, Sampling, Score
from davidgen_hf.engines.settings import EngineSettings

__all__ = ["Engine", "EngineSettings", "Sampling", "Score", "load_engine", "release_models"]


@lru_cache(maxsize=2)  # a generator and a scorer; a processor holds the settings, so its cache key sees no weights
def load_engine(settings: EngineSettings) -> Engine:
    """Load the engine that ``settings`` names, once per process.

    Raises:
        ModelError: The model is absent or cannot do what the engine needs, or the engine's extra is not installed.
    """
    return settings.load()


def release_models() -> None:
    """Drop the loaded engines, and give back the memory that they and a training took."""
    import torch

    load_engine.cache_clear()
    gc.collect()  # a model and its trainer refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError, TypeError):  # the C library of Linux keeps what is freed; others lack this
        ctypes.CDLL(None).malloc_trim(0)
