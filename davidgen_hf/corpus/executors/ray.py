"""Shards on a Ray cluster: one actor a worker, which keeps its models; a shard whose worker dies goes to another.

Rows travel to the workers and back through Ray, so the run's folder need not be shared; only models that lie in a
local folder must be found under the same path on every machine.
"""

import logging
import os
import socket
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage report over the network
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from datasets import Dataset
from ray._private import ray_constants
from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError, WorkerCrashedError

from davidgen_hf import __version__
from davidgen_hf.corpus.executors.base import ExecutorSettings, ShardResult, Step, run_step
from davidgen_hf.errors import DavidgenError, ExecutorError

logger = logging.getLogger(__name__)

ATTEMPTS = 3  # of one shard, and of starting workers in a row
PATIENCE_SECONDS = 60.0
OBJECT_STORE_BYTES = 256 * 2**20  # of a cluster on this machine; what does not fit goes to disk
DEATHS = (RayActorError, WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError)


class Worker:
    """An actor: a process that makes shards, and loads each model once."""

    def version(self) -> str:
        """Return the version of the package that is installed where the worker runs."""
        return __version__

    def run(self, step: Step, settings: Any, rows: Dataset) -> tuple[Dataset, Counter[str], float, list[str]]:
        """Return what ``run_step`` returns."""
        return run_step(step, rows, settings)


@dataclass
class Task:
    """A shard to build, and how many workers have died building it."""

    path: Path
    rows: Dataset
    deaths: int = 0


class RayExecutor:
    """Makes shards on the workers of a Ray cluster, each as soon as one is free.

    Raises:
        ExecutorError: On entering, if the cluster cannot be reached.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        self.settings = settings
        self.workers: set[Any] = set()
        self._idle: list[Any] = []
        self._pending: dict[Any, tuple[Any, Task | None]] = {}
        self._failed_starts = 0
        self.ours = not ray.is_initialized()  # whether to leave the cluster at the end

    def __enter__(self) -> Self:
        if self.ours:
            self._connect()
        return self

    def __exit__(self, *_: object) -> None:
        if self.ours:
            ray.shutdown()
        else:
            for worker in self.workers:
                ray.kill(worker)

    def map(self, step: Step, settings: Any, work: Iterable[tuple[Path, Dataset]]) -> Iterator[ShardResult]:
        coming = (Task(*one) for one in work)
        again = deque(islice(coming, 1))
        if not again:  # all is done, and no worker need be started to find that out
            return
        self._idle.clear()
        self._pending.clear()
        self._failed_starts = 0
        for _ in range(self._missing_workers()):
            self.workers.add(self._start())
        for worker in self.workers:
            self._pending[worker.version.remote()] = worker, None
        while True:
            while self._idle and (task := again.popleft() if again else next(coming, None)):
                worker = self._idle.pop()
                self._pending[worker.run.remote(step, settings, task.rows)] = worker, task
            if self._idle and not self._tasks():
                return
            made = self._answer(again)
            if made:
                yield made

    def _answer(self, again: deque[Task]) -> ShardResult | None:
        """Wait for one worker: return its shard, take note that it has started, or replace it if it died."""
        answer = self._wait()
        worker, task = self._pending.pop(answer)
        try:
            result = _get(answer)
        except DEATHS as error:
            self._replace(worker)
            if task is None:
                self._failed_starts += 1
                _check_starts(self._failed_starts, error)
            else:
                again.append(_once_more(task, error))
            return None
        self._idle.append(worker)
        if task is not None:
            return ShardResult(task.path, *result)
        self._failed_starts = 0
        _check_version(result)
        return None

    def _tasks(self) -> list[Task]:
        return [task for _, task in self._pending.values() if task is not None]

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        address = self.settings.address
        try:
            if address is None:
                n_cpus = max(self.settings.workers or 1, os.cpu_count() or 1)
                with _loopback_only():
                    ray.init(num_cpus=n_cpus, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
            else:
                _knock(address)
                ray.init(address=address, **quiet)
        except Exception as error:  # Ray raises a bare Exception where its own processes start too slowly
            raise ExecutorError(
                f"No Ray cluster can be reached{f' at {address}' if address else ''}: {error}. Start one with "
                "`ray start --head` and name it with --address HOST:6379, or leave --address out for one on this "
                "machine alone."
            ) from error

    def _missing_workers(self) -> int:
        """Return how many workers to start, and check the resources that each requests."""
        if self.workers:
            return 0
        resources = ray.cluster_resources()
        n_gpus = int(resources.get("GPU", 0))
        gpus = float(n_gpus > 0) if self.settings.gpus_per_worker is None else self.settings.gpus_per_worker
        n_nodes = sum(node["Alive"] for node in ray.nodes())
        n_workers = self.settings.workers or max(1, int(n_gpus // gpus) if gpus else n_nodes)
        # On a cluster of its own the workers share the cores: as many threads are what Ray lets matrix products have.
        cpus = max(1, int(resources.get("CPU", 1)) // n_workers) if self.settings.address is None else 1
        self._options = {"num_cpus": cpus, "num_gpus": gpus}
        return n_workers

    def _start(self) -> Any:
        return ray.remote(Worker).options(**self._options).remote()

    def _replace(self, worker: Any) -> None:
        ray.kill(worker)
        self.workers.remove(worker)
        fresh = self._start()
        self.workers.add(fresh)
        self._pending[fresh.version.remote()] = fresh, None

    def _wait(self) -> Any:
        """Return the first answer that is there; say so, once in a while, if no worker finds room to start."""
        while True:
            done, _ = ray.wait(list(self._pending), num_returns=1, timeout=PATIENCE_SECONDS)
            if done:
                return done[0]
            if not self._tasks():
                free = ray.available_resources()
                logger.warning("Waiting for room: each worker asks for %s, and there is %s.", self._options, free)


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Have a cluster that starts in this block listen on the loopback interface alone, as Ray does on macOS.

    On Linux, Ray listens on all interfaces without asking for a password, and runs whatever it is sent. It replaces
    127.0.0.1 by the machine's own address, so ``ray.init(_node_ip_address=...)`` does not help.

    Raises:
        RuntimeError: It listens elsewhere; the cluster is stopped.
    """
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
    addresses = {node["NodeManagerAddress"] for node in ray.nodes()}
    if not addresses <= {"127.0.0.1", "::1"}:
        ray.shutdown()
        raise RuntimeError(f"this version of Ray listens on {', '.join(sorted(addresses))}, not on 127.0.0.1 alone")


