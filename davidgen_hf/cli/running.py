"""Commands that run a recipe: demo, run, corpus and estimate; and status, which shows how far a run is."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from davidgen_hf.cli import options
from davidgen_hf.errors import SettingError
from davidgen_hf.terminal import Terminal, say

if TYPE_CHECKING:
    from davidgen_hf.corpus.executors import ExecutorSettings
    from davidgen_hf.recipe import Recipe


def demo(
    output: options.Output = Path("runs/demo"), quiet: options.Quiet = False, verbose: options.Verbose = False
) -> None:
    """Run all steps on the model, seeds and passages of installed packages: no Hub, no account."""
    from davidgen_hf.recipe import load_recipe

    _run(load_recipe("demo"), output, quiet=quiet, verbose=verbose)


def status(folder: options.Run) -> None:
    """Show how far a run is, while it goes on or after it stopped."""
    from davidgen_hf.storage.record import is_run
    from davidgen_hf.storage.status import JOBS, describe_run

    has_jobs = (folder / JOBS).is_file()
    for line in describe_run(folder) if is_run(folder) or not has_jobs else ():
        say(line)
    if has_jobs:
        from davidgen_hf.run.jobs import describe_jobs

        for line in describe_jobs(folder):
            say(line)


def run(
    recipe: options.Recipe,
    overrides: options.Overrides = None,
    passages: options.Passages = None,
    text_column: options.TextColumn = None,
    seeds: options.Seeds = None,
    base_model: options.BaseModel = None,
    output: options.Output = Path("runs/run"),
    update: options.Update = False,
    yes: options.Yes = False,
    until: Annotated[
        str | None, typer.Option(help="Last step: seeds, generator, corpus, follower or evaluation.")
    ] = None,
    executor: options.ExecutorKind = "local",
    address: options.Address = None,
    workers: options.Workers = None,
    gpus_per_worker: options.GpusPerWorker = None,
    shard: options.Shard = None,
    bucket: options.Bucket = None,
    flavor: options.Flavor = "a10g-small",
    timeout: options.Timeout = "6h",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Turn plain text into an instruction corpus, a generator and a follower; a second call resumes the run.

    With --executor jobs, the commands of the jobs are printed, one per part; with --yes, they are submitted. Part by
    part, a generator has to be there: submit one job with --until generator first, and one for the rest at the end.
    """
    from davidgen_hf.recipe import load_recipe, steps_until

    steps = steps_until(until)
    overrides = options.overrides_of(passages, text_column, seeds, base_model) + (overrides or [])
    if executor == "jobs":
        if update or shard or address or gpus_per_worker is not None:
            raise SettingError(
                "--executor jobs takes no --update, --shard, --address or --gpus-per-worker. Each job builds a part "
                "of its own on a machine of its own. Leave these options out."
            )
        words = [recipe, *overrides, *(("--until", until) if until else ())]
        _run_as_jobs(words, output, bucket, flavor, timeout, workers or 1, yes=yes)
        return
    read = load_recipe(recipe, overrides)  # before imports that take seconds: a mistake shows at once
    from davidgen_hf.corpus.executors import ExecutorSettings

    settings = ExecutorSettings(executor, address, workers, gpus_per_worker)
    _run(
        read,
        output,
        update=update,
        yes=yes,
        steps=steps,
        executor=settings,
        shard=shard,
        quiet=quiet,
        verbose=verbose,
    )


