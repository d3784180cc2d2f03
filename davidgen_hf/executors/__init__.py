"""Where the shards of a run are made: in this process, or by the workers of a Ray cluster."""

from davidgen_hf.executors.base import (
    EXECUTOR_KINDS,
    Executor,
    ExecutorSettings,
    LocalExecutor,
    Made,
    Step,
    open_executor,
)

__all__ = ["EXECUTOR_KINDS", "Executor", "ExecutorSettings", "LocalExecutor", "Made", "Step", "open_executor"]
