"""Seconds, memory, and the rate of the device's matrix products."""

import platform
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch


@dataclass
class Measured:
    """What one contender took: seconds by the clock and of the processor, and memory above the loaded weights."""

    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    rates: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median seconds of a repeat."""
        return statistics.median(self.seconds)


class PeakMemory(threading.Thread):
    """Watches the resident memory of this process, a hundred times a second, or what is allocated on a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(daemon=True)
        self.device, self.peak, self.over = device, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.01):
            self.peak = max(self.peak, memory_in_use(self.device))

    def __enter__(self) -> "PeakMemory":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self.device.type == "cuda":
            self.peak = torch.cuda.max_memory_allocated(self.device)
        else:
            self.over.set()
            self.join()


def memory_in_use(device: torch.device) -> int:
    """Return the bytes allocated on a CUDA device, or the resident memory of this process for a CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return psutil.Process().memory_info().rss


def device_name(device: torch.device) -> str:
    """Return the model name of the GPU or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def matmul_rate(dtype: torch.dtype, device: torch.device, repeats: int = 8) -> float:
    """Return the operations a second of a matrix product in ``dtype``, best of ``repeats``."""
    size = 8192 if device.type == "cuda" else 2048
    left, right = torch.randn(2, size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(repeats):
        wait_for(device)
        start = time.perf_counter()
        left @ right
        wait_for(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def wait_for(device: torch.device) -> None:
    """Wait until a CUDA device has done all that was queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def race(
    contenders: dict[str, Callable[[], object]], repeats: int, dtype: torch.dtype, device: torch.device
) -> dict[str, Measured]:
    """Run each contender in turn, ``repeats`` times over, so that a busy minute meets them all.

    Memory counts from what is in use at the start, with all weights loaded.

    Args:
        contenders: What to run, by name; each has been warmed up.
        repeats: Rounds.
        dtype: Number type of the matrix product that is timed before each turn.
        device: Where the contenders run.
    """
    weights_bytes = memory_in_use(device)
    results = {name: Measured() for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            results[name].rates.append(matmul_rate(dtype, device))
            with PeakMemory(device) as memory:
                start, busy = time.perf_counter(), time.process_time()
                run()
                wait_for(device)
                results[name].seconds.append(time.perf_counter() - start)
                results[name].processor_seconds.append(time.process_time() - busy)
            latest = results[name]
            clock, busy, rate = latest.seconds[-1], latest.processor_seconds[-1], latest.rates[-1]
            print(f"{name}: {clock:.2f} s, {busy:.1f} s of processor, {rate / 1e9:.0f} GFLOP/s", flush=True)
            results[name].peak_bytes = max(results[name].peak_bytes, memory.peak - weights_bytes)
    return results
