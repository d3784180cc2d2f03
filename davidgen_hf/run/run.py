"""A recipe to a run folder: the numbered steps in order, each skipped where it is done."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from davidgen_hf.corpus.executors import ExecutorSettings, open_executor
from davidgen_hf.engines import release_models
from davidgen_hf.provenance.rows import licensed
from davidgen_hf.publish.cards import README, write_cards
from davidgen_hf.recipe import Recipe
from davidgen_hf.report import read_facts, write_pictures, write_report
from davidgen_hf.run.provenance import pin_and_check
from davidgen_hf.run.record import UpdateSettings, check_folder, open_record
from davidgen_hf.run.review import compare_decisions
from davidgen_hf.run.steps import STEPS, Run, build_shards, forget_lost, plan_shards
from davidgen_hf.storage.files import clear_drafts, explain_refusals
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.progress import begin_step
from davidgen_hf.storage.record import RunRecord
from davidgen_hf.storage.shards import Part

Display = Callable[[Path], AbstractContextManager[object]]


def run_recipe(  # noqa: PLR0913 - one keyword a choice of the caller
    recipe: Recipe,
    output: Path,
    announce: Callable[[str], None],
    *,
    steps: Sequence[str] | None = None,
    update: bool = False,
    may_discard: bool = True,
    executor: ExecutorSettings | None = None,
    display: Display = nullcontext,
) -> RunRecord:
    """Run the steps of a recipe that are not done yet.

    Args:
        recipe: What to do.
        output: The run's folder; an earlier call with the same recipe and inputs is resumed where it stopped.
        announce: Called with the step that begins or is skipped.
        steps: Names of ``STEPS`` to run; None runs all.
        update: Take up an earlier call with another recipe or other inputs too: what the change does not touch stays,
            the rest is rebuilt.
        may_discard: Whether an update may throw away trained models, and shards that models made.
        executor: Where the shards of the corpus are made; None makes them in this process.
        display: Entered with the folder once it is locked, and left when the steps end, such as ``Display.over``.

    Returns:
        The record, as in ``run.json``.

    Raises:
        DavidgenError: A step failed; the subclass says how. Finished work stays, and the next call resumes.
    """
    requested = {name: step for name, step in STEPS.items() if steps is None or name in steps}
    pinned, provenance = pin_and_check(recipe, output, requested, update=update)
    check_folder(output)
    run = Run(pinned, output, provenance, executor or ExecutorSettings(), update=update, announce=announce)
    if run.executor.address is not None:
        with open_executor(run.executor):  # a wrong address should not show after hours of training
            pass
    with hold(output), explain_refusals(output), display(output):
        clear_drafts(output)
        allowed = UpdateSettings(partial(plan_shards, run), may_discard, announce)
        record = open_record(recipe, output, allowed if update else None)
        lost = forget_lost(record, requested)
        if "follower" in requested:
            compare_decisions(record, announce, may_retrain=update and may_discard)
        is_recorded = "corpus" not in record.steps and record.put("provenance", provenance.record())
        is_changed = False
        for number, (name, step) in enumerate(requested.items(), start=1):
            if name in record.steps:
                announce(f"{number}/{len(requested)} {name}: done before, skipped")
                continue
            announce(f"{number}/{len(requested)} {name}{f': rebuilds {lost[name]}' if name in lost else ''}")
            begin_step(name, tuple(requested))
            is_changed = True
            started = time.perf_counter()
            report = step.work(run)
            release_models()  # the next step needs the memory for models of its own
            record.finish(name, report | {"seconds": round(time.perf_counter() - started, 1)})
        provenance = licensed(provenance, record, recipe.provenance.license)
        is_recorded |= record.put("provenance", provenance.record())
        if is_changed or is_recorded or not (output / README).is_file():
            facts = read_facts(output)
            write_pictures(output, facts)
            write_report(output, facts=facts)
            write_cards(output, facts=facts)
    return record


def run_part(
    recipe: Recipe, output: Path, part: Part, executor: ExecutorSettings | None = None, display: Display = nullcontext
) -> dict[str, int]:
    """Build one part of a corpus, next to calls that build the others, on any machines that share the folder.

    Each reads all passages, and makes the shards of its own. Near-duplicates are marked by the part that finds the
    shards of all others finished; if that guard is on, every part is called once more after that. A
    ``run_recipe`` then takes up what the parts have made.

    Args:
        recipe: What to do; every part is given the same.
        output: The run's folder; it holds the generator, or the recipe names one.
        part: Which of the shards.
        executor: As in ``run_recipe``.
        display: As in ``run_recipe``.

    Returns:
        As ``build_corpus``: shards that are missing of the stage up to which all parts together have come.

    Raises:
        DavidgenError: As ``run_recipe``.
    """
    pinned, provenance = pin_and_check(recipe, output, ["corpus"])
    check_folder(output)
    with hold(output, str(part)), explain_refusals(output), display(output):
        begin_step("corpus", ("corpus",))
        record = open_record(recipe, output)
        record.put("provenance", licensed(provenance, record, recipe.provenance.license).record())
        missing = build_shards(Run(pinned, output, provenance, executor or ExecutorSettings(), part=part))
    release_models()
    return missing
