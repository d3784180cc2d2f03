"""What the fuzz tests share: one call of the command line, in this process, that must end with 0 or 2 and in words."""

import os
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile("quick", max_examples=60, deadline=None, derandomize=True, database=None)
# By hand: FUZZ_PROFILE=long pytest -m "slow or not slow" tests/fuzz
settings.register_profile("long", max_examples=5000, deadline=None, database=None)
settings.load_profile(os.environ.get("FUZZ_PROFILE", "quick"))
CHECKS = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


def run_command(*arguments: str | Path) -> tuple[int, str]:
    """Return the exit code of ``davidgen ARGUMENTS`` and all that it printed."""
    from davidgen_hf.cli import main

    printed, code, before = StringIO(), 0, sys.argv
    sys.argv = ["davidgen", *map(str, arguments)]
    try:
        with redirect_stdout(printed), redirect_stderr(printed), suppress(KeyboardInterrupt):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    return code, printed.getvalue()


def ends_in_words(*arguments: str | Path) -> int:
    """Run a command, and return its exit code once it is seen to have ended well or with words for its user."""
    code, printed = run_command(*arguments)
    assert code in (0, 2), f"{arguments}: exit code {code}\n{printed[-2000:]}"
    assert "Traceback" not in printed, printed[-2000:]
    assert code == 0 or printed.strip(), f"{arguments}: exit code 2 without a word"
    return code
