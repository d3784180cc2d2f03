"""The command that improves a generator."""

from pathlib import Path
from typing import Annotated

import typer

from davidgen_hf.cli import options
from davidgen_hf.errors import SettingError
from davidgen_hf.terminal import Terminal


def improve(
    run: options.Run,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value of the training, such as learning_rate=1e-6.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Generations to train, one after another.")] = 1,
    held_out: Annotated[
        int | None,
        typer.Option(min=2, help="Passages to judge by, from which none learns. Default: a third, up to 200."),
    ] = None,
    min_margin: Annotated[
        float, typer.Option(min=0.0, help="Minimum difference between best and worst, in nats per token.")
    ] = 0.0,
    min_diversity: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Stop where distinct-2 falls below this share of the first generation's."),
    ] = 0.8,
    generator: Annotated[
        str | None, typer.Option(help="Folder or Hub id of the run's generator, if the run did not train it.")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Folder of the base model, which scores, if it is a local one.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Training recipe. Default: recipes/dpo.yaml.")] = None,
    output: Annotated[Path | None, typer.Option(help="Default: the run folder's name with _improved.")] = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train the next generator on the preferences of a run, and compare both on passages that neither has seen.

    In each round, the best candidate of a text is preferred to the worst (DPO). The table shows the perplexity under
    the winners, copies, duplicates and diversity of both generations.
    """
    from davidgen_hf.run.display import Display
    from davidgen_hf.run.generations import comparison_table
    from davidgen_hf.run.improve import ImproveSettings, describe
    from davidgen_hf.run.improve import improve as run_rounds
    from davidgen_hf.storage.yaml_files import parse_yaml

    named = dict(one.partition("=")[::2] for one in overrides or [])
    if unclear := [one for one in overrides or [] if "=" not in one]:
        raise SettingError(
            f"{unclear[0]!r} is not an override. An override is key=value, with a key of TRL's DPOConfig. Write it in "
            "this form."
        )
    changed = {key: parse_yaml(value, f"The value of {key!r}") for key, value in named.items()}
    settings = ImproveSettings(rounds, held_out, min_margin, min_diversity, config, changed, generator, base_model)
    display = Display(quiet=quiet, verbose=verbose)
    target = output or run.with_name(f"{run.resolve().name}_improved")
    found = run_rounds(run, target, settings, display.announce, display.over)
    console = Terminal()
    for one in found:
        console.print(comparison_table(one.figures, (f"generation {one.number - 1}", f"generation {one.number}")))
    for sentence in describe(found, settings):
        console.print(sentence, markup=False, soft_wrap=True)
