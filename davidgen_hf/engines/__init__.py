"""Open-weight models behind two methods: write candidates, and score an output given a context."""

from functools import lru_cache

from davidgen_hf.engines.base import Engine, Sampling, Score
from davidgen_hf.engines.settings import EngineSettings, LocalSettings, ServerSettings, VllmSettings

__all__ = ["Engine", "EngineSettings", "Sampling", "Score", "load_engine"]


@lru_cache(maxsize=2)  # a generator and a scorer; a processor holds the settings, so its cache key sees no weights
def load_engine(settings: EngineSettings) -> Engine:
    """Load the engine that ``settings`` names, once per process.

    Raises:
        ModelError: The model is absent or cannot do what the engine needs, or the engine's extra is not installed.
    """
    if isinstance(settings, VllmSettings):
        from davidgen_hf.engines.vllm import VllmEngine

        return VllmEngine(settings)
    if isinstance(settings, ServerSettings):
        from davidgen_hf.engines.server import ServerEngine

        return ServerEngine(settings)
    if isinstance(settings, LocalSettings):
        from davidgen_hf.engines.local import LocalEngine

        return LocalEngine(settings)
    from davidgen_hf.engines.echo import EchoEngine

    return EchoEngine(settings)
