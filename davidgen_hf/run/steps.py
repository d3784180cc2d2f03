"""The steps of a run, in their order: each reads what earlier steps left in the folder, and returns its report."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Value, concatenate_datasets

from davidgen_hf.corpus.build import WHOLE, build_corpus
from davidgen_hf.corpus.counts import report_of
from davidgen_hf.corpus.executors import ExecutorSettings, open_executor
from davidgen_hf.corpus.finished import lost_shards
from davidgen_hf.corpus.plan import StagePlan, plan_update
from davidgen_hf.corpus.waves import Yield
from davidgen_hf.engines.loading import number_types
from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.methods import Method
from davidgen_hf.processors.counting import rows_read
from davidgen_hf.provenance import Provenance
from davidgen_hf.provenance.rows import mark_rows
from davidgen_hf.recipe import TRAININGS, Recipe
from davidgen_hf.run.review import announce_lost_decisions, remove_reviewed_rows, review_digest, reviewed_rows
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.storage.record import RunRecord
from davidgen_hf.storage.shards import Part, is_intact, open_shards, read_shard, write_shard
from davidgen_hf.training import train
from davidgen_hf.training.checkpoints import lost_model_files, remove_checkpoints

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What the steps of one call work on, and how.

    Args:
        recipe: With every source and model of the Hub at a commit.
        folder: The run's folder.
        provenance: Of what the recipe uses.
        executor: Where the shards of the corpus are made.
        update: As in ``build_corpus``.
        part: Which shards of the corpus are made.
        announce: Called with what a step has to say.
    """

    recipe: Recipe
    folder: Path
    provenance: Provenance
    executor: ExecutorSettings
    update: bool = False
    part: Part = WHOLE
    announce: Callable[[str], None] = logger.info

    @property
    def generator(self) -> Path:
        """Folder of the generator that the run trains."""
        return self.folder / "generator"

    def corpus_input(self, skipped: Skipped) -> tuple[Method, Iterator[dict[str, Any]]]:
        """Return the method with the run's own models and seeds, and its passages, marked by origin."""
        recipe = self.recipe
        revision = recipe.generator.get("model_revision")
        settings = recipe.corpus.with_models(recipe.base_model, str(self.generator), revision).with_seeds(recipe.seeds)
        return settings, mark_rows(settings.rows(recipe.seeds, skipped), self.provenance)


def split_seeds(run: Run) -> dict[str, Any]:
    """Read the seeds, hold some out, and lay out the others for the generator."""
    skipped = Skipped()
    seeds = run.recipe.seeds.read(skipped)
    for name, part in run.recipe.seeds.lay_out(seeds).items():
        write_shard(part, run.folder / "seeds" / f"{name}.parquet", Counter(seeds=len(part)), 0.0)
    counts = {"read": sum(map(len, seeds.values())), "held_out": len(seeds["held_out"])}
    return {"counts": counts, "skipped": asdict(skipped)}


def train_generator(run: Run) -> dict[str, Any]:
    """Train the generator on the seeds that were not held out."""
    rows = read_shard(run.folder / "seeds" / "train.parquet")
    return _train(rows, run.recipe.generator, run.generator)


def make_corpus(run: Run) -> dict[str, Any]:
    """Build all shards of the corpus.

    Raises:
        RunFolderError: No passage gave a pair.
        DavidgenError: As ``build_shards``.
    """
    types = number_types(run.recipe.corpus.engines()) if run.executor.kind == "local" else {}
    for role, chosen in types.items():
        run.announce(f"The {role} computes in {chosen}")
    build_shards(run)
    stages, target = run.recipe.corpus.stages(), run.recipe.corpus.target_pairs
    report = report_of(run.folder, stages)
    counts = report["counts"]
    read, pairs = rows_read(counts[stages[0].name]), counts[stages[-1].name]["pairs"]
    if not pairs:
        before = stages[-2].name
        raise RunFolderError(
            f"{read} {next(iter(run.recipe.corpus.funnel))} gave no pair: {dict(counts[before])}. At least one is "
            f"needed. Look at {run.folder / before}, and loosen the guards or give other input, in a new folder."
        )
    if target is not None and pairs < target:
        run.announce(
            f"The passages ended before {target:,} pairs were found: {Yield(read, pairs)}. The run goes on with "
            "these. For more, add passages or loosen the guards and use --update."
        )
    announce_lost_decisions(run.folder, run.announce)
    return report | {"number_types": types}


