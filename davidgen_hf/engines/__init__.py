"""Open-weight models behind two methods: write candidates, and score an output given a context."""

from functools import lru_cache

from davidgen_hf.engines.base import Engine, Sampling, Score
from davidgen_hf.engines.settings import EngineSettings

__all__ = ["Engine", "EngineSettings", "Sampling", "Score", "load_engine"]


@lru_cache(maxsize=2)  # a generator and a scorer; a processor holds the settings, so its cache key sees no weights
def load_engine(settings: EngineSettings) -> Engine:
    """Load the engine that ``settings`` names, once per process.

    Raises:
        ModelError: The model is absent or cannot do what the engine needs, or the engine's extra is not installed.
    """
    return settings.load()
