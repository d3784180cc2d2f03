"""A recipe to a run folder: the numbered steps in order, each skipped where it is done."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Value, concatenate_datasets

from davidgen_hf.corpus.build import WHOLE, build_corpus, read_counts, read_skipped, take_styles, take_tokens
from davidgen_hf.corpus.executors import ExecutorSettings, open_executor
from davidgen_hf.corpus.plan import StagePlan, plan_update
from davidgen_hf.corpus.waves import Yield
from davidgen_hf.engines import load_engine
from davidgen_hf.engines.loading import number_types
from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.methods import Method
from davidgen_hf.processors.counting import rows_read
from davidgen_hf.provenance import Provenance
from davidgen_hf.provenance.rows import licensed, mark_rows
from davidgen_hf.publish.cards import README, write_cards
from davidgen_hf.recipe import Recipe
from davidgen_hf.report import read_facts, write_pictures, write_report
from davidgen_hf.run.finished import forget_lost
from davidgen_hf.run.provenance import pin_and_check
from davidgen_hf.run.record import UpdateSettings, check_folder, open_record
from davidgen_hf.run.review import announce_lost_decisions, compare_decisions, review_digest, reviewed_rows
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.storage.files import clear_drafts, explain_refusals
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.progress import begin_step
from davidgen_hf.storage.record import RunRecord
from davidgen_hf.storage.shards import Part, open_shards, read_shard, write_shard
from davidgen_hf.training import train
from davidgen_hf.training.checkpoints import remove_checkpoints

logger = logging.getLogger(__name__)
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
        output: The run's folder; an earlier call with the same recipe and inputs is taken up where it stopped.
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
        DavidgenError: Of the kind of what went wrong. What is finished stays, and the next call goes on.
    """
    requested = {name: step for name, step in STEPS.items() if steps is None or name in steps}
    pinned, provenance = pin_and_check(recipe, output, requested, update=update)
    check_folder(output)
    executor = executor or ExecutorSettings()
    if executor.address is not None:
        with open_executor(executor):  # a wrong address should not show after hours of training
            pass
    with hold(output), explain_refusals(output), display(output):
        clear_drafts(output)
        allowed = UpdateSettings(partial(_plan, pinned, output, provenance), may_discard, announce)
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
            if name == "corpus":
                report = _corpus(pinned, output, provenance, announce, update=update, executor=executor)
                announce_lost_decisions(output, announce)
            else:
                report = step(pinned, output)
            load_engine.cache_clear()  # the next step needs the memory for a model of its own
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
        missing = _build(pinned, output, provenance, logger.info, part=part, executor=executor or ExecutorSettings())
    load_engine.cache_clear()
    return missing


def _seeds(recipe: Recipe, output: Path) -> dict[str, Any]:
    skipped = Skipped()
    seeds = recipe.seeds.read(skipped)
    for name, part in recipe.seeds.lay_out(seeds).items():
        write_shard(part, output / "seeds" / f"{name}.parquet", Counter(seeds=len(part)), 0.0)
    counts = {"read": sum(map(len, seeds.values())), "held_out": len(seeds["held_out"])}
    return {"counts": counts, "skipped": asdict(skipped)}


def _generator(recipe: Recipe, output: Path) -> dict[str, Any]:
    rows = read_shard(output / "seeds" / "train.parquet")
    return _train(rows, recipe.generator, output / "generator")


def _corpus(  # noqa: PLR0913 - one keyword a choice of the caller
    recipe: Recipe,
    output: Path,
    provenance: Provenance,
    announce: Callable[[str], None],
    *,
    update: bool,
    executor: ExecutorSettings,
) -> dict[str, Any]:
    types = number_types(recipe.corpus.engines()) if executor.kind == "local" else {}
    for role, chosen in types.items():
        announce(f"The {role} computes in {chosen}")
    _build(recipe, output, provenance, announce, update=update, executor=executor)
    stages = recipe.corpus.stages()
    counts, seconds = read_counts(output, stages)
    tokens, styles = take_tokens(counts), take_styles(counts)
    before, last = stages[-2].name, stages[-1].name
    if not counts[last]["pairs"]:
        raise RunFolderError(
            f"{rows_read(counts[stages[0].name])} {next(iter(recipe.corpus.funnel))} gave no pair: "
            f"{dict(counts[before])}. At least one is needed. Look at {output / before}, and loosen the guards or "
            "give other input, in a new folder."
        )
    pairs, target = counts[last]["pairs"], recipe.corpus.target_pairs
    if target is not None and pairs < target:
        found = Yield(rows_read(counts[stages[0].name]), pairs)
        announce(
            f"The passages ended before {target:,} pairs were found: {found}. The run goes on with these. For more, "
            "add passages or loosen the guards and use --update."
        )
    skipped = read_skipped(output, stages)
    report = {"counts": counts, "stage_seconds": seconds, "stage_tokens": tokens, "skipped": skipped}
    return report | {"number_types": types} | ({"styles": styles} if styles else {})


