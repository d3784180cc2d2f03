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
    what: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="What: pairs of the corpus (default), preferences among the candidates, seeds (what reviewers "
            "accepted, for training the next generator), or eu-summary (the summary of training content that the AI "
            "Act asks for, as far as the run knows it).",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Format of pairs: alpaca (default; instruction, input, output), messages or sharegpt. Format of "
            "preferences: dpo (default; prompt, chosen, rejected) or kto (prompt, completion, label).",
        ),
    ] = None,
    preferences: Annotated[bool, typer.Option("--preferences", help="The same as --as preferences.")] = False,
    output: Annotated[
        Path | None, typer.Option(help=".jsonl or .parquet file; .md for eu-summary. Default: one in the run folder.")
    ] = None,
    min_margin: Annotated[
        float,
        typer.Option(min=0.0, help="Minimum difference between best and worst, in nats per token of the output."),
    ] = 0.0,
) -> None:
    """Write the corpus in the format that your trainer reads; or preferences; or seeds.

    A format says which rows are meant, so --as can be left out: messages has the pairs of a follower, and dpo the
    preferences of a generator.

    All candidates of a fragment answer the same generator prompt. In the preferences, the candidate that predicts
    the fragment best is chosen and the worst is rejected; where a reviewer preferred another one, that is chosen. Rows
    that reviewers rejected are left out, unless the recipe says otherwise.
    """
    from davidgen_hf.publish.export import export_pairs, export_preferences, export_seeds

    if what == "eu-summary" and not preferences and form is None:
        from davidgen_hf.publish.eu_summary import FILE_NAME, write_eu_summary

        path = output or run / FILE_NAME
        count = write_eu_summary(run, path)
        say(f"{path}: {count} fields are left for you; search for 'To fill in'")
        return
    what, form = _rows_and_format("preferences" if preferences else what, form)
    names = {"pairs": "corpus", "preferences": "preferences", "seeds": "reviewed_seeds"}
    # A file named after a format could be taken for restricted data of that name.
    names |= {"messages": "corpus_messages", "sharegpt": "corpus_conversations", "kto": "preferences_kto"}
    path = output or run / f"{names.get(form, names[what])}.jsonl"
    if what == "preferences":
        count = export_preferences(run, path, min_margin, form)
    else:
        count = export_seeds(run, path) if what == "seeds" else export_pairs(run, path, form)
    say(f"{count} rows in {path}")


def _rows_and_format(what: str | None, form: str | None) -> tuple[str, str]:
    """Return what --as and --format of ``export`` mean together; seeds have no format."""
    from davidgen_hf.publish.export_formats import FORMATS, PAIR, PREFERENCE, formats_of

    formats = {"pairs": formats_of(PAIR), "preferences": formats_of(PREFERENCE), "seeds": []}
    if what is not None and what not in formats:
        raise SettingError(
            f"--as is {what!r}. It must be one of {', '.join(formats)}, or eu-summary without --format. Pass one "
            "of these."
        )
    if form is not None and form not in FORMATS:
        raise SettingError(f"--format is {form!r}. It must be one of {', '.join(FORMATS)}. Pass one of these.")
    if form is None:
        what = what or "pairs"
        return what, next(iter(formats[what]), "")
    implied = next(rows for rows, names in formats.items() if form in names)
    if what not in (None, implied):
        fitting = f"--format {' or '.join(formats[what])}" if formats[what] else "no --format"
        raise SettingError(
            f"--as is {what}, and --format {form} is a format of {implied}. Rows of {what} have {fitting}. Leave one "
            "of the two options out."
        )
    return implied, form


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
        bool,
        typer.Option(
            "--follow",
            help="Push generator and shards while the run goes on, and publish the run when its corpus is done.",
        ),
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
