"""``davidgen …``: parses and calls, nothing else. Heavy imports stay inside the commands, so that --help is fast."""

import typer

from davidgen_hf.cli import recipes
from davidgen_hf.cli.evaluating import diversity, evaluate, judge
from davidgen_hf.cli.improving import improve
from davidgen_hf.cli.plugins import plugins
from davidgen_hf.cli.publishing import export, pull, push, report
from davidgen_hf.cli.reviewing import review
from davidgen_hf.cli.running import corpus, demo, estimate, run, status
from davidgen_hf.cli.studying import study
from davidgen_hf.cli.training import merge, train
from davidgen_hf.commandline import run_command_line

app = typer.Typer(
    help="Instruction-tuning data from plain text, made with open-weight models only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def davidgen() -> None:
    """Keep ``davidgen COMMAND`` the form of every call."""


app.command()(demo)
app.command()(run)
app.command()(corpus)
app.command()(estimate)
app.command()(status)
app.add_typer(recipes.app, name="recipe")
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train)
app.command()(merge)
app.command()(improve)
app.command()(study)
app.command()(export)
app.command()(judge)
app.command()(diversity)
app.command("eval")(evaluate)
app.command()(report)
app.command()(review)
app.command()(push)
app.command()(pull)
app.command()(plugins)


def main() -> None:
    """Run the command line."""
    run_command_line(app)