def corpus(
    recipe: options.Recipe,
    overrides: options.Overrides = None,
    generator: Annotated[
        str | None, typer.Option(help="Folder or Hub id of a generator. Default: the one the run trained.")
    ] = None,
    passages: options.Passages = None,
    text_column: options.TextColumn = None,
    base_model: options.BaseModel = None,
    output: options.Output = Path("runs/run"),
    update: options.Update = False,
    yes: options.Yes = False,
    executor: options.ExecutorKind = "local",
    address: options.Address = None,
    workers: options.Workers = None,
    gpus_per_worker: options.GpusPerWorker = None,
    shard: options.Shard = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Build only the corpus, with an existing generator; train nothing."""
    from davidgen_hf.recipe import load_recipe

    named = options.overrides_of(passages, text_column, None, base_model)
    named += [f"corpus.generate.engine.model={json.dumps(generator)}"] if generator else []
    read = load_recipe(recipe, named + (overrides or []))  # before imports that take seconds: a mistake shows at once
    from davidgen_hf.corpus.executors import ExecutorSettings

    settings = ExecutorSettings(executor, address, workers, gpus_per_worker)
    _run(
        read,
        output,
        update=update,
        yes=yes,
        steps=("corpus",),
        executor=settings,
        shard=shard,
        quiet=quiet,
        verbose=verbose,
    )


def estimate(
    recipe: options.Recipe,
    overrides: options.Overrides = None,
    passages: options.Passages = None,
    text_column: options.TextColumn = None,
    seeds: options.Seeds = None,
    base_model: options.BaseModel = None,
    workers: Annotated[int, typer.Option(min=1, help="Also estimate the time on this many such machines.")] = 1,
    sample: Annotated[int, typer.Option(min=2, help="Number of passages that are processed for the estimate.")] = 24,
    total: Annotated[
        int | None, typer.Option(min=1, help="Number of passages, if there are too many to count.")
    ] = None,
    accepted_share: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of candidates that the guards will accept.")
    ] = 0.95,
) -> None:
    """Process a small sample, and estimate the time, tokens, disk space and memory of the whole run."""
    from davidgen_hf.recipe import load_recipe

    named = options.overrides_of(passages, text_column, seeds, base_model)
    read = load_recipe(recipe, named + (overrides or []))  # before imports that take seconds: a mistake shows at once
    import tempfile

    from davidgen_hf.estimate import EstimateSettings
    from davidgen_hf.estimate import estimate as make_estimate

    console = Terminal()
    settings = EstimateSettings(sample, total, accepted_share)
    with tempfile.TemporaryDirectory(prefix="davidgen_") as folder:
        found = make_estimate(read, settings, Path(folder), lambda step: console.print(step, style="bold"))
    console.print(found.table(workers))
    for note in found.notes:
        console.print(note)


def _run(
    recipe: "Recipe",
    output: Path,
    *,
    update: bool = False,
    yes: bool = False,
    steps: tuple[str, ...] | None = None,
    executor: "ExecutorSettings | None" = None,
    shard: str | None = None,
    quiet: bool = False,
    verbose: bool = False,
) -> None:
    from davidgen_hf.engines.ranks import launched_part
    from davidgen_hf.storage.shards import Part

    console = Terminal()
    shard = shard or launched_part()
    part = Part.parse(shard) if shard else None
    if part and update:
        raise SettingError(
            "--update and --shard cannot be combined. Each part of an update would wait for the others. Run once with "
            "--update and without --shard."
        )
    from davidgen_hf.run.display import Display
    from davidgen_hf.run.run import run_part, run_recipe
    from davidgen_hf.run.summary import describe_missing, print_summary

    display = Display(quiet=quiet, verbose=verbose, part=shard)
    try:
        with _sigterm_interrupts():
            if part:
                missing = run_part(recipe, output, part, executor, display.over)
                console.print(describe_missing(missing, part, output), markup=False)
                return
            record = run_recipe(
                recipe,
                output,
                display.announce,
                steps=steps,
                update=update,
                may_discard=yes,
                executor=executor,
                display=display.over,
            )
    except KeyboardInterrupt as stop:
        console.print(f"Stopped. Finished work is in {output}; the same command resumes there.", markup=False)
        raise typer.Exit(128 + (stop.args[0] if stop.args else signal.SIGINT)) from None
    if "corpus" in record.steps and not quiet:
        print_summary(record, console)


def _run_as_jobs(
    words: list[str], output: Path, bucket: str | None, flavor: str, timeout: str, parts: int, *, yes: bool
) -> None:
    """Print the jobs of a run, or submit them."""
    from davidgen_hf.recipe import load_recipe, shipped_recipes
    from davidgen_hf.run import jobs

    settings = jobs.JobSettings(bucket or "", flavor, timeout, parts)
    jobs.require_flavor(flavor)
    recipe, *rest = words
    if recipe not in shipped_recipes():
        jobs.refuse_local(recipe)
    if not recipe.startswith(f"{jobs.MOUNT}/"):  # what is in the bucket is not read here
        overrides = rest[: rest.index("--until")] if "--until" in rest else rest
        jobs.require_remote(load_recipe(recipe, overrides))
    commands = jobs.plan_jobs(words, output, settings)
    if yes:
        jobs.submit_jobs(commands, output, settings, say)
        say(f"Follow them: davidgen status {output}")
        return
    for line in jobs.show(commands, settings):
        say(line)
    say(f"Nothing was submitted. Add --yes to submit {len(commands)} job{'s' if len(commands) > 1 else ''}.")


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """End as Ctrl-C does when a scheduler or a shell sends SIGTERM; processes forked meanwhile end at once."""
    owner = os.getpid()

    def stop(number: int, _: object) -> None:
        if os.getpid() == owner:
            raise KeyboardInterrupt(number)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
