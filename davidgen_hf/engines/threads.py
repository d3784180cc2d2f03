"""Threads of torch on a machine of which this process may use a part, such as a container."""

import os
from logging import getLogger

import torch
from joblib import cpu_count

logger = getLogger(__name__)


def fit_threads() -> None:
    """Lower torch's threads to the processors that this process may use: its affinity, and the quota of its cgroup.

    Torch counts the cores of the whole machine. Threads beyond a quota wait for each other: a container with two of 64
    cores runs many times slower with 64 threads. ``OMP_NUM_THREADS`` and ``torch.set_num_threads`` to fewer remain.
    """
    allowed = cpu_count()
    if "OMP_NUM_THREADS" in os.environ or torch.get_num_threads() <= allowed:
        return
    logger.info("torch uses %d threads instead of %d", allowed, torch.get_num_threads())
    torch.set_num_threads(allowed)