def build_shards(run: Run) -> dict[str, int]:
    """Build the run's part of the corpus; return as ``build_corpus``.

    Raises:
        InputError: A generator is needed and missing.
        DavidgenError: As ``build_corpus``.
    """
    needed = any(role == "generator" and not engine.model for role, engine in run.recipe.corpus.engines())
    if needed and not run.generator.is_dir():
        raise InputError(
            f"{run.folder} holds no generator yet, and the recipe names none. Name one with --generator, a folder or "
            "Hub id, or train one with davidgen run."
        )
    skipped = Skipped()
    settings, passages = run.corpus_input(skipped)
    with open_executor(run.executor) as executor:
        return build_corpus(
            passages,
            skipped,
            settings,
            run.folder,
            update=run.update,
            executor=executor,
            part=run.part,
            announce=run.announce,
        )


def plan_shards(run: Run, new_generator: bool) -> list[StagePlan]:
    """Return what an update keeps of the finished shards.

    Args:
        run: With the recipe of now.
        new_generator: Whether the generator is trained again.
    """
    settings, passages = run.corpus_input(Skipped())
    is_new = new_generator or not run.generator.is_dir()
    return plan_update(passages, settings, run.folder, new_model=str(run.generator) if is_new else None)


def train_follower(run: Run) -> dict[str, Any]:
    """Train the follower on the corpus, as people decided about it."""
    rows = reviewed_rows(run.folder) or open_shards(run.folder / "corpus", ["prompt", "completion"])
    digest = review_digest(run.folder)
    report = _train(rows, run.recipe.follower, run.folder / "follower")
    remove_reviewed_rows(run.folder)
    return report | ({"review": digest} if digest else {})


def evaluate(run: Run) -> dict[str, Any]:
    """Compare the follower with its base model on the seeds that were held out."""
    held_out = read_shard(run.folder / "seeds" / "held_out.parquet")
    if not len(held_out):
        return {"held_out": 0}
    from davidgen_hf.evaluation.held_out import compare_on_held_out

    settings = run.recipe.evaluation
    models = {"base": run.recipe.follower["model_name_or_path"], "follower": str(run.folder / "follower")}
    scores = compare_on_held_out(models, held_out, settings.engine, settings.max_new_tokens)
    path = run.folder / "evaluation" / "held_out.parquet"
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


def lost_seeds(run: Path, _: dict[str, Any]) -> list[str]:
    """Return the files of the seeds that are missing or damaged, as paths in the run's folder."""
    return _damaged(run, "seeds/train.parquet", "seeds/held_out.parquet")


def lost_corpus(run: Path, report: dict[str, Any]) -> list[str]:
    """Return the shards that are missing or damaged."""
    return lost_shards(run, report["counts"])


def lost_answers(run: Path, report: dict[str, Any]) -> list[str]:
    """Return the file of the answers to held-out seeds if it is missing or damaged."""
    return _damaged(run, "evaluation/held_out.parquet") if report["held_out"] else []


def lost_weights(model: str) -> Callable[[Path, dict[str, Any]], list[str]]:
    """Return what finds the files of a model that are missing or damaged."""
    return lambda run, _: [f"{model}/{name}" for name in lost_model_files(run / model)]


@dataclass(frozen=True)
class Step:
    """A step of a run.

    Args:
        work: Does it, and returns what ``run.json`` says of it.
        reads: Parts of the recipe and of the inputs that it depends on, as ``run.json`` names them, and earlier steps.
        lost: Returns which of its files are missing or damaged, given the run's folder and what ``run.json`` says.
    """

    work: Callable[[Run], dict[str, Any]]
    reads: tuple[str, ...]
    lost: Callable[[Path, dict[str, Any]], list[str]]


STEPS = {
    "seeds": Step(split_seeds, ("recipe.seeds", "inputs.seeds"), lost_seeds),
    "generator": Step(train_generator, ("recipe.generator", "inputs.base_model", "seeds"), lost_weights("generator")),
    "corpus": Step(
        make_corpus,
        ("recipe.corpus", "recipe.generator.model_name_or_path", "inputs.passages", "generator"),
        lost_corpus,
    ),
    "follower": Step(train_follower, ("recipe.follower", "inputs.base_model", "corpus"), lost_weights("follower")),
    "evaluation": Step(evaluate, ("recipe.evaluation", "follower", "seeds"), lost_answers),
}


def forget_lost(record: RunRecord, steps: Collection[str]) -> dict[str, str]:
    """Forget finished steps that lost files, and delete what is left of a model; return the files in words."""
    lost = {}
    for name in steps:
        files = STEPS[name].lost(record.folder, record.steps[name]) if name in record.steps else []
        if files:
            lost[name] = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
            del record.steps[name]
            if name in TRAININGS:
                shutil.rmtree(record.folder / name, ignore_errors=True)
    return lost


def _damaged(run: Path, *names: str) -> list[str]:
    return [name for name in names if not is_intact(run / name, rows=True)]


def _train(rows: Dataset, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train, and return what ``run.json`` tells of it; the model's folder has the whole of it."""
    summary = train(rows, settings, output_dir=folder, resume=True, last_checkpoint=False)
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