def _knock(address: str) -> None:
    """Open a connection and close it: Ray itself takes minutes to find that nobody answers.

    Raises:
        OSError: Nobody answers.
    """
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), timeout=10).close()


def _get(answer: Any) -> Any:
    try:
        return ray.get(answer)
    except DavidgenError as error:
        # Ray hands on an error that is also of Ray's own kind, whose text is the worker's traceback.
        raise error.cause from None  # type: ignore[attr-defined]


def _once_more(task: Task, error: Exception) -> Task:
    task.deaths += 1
    shard = f"{task.path.parent.name}/{task.path.name}"
    if task.deaths == ATTEMPTS:
        raise ExecutorError(
            f"Shard {shard}: {ATTEMPTS} workers died of it, the last one with: {_first_words(error)} Too little "
            "memory is the most frequent reason; lower max_batch_tokens or shard_rows, or take fewer workers. What "
            "is finished is safe; the same command resumes there."
        ) from error
    logger.warning("A worker died; shard %s goes to another.", shard)
    return task


def _check_starts(failed: int, error: Exception) -> None:
    if failed == ATTEMPTS:
        raise ExecutorError(
            f"{ATTEMPTS} workers in a row died before their first shard, the last one with: {_first_words(error)} Is "
            f"davidgen-hf {__version__} installed on every machine of the cluster, for the same Python?"
        ) from error


def _check_version(found: str) -> None:
    if found != __version__:
        raise ExecutorError(
            f"A worker has davidgen-hf {found}, and this is {__version__}: they need not give the same rows. Install "
            "the same version on every machine of the cluster."
        )


def _first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
