"""The figures of an estimate: of each part of a run, summed up, and laid out."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.filesize import decimal
from rich.table import Table


@dataclass(frozen=True)
class Part:
    """One step of a run, or one stage of its corpus.

    Args:
        name: As in ``run.json``.
        seconds: What grows with the rows, by one worker.
        fixed_seconds: What each process pays once, above all for loading models.
        tokens: Read or written by models.
        disk_bytes: What it leaves in the run's folder.
        memory_bytes: Most memory of the process while the sample ran; of the GPU, where there is one.
        shared: Whether workers share its rows.
    """

    name: str
    seconds: float = 0.0
    fixed_seconds: float = 0.0
    tokens: float = 0.0
    disk_bytes: float = 0.0
    memory_bytes: int = 0
    shared: bool = False

    def on(self, workers: int) -> float:
        """Return its seconds on so many workers, each like this machine."""
        return self.fixed_seconds + self.seconds / (workers if self.shared else 1)


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Args:
        passages: Passages of the input, or prompts where a method reads none.
        sampled: How many of them were run.
        parts: Its steps and stages, in their order.
        notes: What was taken for granted.
        spent_seconds: What the estimate itself took.
        unit: What ``passages`` counts.
    """

    passages: int
    sampled: int
    parts: list[Part]
    notes: list[str] = field(default_factory=list)
    spent_seconds: float = 0.0
    unit: str = "passages"

    def seconds(self, workers: int = 1) -> float:
        """Return the time of the whole run on so many workers."""
        return sum(part.on(workers) for part in self.parts)

    def table(self, workers: int = 1) -> Table:
        """Return all figures as a table; the last column is left out for one worker."""
        several = [f"time, {workers} workers"] if workers > 1 else []
        title = f"{self.passages:,} {self.unit}, from {self.sampled} run for real"
        table = Table("part", "time here", "tokens", "disk", "memory", *several, title=title)
        for part in self.parts:
            times = [duration(part.on(workers))] if several else []
            figures = (duration(part.on(1)), f"{part.tokens:,.0f}", decimal(int(part.disk_bytes)))
            table.add_row(part.name, *figures, decimal(part.memory_bytes), *times)
        table.add_section()
        tokens, disk = (sum(getattr(part, name) for part in self.parts) for name in ("tokens", "disk_bytes"))
        memory = max(part.memory_bytes for part in self.parts)
        times = [duration(self.seconds(workers))] if several else []
        whole = (duration(self.seconds()), f"{tokens:,.0f}", decimal(int(disk)), decimal(memory))
        table.add_row("whole run", *whole, *times)
        return table


@dataclass
class Measured:
    """Seconds and peak memory of what ran inside ``measured``."""

    seconds: float = 0.0
    memory_bytes: int = 0


@contextmanager
def measured() -> Iterator[Measured]:
    """Take the time, and the most memory that the process had meanwhile."""
    found = Measured()
    _forget_peak()
    started = time.perf_counter()
    yield found
    found.seconds, found.memory_bytes = time.perf_counter() - started, _peak()


def duration(seconds: float) -> str:
    """Return seconds in words: ``40 s``, ``12 min``, ``5.2 h``, ``3.1 days``."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.{0 if unit < 3600 else 1}f} {name}"
    return f"{seconds / 86400:.1f} days"


def _forget_peak() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        with contextlib.suppress(OSError):  # then the peak is that of the whole process so far
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, man 5 proc


def _peak() -> int:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
