"""Which of several processes this one is, so that each loads its models on a GPU of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_RANK: ContextVar[int | None] = ContextVar("rank", default=None)


def local_rank() -> int | None:
    """Return the number of this process on its machine; None if it is the only one.

    It is that of ``as_rank``, or what ``accelerate launch`` and ``torchrun`` put into the environment.
    """
    rank = _RANK.get()
    return rank if rank is not None else _number("LOCAL_RANK")


@contextmanager
def as_rank(rank: int | None) -> Iterator[None]:
    """Load engines, as long as the block lasts, as the process of this number on its machine."""
    token = _RANK.set(rank)
    try:
        yield
    finally:
        _RANK.reset(token)


def launched_part() -> str | None:
    """Return ``i/n`` if this is the i-th of n processes that ``accelerate launch`` or ``torchrun`` started."""
    rank, count = _number("RANK"), _number("WORLD_SIZE")
    return f"{rank}/{count}" if rank is not None and count is not None and count > 1 else None


def _number(variable: str) -> int | None:
    value = os.environ.get(variable, "")
    return int(value) if value.isascii() and value.isdecimal() else None
