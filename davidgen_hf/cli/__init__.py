"""``davidgen …``: parses and calls, nothing else. Heavy imports stay inside the commands, so that --help is fast."""

import typer

from davidgen_hf.cli.evaluating import diversity, evaluate, judge
from davidgen_hf.cli.publishing import export, pull, push, report
from davidgen_hf.cli.running import corpus, demo, estimate, run
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


for command in (demo, run, corpus, estimate):
    app.command()(command)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train)
for command in (merge, export, judge, diversity):
    app.command()(command)
app.command("eval")(evaluate)
for command in (report, push, pull):
    app.command()(command)


def main() -> None:
    """Run the command line."""
    run_command_line(app)
