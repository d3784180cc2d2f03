"""Rows that got no answer although another call may get one: how an engine reports them to whoever keeps the rows."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from davidgen_hf.errors import ModelError

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


@contextmanager
def require_answers(what: str) -> Iterator[None]:
    """Refuse, at the end of the block, a result that lacks answers which another call may get.

    Raises:
        ModelError: Requests got no answer; ``what`` names the result.
    """
    with collect_unanswered() as reasons:
        yield
    if reasons:
        raise ModelError(
            f"{what}: {len(reasons)} request(s) got no answer: {count_reasons(reasons)}. The result needs all of "
            "them. Check the server and run the same command again."
        )


def count_reasons(reasons: Iterable[str]) -> str:
    """Return the five most frequent reasons with their numbers, as ``2 x HTTP 503``."""
    return "; ".join(f"{count} x {reason}" for reason, count in Counter(reasons).most_common(5))
