"""Rows that got no answer although another call may get one: how an engine reports them to whoever keeps the rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_reasons: ContextVar[list[str] | None] = ContextVar("unanswered", default=None)


@contextmanager
def collect_unanswered() -> Iterator[list[str]]:
    """Collect, while the block runs, one reason per request that no server answered.

    A caller that finds reasons in the list should not keep the rows as finished: the same step may succeed later.
    """
    reasons: list[str] = []
    token = _reasons.set(reasons)
    try:
        yield reasons
    finally:
        _reasons.reset(token)


def report_unanswered(reasons: list[str]) -> None:
    """Add reasons to the list of the block around this call, if there is one."""
    collected = _reasons.get()
    if collected is not None:
        collected.extend(reasons)
