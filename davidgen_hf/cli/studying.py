"""The command that runs a study: many recipes that differ in one thing each."""

from pathlib import Path
from typing import Annotated

import typer

from davidgen_hf.cli import options
from davidgen_hf.errors import SettingError
from davidgen_hf.terminal import Terminal


def study(
    folder: Annotated[Path, typer.Argument(help="Folder with study.yaml and the recipes of its arms.")],
    overrides: options.Overrides = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: rows of instruction, input and output that people wrote. Can be repeated."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE: a file that arms use by this name. Can be repeated.")
    ] = None,
    passages: options.Passages = None,
    text_column: options.TextColumn = None,
    seed_tasks: Annotated[
        str | None, typer.Option(help="Rows of instruction, input and output for the generator.")
    ] = None,
    base_model: options.BaseModel = None,
    output: options.Output = Path("runs/study"),
    arms: Annotated[str | None, typer.Option(help="Names, separated by commas. Default: all.")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of selection and trainings, separated by commas.")] = "0",
    limit: Annotated[int | None, typer.Option(min=1, help="Use so many tasks of each set. Default: all.")] = None,
    answered: Annotated[int, typer.Option(min=0, help="So many tasks of each set are answered, for ROUGE-L.")] = 0,
    shard: Annotated[
        str | None,
        typer.Option(
            help="i/n: one of n processes that share the arms; each takes the next one that is free. 0 <= i < n."
        ),
    ] = None,
    estimate: Annotated[bool, typer.Option(help="Estimate the time first, from a small sample.")] = True,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Run the arms of a study that are missing, and compare their followers on tasks with answers that people wrote.

    Each arm takes over what it has in common with another one. A second call with the same arguments resumes, or only
    writes the table, which is study.md and study.json, with 95 % intervals from a paired bootstrap over tasks. Several
    calls with --shard share the work.
    """
    from davidgen_hf.study.arms import read_study

    read = read_study(folder)
    named = options.overrides_of(passages, text_column, seed_tasks, base_model) + (overrides or [])
    sets, files = _named(tasks, "--tasks"), _named(data, "--data")
    if not seeds.replace(",", "").isdecimal():
        raise SettingError(f"--seeds is {seeds!r}. Whole numbers are expected. Pass --seeds 0,1,2.")
    numbers = tuple(dict.fromkeys(int(one) for one in seeds.split(",") if one))
    chosen = tuple(one.strip() for one in arms.split(",")) if arms else None
    given = read.given(output, files, numbers[0])
    for name in chosen or read.arms:
        if name in read.arms:
            read.recipe(name, named, numbers[0], given)  # before imports that take seconds: a mistake shows at once
    from davidgen_hf.run.display import Display
    from davidgen_hf.storage.shards import Part
    from davidgen_hf.study import StudySettings, run_study
    from davidgen_hf.study.cost import describe_cost
    from davidgen_hf.study.table import describe

    part = Part.parse(shard) if shard else None
    settings = StudySettings(named, sets, files, chosen, numbers, limit=limit, answered=answered, part=part)
    display = Display(quiet=quiet, verbose=verbose, part=shard)
    if estimate:
        for line in describe_cost(read, output, settings, display.announce):
            display.announce(line)
    content = run_study(read, output, settings, display.announce, display.over)
    console = Terminal()
    console.print(describe(content), markup=False, soft_wrap=True)
    console.print(f"{output}/study.md, study.json and pictures", markup=False, highlight=False)


def _named(options: list[str] | None, option: str) -> dict[str, Path]:
    files = dict(one.partition("=")[::2] for one in options or [])
    for name, path in files.items():
        if not path:
            raise SettingError(
                f"{option} {name!r} names no file. NAME=FILE is expected. Write {option} NAME=FILE.jsonl."
            )
    return {name: Path(path) for name, path in files.items()}
