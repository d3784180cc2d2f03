"""The command for people who read a corpus and decide about its rows: review."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from davidgen_hf.terminal import say


def review(
    run: Annotated[Path, typer.Argument(help="A run folder whose corpus is built, at least in part.")],
    report: Annotated[
        bool, typer.Option("--report", help="Print what reviewers decided, and how often the selection was right.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8322,
    reviewer: Annotated[
        str | None, typer.Option(help="Name that the page suggests. Default: the name of the user.")
    ] = None,
) -> None:
    """Accept, reject and edit the rows of a run in the browser; only this machine can open the page.

    Decisions are appended to review/log.jsonl in the run folder. The shards of the run stay as they are.
    """
    if report:
        from rich.console import Console

        from davidgen_hf.run.review import print_review

        print_review(run, Console())
        return
    from davidgen_hf.report.review import serve_review

    try:
        with serve_review(run, port, reviewer or _user()) as (server, address):
            say(f"{address}  (Ctrl-C stops it)")
            server.serve_forever()
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        return "reviewer"
