"""What an executor can do, the settings that name one, and the one that needs nothing: this process."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from datasets import Dataset

from davidgen_hf.engines.unanswered import collect_unanswered
from davidgen_hf.errors import SettingError

EXECUTOR_KINDS = ("local", "ray")
Step = Callable[[Dataset, Any], tuple[Dataset, Counter[str]]]


class ShardResult(NamedTuple):
    """A shard that is made and not yet written.

    Args:
        path: Where it belongs.
        rows: Its rows.
        counts: Rows by what became of them.
        seconds: How long it took to make.
        unanswered: Why rows got no answer from a server, one reason per row. Another call may get one, so a shard with
            such rows must not be written.
    """

    path: Path
    rows: Dataset
    counts: Counter[str]
    seconds: float
    unanswered: list[str]


class Executor(Protocol):
    """Makes shards. Nothing is written: that is left to the caller, who alone needs the run's folder."""

    def map(self, step: Step, settings: Any, work: Iterable[tuple[Path, Dataset]]) -> Iterator[ShardResult]:
        """Yield the shards as they are finished, in any order; ``work`` is read as workers become free.

        Args:
            step: A function of a module; it gives the same rows for the same arguments wherever it runs.
            settings: Its second argument.
            work: Where each shard belongs, and the rows that it is made from.

        Raises:
            DavidgenError: What the step raises.
            ExecutorError: A shard cannot be made, though the step raises nothing.
        """
        ...


@dataclass(frozen=True)
class ExecutorSettings:
    """Names an executor.

    Args:
        kind: One of ``EXECUTOR_KINDS``.
        address: Of a Ray cluster that is there: ``auto`` on one of its machines, or ``ray://HOST:10001``; ``None``
            starts one on this machine, for this run.
        workers: Number of workers; ``None`` takes one for every GPU of the cluster, or, where there is none, one for
            every machine.
        gpus_per_worker: GPUs of each worker, parts of one too; ``None`` gives each worker one where the cluster has
            any. 0 is right where a server holds the model.

    Raises:
        SettingError: A value is out of range, or asks for what a local run does not have.
    """

    kind: str = "local"
    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in EXECUTOR_KINDS:
            raise SettingError(f"executor must be one of {EXECUTOR_KINDS}, got {self.kind!r}.")
        options = {"address": self.address, "workers": self.workers, "gpus_per_worker": self.gpus_per_worker}
        given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
        if self.kind == "local" and given:
            raise SettingError(f"{', '.join(given)}: only with --executor ray; the local one is this process.")
        if self.workers is not None and self.workers < 1:
            raise SettingError(f"workers must be at least 1, got {self.workers}.")
        if self.gpus_per_worker is not None and self.gpus_per_worker < 0:
            raise SettingError(f"gpus_per_worker must be at least 0, got {self.gpus_per_worker}.")


class LocalExecutor:
    """Makes one shard after the other in this process."""

    def map(self, step: Step, settings: Any, work: Iterable[tuple[Path, Dataset]]) -> Iterator[ShardResult]:
        for path, rows in work:
            yield ShardResult(path, *run_step(step, rows, settings))


def run_step(step: Step, rows: Dataset, settings: Any) -> tuple[Dataset, Counter[str], float, list[str]]:
    """Return all of ``ShardResult`` but its path: what the step makes of the rows."""
    started = time.perf_counter()
    with collect_unanswered() as unanswered:
        made, counts = step(rows, settings)
    return made, counts, time.perf_counter() - started, unanswered
