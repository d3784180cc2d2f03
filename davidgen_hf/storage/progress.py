"""How far a run is: what its display shows, and what ``davidgen status`` reads while it goes on."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError
from tqdm.auto import tqdm

from davidgen_hf.storage.files import write_whole

FILE_NAME = "progress.json"
LOG = "log.txt"

Item = TypeVar("Item")


@dataclass
class Progress:
    """What a run does at the moment.

    Args:
        steps: All steps of this call, in order.
        step: The current one.
        bars: The work in it that is counted, from the outermost to the innermost.
    """

    steps: tuple[str, ...] = ()
    step: str | None = None
    bars: "list[Bar]" = field(default_factory=list)


@dataclass(eq=False)
class Bar:
    """Counted work; a listener shows it, or else a bar of tqdm does.

    Args:
        name: What is done.
        unit: What is counted, in the plural.
        total: How many there are; ``None`` where that is not known.
        initial: How many an earlier call has done.
        delay: Seconds after which a bar of tqdm appears; one with a delay disappears at its end.
    """

    name: str
    unit: str
    total: int | None = None
    initial: int = 0
    delay: float = 0
    done: int = field(init=False)
    losses: list[float] = field(init=False, default_factory=list)
    _started: float = field(init=False)
    _plain: "tqdm[Any] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.done, self._started = self.initial, time.monotonic()

    def __enter__(self) -> Self:
        if is_shown():
            _current.bars.append(self)
            _notify()
        else:
            self._plain = tqdm(
                desc=self.name,
                unit=f" {self.unit}",
                total=self.total,
                initial=self.initial,
                delay=self.delay,
                leave=not self.delay,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._plain is not None:
            self._plain.close()
        if self in _current.bars:
            del _current.bars[_current.bars.index(self) + 1 :]  # of work that an exception ended
            _notify(ended=error is None)
            _current.bars.remove(self)
            _notify()

    def update(self, count: int = 1) -> None:
        """Count work that is done."""
        self.done += count
        if self._plain is not None:
            self._plain.update(count)
        _notify()

    def add_loss(self, loss: float) -> None:
        """Add a loss of a training, in nats per token."""
        self.losses.append(loss)
        _notify()

    @property
    def seconds(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._started

    def describe(self) -> dict[str, Any]:
        """Return what is known: counts, rate per second, seconds left, and the last loss (nats per token)."""
        new = self.done - self.initial
        rate = new / self.seconds if new and self.seconds else None
        left = (self.total - self.done) / rate if rate and self.total is not None else None
        counts = {"name": self.name, "unit": self.unit, "done": self.done, "total": self.total}
        loss = self.losses[-1] if self.losses else None
        return counts | {"rate": rate, "seconds_left": left, "loss": loss}


Listener = Callable[[Progress, bool], None]
_current = Progress()
_listeners: list[Listener] = []


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Call a function with the progress whenever it changes, and with whether the innermost bar has just ended."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
        if not _listeners:
            _current.steps, _current.step, _current.bars = (), None, []


def counted(items: Iterable[Item], bar: Bar) -> Iterator[Item]:
    """Yield the items, and count them in a bar."""
    with bar:
        for item in items:
            yield item
            bar.update()


def is_shown() -> bool:
    """Return whether a display shows the progress, so that bars of libraries are not needed."""
    return bool(_listeners)


def begin_step(step: str, steps: tuple[str, ...]) -> None:
    """Note that a step of a run begins."""
    _current.step, _current.steps, _current.bars = step, steps, []
    _notify()


def _notify(*, ended: bool = False) -> None:
    for listener in _listeners:
        listener(_current, ended)


class WrittenBar(BaseModel):
    """A bar, as in the file."""

    name: str
    unit: str
    done: int
    total: int | None
    rate: float | None
    seconds_left: float | None
    loss: float | None


class WrittenProgress(BaseModel):
    """What ``progress.json`` holds; ``updated`` is in seconds since 1970."""

    updated: float
    steps: list[str]
    step: str | None
    bars: list[WrittenBar]


def write_progress(path: Path, progress: Progress) -> None:
    """Write the progress to a file in a run's folder."""
    bars = [bar.describe() for bar in progress.bars]
    content = {"updated": time.time(), "steps": progress.steps, "step": progress.step, "bars": bars}
    write_whole(path, json.dumps(content) + "\n")


def read_progress(path: Path) -> WrittenProgress | None:
    """Return what a run wrote last; None where there is nothing that can be read."""
    try:
        return WrittenProgress.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def line(bar: Bar | WrittenBar) -> str:
    """Return a bar as one line: counts, rate, time left and loss."""
    found = WrittenBar(**bar.describe()) if isinstance(bar, Bar) else bar
    parts = [f"{found.name} {found.done:,}{'' if found.total is None else f'/{found.total:,}'} {found.unit}"]
    if found.rate:
        fast = found.rate >= 1
        parts.append(f"{found.rate:.1f} per second" if fast else f"{1 / found.rate:.1f} s each")
    if found.seconds_left:
        parts.append(f"about {duration(found.seconds_left)} left")
    if found.loss is not None:
        parts.append(f"loss {found.loss:.3f}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return seconds as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
