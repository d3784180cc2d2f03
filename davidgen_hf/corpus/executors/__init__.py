"""Where the shards of a run are made: in this process, or by the workers of a Ray cluster."""

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

from davidgen_hf.corpus.executors.base import (
    EXECUTOR_KINDS,
    Executor,
    ExecutorSettings,
    LocalExecutor,
    ShardResult,
    Step,
)
from davidgen_hf.errors import SettingError

__all__ = ["EXECUTOR_KINDS", "Executor", "ExecutorSettings", "LocalExecutor", "ShardResult", "Step", "open_executor"]


def open_executor(settings: ExecutorSettings) -> AbstractContextManager[Executor]:
    """Return the executor that ``settings`` names; it lasts as long as the ``with`` that it is opened in.

    Raises:
        SettingError: Its extra is not installed.
        ExecutorError: The cluster cannot be reached.
    """
    if settings.kind == "local":
        return nullcontext(LocalExecutor())
    if find_spec("ray") is None:
        raise SettingError("--executor ray needs Ray. Install it with: pip install 'davidgen-hf[ray]'")
    from davidgen_hf.corpus.executors.ray import RayExecutor

    return RayExecutor(settings)