def _corpus_input(
    recipe: Recipe, generator: Path, provenance: Provenance, skipped: Skipped
) -> tuple[Method, Iterator[dict[str, Any]]]:
    """Return the settings of the corpus with the run's own models and seeds, and its passages, marked by origin."""
    settings = recipe.corpus.with_models(recipe.base_model, str(generator), recipe.generator.get("model_revision"))
    settings = settings.with_seeds(recipe.seeds)
    return settings, mark_rows(settings.rows(recipe.seeds, skipped), provenance)


def _plan(recipe: Recipe, output: Path, provenance: Provenance, new_generator: bool) -> list[StagePlan]:
    """Return what an update keeps of the finished shards."""
    generator = output / "generator"
    settings, passages = _corpus_input(recipe, generator, provenance, Skipped())
    is_new = new_generator or not generator.is_dir()
    return plan_update(passages, settings, output, new_model=str(generator) if is_new else None)


def _build(  # noqa: PLR0913 - one keyword a choice of the caller
    recipe: Recipe,
    output: Path,
    provenance: Provenance,
    announce: Callable[[str], None],
    *,
    executor: ExecutorSettings,
    update: bool = False,
    part: Part = WHOLE,
) -> dict[str, int]:
    generator = output / "generator"
    needed = any(role == "generator" and not engine.model for role, engine in recipe.corpus.engines())
    if needed and not generator.is_dir():
        raise InputError(
            f"{output} holds no generator yet, and the recipe names none. Name one with --generator, a folder or Hub "
            "id, or train one with davidgen run."
        )
    skipped = Skipped()
    settings, passages = _corpus_input(recipe, generator, provenance, skipped)
    with open_executor(executor) as opened:
        return build_corpus(
            passages, skipped, settings, output, update=update, executor=opened, part=part, announce=announce
        )


def _follower(recipe: Recipe, output: Path) -> dict[str, Any]:
    rows = reviewed_rows(output) or open_shards(output / "corpus", ["prompt", "completion"])
    digest = review_digest(output)
    return _train(rows, recipe.follower, output / "follower") | ({"review": digest} if digest else {})


def _evaluation(recipe: Recipe, output: Path) -> dict[str, Any]:
    held_out = read_shard(output / "seeds" / "held_out.parquet")
    if not len(held_out):
        return {"held_out": 0}
    from davidgen_hf.evaluation.held_out import compare_on_held_out

    settings = recipe.evaluation
    models = {"base": recipe.follower["model_name_or_path"], "follower": str(output / "follower")}
    scores = compare_on_held_out(models, held_out, settings.engine, settings.max_new_tokens)
    path = output / "evaluation" / "held_out.parquet"
    text = Value("string")  # a column without any answer has no type of its own
    answers = Dataset.from_dict(
        {name: score.answers for name, score in scores.items()}, features=Features(dict.fromkeys(scores, text))
    )
    write_shard(concatenate_datasets([held_out, answers], axis=1), path, Counter(seeds=len(held_out)), 0.0)
    too_long = next(iter(scores.values())).too_long
    return {
        "held_out": len(held_out) - too_long,
        "too_long": too_long,
        "number_types": number_types([("evaluation", settings.engine)]),
        "scores": {name: {"rougeL": one.rouge_l, "perplexity": one.perplexity} for name, one in scores.items()},
    }


STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    "seeds": _seeds,
    "generator": _generator,
    "corpus": _corpus,
    "follower": _follower,
    "evaluation": _evaluation,
}


def _train(rows: Dataset, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train, and return what ``run.json`` tells of it; the model's folder has the whole of it."""
    summary = train(rows, settings, output_dir=folder, resume=True)
    remove_checkpoints(folder)
    return {
        "rows": asdict(summary.rows),
        "steps": summary.steps,
        "loss_start": summary.loss_start,
        "loss_end": summary.loss_end,
        "tokens_per_second": round(summary.tokens_per_second, 1),
        "base_revision": summary.base_revision,
        "precision": str(summary.precision),
    }
