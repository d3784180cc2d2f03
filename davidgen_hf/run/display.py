"""What a run shows while it goes on: one live display, or plain lines where the output is not a terminal."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.progress import FILE_NAME, LOG, Bar, Progress, line, listen, write_progress
from davidgen_hf.terminal import Terminal, say

LINE_SECONDS = 10.0
FILE_SECONDS = 2.0
BAR_WIDTH = 20
SPARKS = 20  # losses shown at most
_SPARKS = "▁▂▃▄▅▆▇█"


class Display:
    """Shows the steps of a run, the bar of the current one, and warnings above it.

    Args:
        quiet: Show warnings alone.
        verbose: Leave what libraries print on the screen, and show plain lines.
        part: Part of the run that this process builds (``2/8``), which has files of its own; ``None`` for all of it.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, part: str | None = None) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.console = Terminal()
        self._progress = Progress()
        self._live: Live | None = None
        self._shown: tuple[str | None, list[Bar]] = None, []
        self._line_at = self._file_at = 0.0
        self._suffix = f".{part.replace('/', '-of-')}" if part else ""
        self._file = Path()

    def announce(self, text: str) -> None:
        """Print what a run says, above the bar."""
        if not self.quiet:
            self.console.print(text, style="bold", markup=False, highlight=False)

    @contextmanager
    def over(self, folder: Path) -> Iterator[None]:
        """Show the run in a folder, whose ``log.txt`` takes what libraries print, until the block ends in any way."""
        self._file = folder / f"{FILE_NAME}{self._suffix}"
        before = self.console
        with ExitStack() as stack:
            if not self.verbose:
                self.console = stack.enter_context(_redirected(folder / f"{LOG}{self._suffix}"))
            stack.callback(setattr, self, "console", before)
            stack.enter_context(_warnings_above(self))
            stack.enter_context(listen(self._update))
            if self.console.is_terminal and not (self.console.is_dumb_terminal or self.quiet or self.verbose):
                self._live = stack.enter_context(
                    Live(
                        console=self.console,
                        get_renderable=self._render,
                        refresh_per_second=4,
                        transient=True,
                        redirect_stdout=False,
                        redirect_stderr=False,
                    )
                )
                stack.callback(setattr, self, "_live", None)
            yield

    def _update(self, progress: Progress, ended: bool) -> None:
        self._progress, now, bars = progress, time.monotonic(), progress.bars
        is_new = (progress.step, bars) != self._shown
        self._shown = progress.step, [*bars]
        # Where all steps were done before, only the report is written, and the progress of the last step stays.
        if progress.step and (ended or is_new or now - self._file_at >= FILE_SECONDS):
            self._file_at = now
            with suppress(RunFolderError):  # a disk without room ends the run where it writes what counts
                write_progress(self._file, progress)
        if self._live and is_new:
            self._live.refresh()
        is_due = not self._live and now - self._line_at >= LINE_SECONDS
        if bars and not self.quiet and (is_due or (ended and len(bars) == 1)):
            self._line_at = now
            self.console.print(f"  {'; '.join(map(line, bars))}", markup=False, highlight=False)

    def _render(self) -> Group:
        progress = self._progress
        steps = Text(overflow="ellipsis", no_wrap=True)
        for number, step in enumerate(progress.steps, start=1):
            is_current = step == progress.step
            steps.append(f"{number} {step}  ", style="bold cyan" if is_current else "dim")
        bars, lines = Table.grid(padding=(0, 1)), [line(bar) for bar in progress.bars]
        # What does not fit must not be the end of a line, where the last loss is: bars and sparklines get shorter.
        space = self.console.width - max(map(len, lines), default=0) - 1
        for bar, described in zip([*progress.bars], lines, strict=False):  # another thread may end one meanwhile
            width = min(BAR_WIDTH, space)
            drawn = ProgressBar(total=bar.total, completed=bar.done, width=width) if bar.total and width >= 4 else ""
            room = self.console.width - BAR_WIDTH - len(described) - 3
            text = f"{described} {_sparkline(bar.losses, min(SPARKS, max(room, 0)))}".rstrip()
            bars.add_row(drawn, Text(text))
        return Group(steps, bars)


def _sparkline(losses: list[float], width: int) -> str:
    """Return the last losses as small bars, at most ``width``, if there are at least two."""
    shown = losses[-width:] if width else []
    if len(shown) < 2:
        return ""
    low, span = min(shown), max(shown) - min(shown)
    return "".join(_SPARKS[round((one - low) / span * (len(_SPARKS) - 1)) if span else 0] for one in shown)


@contextmanager
def _redirected(log: Path) -> Iterator[Terminal]:
    """Send what is printed to the log, by native code and child processes too; yield a console on the old output."""
    try:
        is_real = (sys.stdout.fileno(), sys.stderr.fileno()) == (1, 2)
    except (OSError, ValueError, AttributeError):
        is_real = False
    if not is_real:  # something else, such as a notebook or a test, has put its own streams there
        yield Terminal()
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    try:
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        for one in kept:
            os.close(one)
        raise RunFolderError(
            f"{log} cannot be written: {error.strerror}. A run writes there what libraries print. Make room or allow "
            "writing, or name another folder with --output."
        ) from error
    with open(kept[0], "w", encoding=sys.stdout.encoding, errors="backslashreplace") as screen:
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.close(target)
        try:
            yield Terminal(file=screen)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[1])


class _Above(logging.Handler):
    """Shows warnings of this package above the bar."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.WARNING)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        """Print one warning, and keep it in the log, if there is one."""
        text = record.getMessage()
        self._display.console.print(text, style="yellow", markup=False, highlight=False)
        if self._display.console.file is not sys.stdout:
            say(text, file=sys.stderr)


@contextmanager
def _warnings_above(display: Display) -> Iterator[None]:
    """Show this package's warnings above the bar."""
    ours, above = logging.getLogger("davidgen_hf"), _Above(display)
    propagates = ours.propagate
    ours.addHandler(above)
    ours.propagate = False
    try:
        yield
    finally:
        ours.propagate = propagates
        ours.removeHandler(above)
