"""Commands that show and share a run: report, export, push and pull."""

from pathlib import Path
from typing import Annotated

import typer

from davidgen_hf.cli import options
from davidgen_hf.errors import SettingError
from davidgen_hf.terminal import say


def report(
    run: Annotated[Path, typer.Argument(help="A run folder; the run need not be finished.")],
    output: Annotated[Path | None, typer.Option(help="File to write. Default: report.html in the run folder.")] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve it locally, for more rows than a file can hold.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --serve; 0 picks a free one.")] = 8321,
    follow: Annotated[bool, typer.Option("--follow", help="Rewrite it until the run ends.")] = False,
) -> None:
    """Show a run as one page: what was generated, what was rejected and why, and each row with all its candidates."""
    import time

    from davidgen_hf.report import follow_report, serve_report, write_report

    try:
        if serve:
            server = serve_report(run, port)
            say(f"http://127.0.0.1:{server.server_port}/  (Ctrl-C stops it)")
            server.serve_forever()
        elif follow:
            for path in follow_report(run, output, time.sleep):
                say(path)
        else:
            say(write_report(run, output))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def export(
    run: options.Run,
    form: Annotated[
        str,
        typer.Option(
            "--as",
            help="pairs: instruction, input and output. preferences: TRL's prompt, chosen and rejected. seeds: what "
            "reviewers accepted, for training the next generator.",
        ),
    ] = "pairs",
    preferences: Annotated[bool, typer.Option("--preferences", help="The same as --as preferences.")] = False,
    output: Annotated[
        Path | None, typer.Option(help=".jsonl or .parquet file. Default: one in the run folder.")
    ] = None,
    min_margin: Annotated[
        float,
        typer.Option(min=0.0, help="Minimum difference between best and worst, in nats per token of the output."),
    ] = 0.0,
) -> None:
    """Write the corpus as instruction, input and output; as preferences; or as seeds.

    All candidates of a fragment answer the same generator prompt. In the preferences, the candidate that predicts
    the fragment best is chosen and the worst is rejected; where a reviewer preferred another one, that is chosen. Rows
    that reviewers rejected are left out, unless the recipe says otherwise.
    """
    from davidgen_hf.publish.export import export_pairs, export_preferences, export_seeds

    form = "preferences" if preferences else form
    if form not in (forms := {"pairs": "corpus", "preferences": "preferences", "seeds": "reviewed_seeds"}):
        raise SettingError(f"--as is {form!r}. It must be one of {', '.join(forms)}. Pass one of these.")
    path = output or run / f"{forms[form]}.jsonl"
    if form == "preferences":
        count = export_preferences(run, path, min_margin)
    else:
        count = export_seeds(run, path) if form == "seeds" else export_pairs(run, path)
    say(f"{count} rows in {path}")


def push(
    run: options.Run,
    to: Annotated[
        str, typer.Argument(help="Id of the dataset, org/name. Models get org/name-generator and org/name-follower.")
    ],
    what: Annotated[str, typer.Option(help="corpus, generator, follower or all.")] = "all",
    yes: Annotated[bool, typer.Option("--yes", help="Publish. Without this option, files are only listed.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Make new repositories private.")] = False,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open pull requests instead.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Push shards while the run writes them, and publish the run when it ends.")
    ] = False,
    publish_restricted: Annotated[
        bool, typer.Option("--publish-restricted", help="Publish restricted data and demos, marked as such.")
    ] = False,
) -> None:
    """Publish a run on the Hub: its corpus, generator and follower, with their cards.

    Without --yes nothing is sent: the files are listed and the card of the corpus is shown. The token is read from
    HF_TOKEN or `hf auth login`. A second call commits only what has changed.
    """
    import time

    from davidgen_hf.publish.hub import PARTS, Push, list_files, push_while_it_runs
    from davidgen_hf.publish.hub import push as publish

    if what not in (*PARTS, "all"):
        raise SettingError(f"--what is {what!r}. It must be {', '.join(PARTS)} or all. Pass one of these.")
    settings = Push(to, tuple(part for part in PARTS if what in (part, "all")), private, create_pr, publish_restricted)
    if not yes:
        for repo, files in list_files(run, settings).items():
            for file, size in files.items():
                say(f"{repo}  {file}  {size:,} bytes")
        card = run / "README.md"
        say(f"\n{card.read_text('utf-8') if card.is_file() else ''}\nNothing was sent. Add --yes to publish this.")
        return
    if follow:
        push_while_it_runs(run, settings, say, time.sleep)
    for one in publish(run, settings, say):
        say(f"{one.url}  commit {one.commit}")


def pull(
    repo: Annotated[str, typer.Argument(help="Id of a dataset that davidgen push created, org/name.")],
    run: Annotated[Path, typer.Argument(help="New folder for the run.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the dataset.")] = None,
) -> None:
    """Download the folder of a pushed run, to resume it."""
    from davidgen_hf.publish.hub import pull as download

    say(download(repo, run, revision))
