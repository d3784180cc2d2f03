"""The steps of a run on a sample: the real models, stages and trainings, timed and scaled up."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import Dataset

from davidgen_hf.corpus.executors import ExecutorSettings
from davidgen_hf.engines import load_engine, release_models
from davidgen_hf.errors import SettingError
from davidgen_hf.estimate.corpus import CorpusSample, pairs_per_fragment
from davidgen_hf.estimate.figures import Estimate, Part, measured
from davidgen_hf.estimate.sampling import HELD, Population, spread_dataset, survey
from davidgen_hf.evaluation.held_out import compare_on_held_out
from davidgen_hf.processors import ExtractFragments
from davidgen_hf.provenance import Provenance
from davidgen_hf.recipe import Recipe
from davidgen_hf.run.steps import Run, split_seeds
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.storage.shards import read_shard
from davidgen_hf.training import train
from davidgen_hf.training.arguments import plan_batch
from davidgen_hf.training.checkpoints import remove_checkpoints

OPTIMIZER_STEPS = 2
HELD_OUT = 6
ENDS_EARLY = {"load_best_model_at_end", "early_stopping_patience"}


@dataclass(frozen=True)
class EstimateSettings:
    """How an estimate is made.

    Args:
        sample: Passages that are run for real.
        passages: Passages of the input, where it is too long to be counted; the sample is then drawn from its first
            2,000. ``None`` reads it through.
        accepted_share: Share of the candidates that will pass the guards, where the recipe trains the generator, whose
            candidates cannot be had beforehand; of a trained 135M model's, 96 % do (benchmarks/README.md).

    Raises:
        SettingError: A value is out of range.
    """

    sample: int = 24
    passages: int | None = None
    accepted_share: float = 0.95

    def __post_init__(self) -> None:
        too_few = self.sample < 2 or (self.passages is not None and self.passages < 1)
        if too_few or not 0 < self.accepted_share <= 1:
            raise SettingError(
                f"sample must be at least 2, passages at least 1 and accepted_share in (0, 1], got {self.sample}, "
                f"{self.passages} and {self.accepted_share}."
            )


def estimate(recipe: Recipe, settings: EstimateSettings, folder: Path, announce: Callable[[str], None]) -> Estimate:
    """Run every step of a recipe on a sample, and tell what the whole will take.

    The generator is trained for two optimizer steps only, and so writes like the base model; its time is corrected
    for the length of the seeds' instructions, which a trained one learns to write.

    Args:
        recipe: The recipe to estimate.
        settings: Size of the sample, and what cannot be known beforehand.
        folder: An empty folder for the sample's models and shards.
        announce: Called with the name of each part that runs.

    Raises:
        DavidgenError: As ``run_recipe``: what would stop the run stops its estimate.
    """
    with measured() as whole:
        announce("reading seeds and passages")
        with measured() as reading:
            split_seeds(Run(recipe, folder, Provenance(()), ExecutorSettings()))
            population = _population(recipe, settings)
        parts = [Part("reading", 2 * reading.seconds, memory_bytes=reading.memory_bytes)]  # checked first, then read
        rows = read_shard(folder / "seeds" / "train.parquet")
        announce("generator, for two steps")
        parts.append(_training("generator", recipe.generator, rows, len(rows), folder))
        corpus = CorpusSample(recipe, population, rows["completion"][:], settings.accepted_share, folder)
        unit = next(iter(recipe.corpus.funnel))
        announce(f"corpus of {len(population.sample)} {unit}")
        parts.extend(corpus.parts())
        announce("follower, for two steps")
        parts.append(_training("follower", recipe.follower, corpus.rows, corpus.pairs, folder))
        announce("evaluation")
        parts.append(_evaluation(recipe, folder))
    return Estimate(population.count, len(population.sample), parts, _notes(recipe, corpus), whole.seconds, unit)


def _population(recipe: Recipe, settings: EstimateSettings) -> Population:
    passages = recipe.corpus.rows(recipe.seeds, Skipped())
    needed = _passages_for_target(recipe, settings)
    stop_after = (settings.passages and HELD) or (needed and max(needed, settings.sample))
    found = survey(passages, settings.sample, lambda row: len(row["text"]), stop_after)
    count = settings.passages or found.count
    return replace(found, count=min(count, needed or count))


def _passages_for_target(recipe: Recipe, settings: EstimateSettings) -> int | None:
    """Return how many passages ``target_pairs`` will take, in whole shards; None without a target."""
    target, shard_rows = recipe.corpus.target_pairs, recipe.corpus.shard_rows
    if target is None:
        return None
    steps = [step for stage in recipe.corpus.stages() for step in stage.steps]
    fragments = max((len(step.strategies) for step in steps if isinstance(step, ExtractFragments)), default=1)
    pairs = fragments * pairs_per_fragment(steps, settings.accepted_share)
    return shard_rows * math.ceil(target / pairs / shard_rows)


def _training(name: str, config: dict[str, Any], rows: Dataset, n_rows: int, folder: Path) -> Part:
    """Train on a few rows of all lengths, scale by tokens to all rows and epochs, and add the checkpoints."""
    batch = plan_batch(config.get("per_device_train_batch_size", 8), config.get("gradient_accumulation_steps"), 1)
    batch_rows = batch.per_device * batch.accumulation
    few = spread_dataset(rows, OPTIMIZER_STEPS * batch_rows, "prompt", "completion")
    trained = n_rows * config.get("num_train_epochs", 3)
    if config.get("max_steps", -1) > 0:
        trained = config["max_steps"] * batch_rows
    # A run leaves out that of the last step.
    checkpoints = max(0, count_checkpoints(config, math.ceil(trained / batch_rows)) - 1)
    only = {"num_train_epochs": 1, "max_steps": -1, "eval_strategy": "no"}
    only |= {"save_strategy": "steps", "save_steps": 1} if checkpoints else {"save_strategy": "no"}
    config = {key: value for key, value in config.items() if key not in ENDS_EARLY}
    with measured() as spent:
        summary = train(few, config | only, output_dir=folder / name)
    remove_checkpoints(folder / name)
    scale = trained / summary.rows.given
    return Part(
        name,
        seconds=(summary.seconds - summary.checkpoint_seconds) * scale,
        fixed_seconds=spent.seconds - summary.seconds + checkpoints * summary.checkpoint_seconds / summary.steps,
        tokens=summary.tokens_seen * scale,
        disk_bytes=_size(folder / name),
        memory_bytes=spent.memory_bytes,
    )


def count_checkpoints(config: dict[str, Any], steps: int) -> int:
    """Return how many checkpoints a training of so many optimizer steps writes."""
    strategy, every = config.get("save_strategy", "steps"), config.get("save_steps", 500)
    count: int = 0
    if strategy == "epoch":
        count = math.ceil(config.get("num_train_epochs", 3))
    elif strategy == "steps":  # the last step has a checkpoint too
        count = math.ceil(steps / (math.ceil(every * steps) if every < 1 else every))
    return count


def _evaluation(recipe: Recipe, folder: Path) -> Part:
    """Let base model and sample follower answer a few held-out seeds."""
    if not recipe.seeds.held_out:
        return Part("evaluation")
    seeds = read_shard(folder / "seeds" / "held_out.parquet")
    few = spread_dataset(seeds, HELD_OUT, "instruction", "output")
    models = {"base": recipe.follower["model_name_or_path"], "follower": str(folder / "follower")}
    with measured() as load:
        for model in models.values():
            load_engine(replace(recipe.evaluation.engine, model=model))
    with measured() as spent:
        scores = compare_on_held_out(models, few, recipe.evaluation.engine, recipe.evaluation.max_new_tokens)
    engine = load_engine(replace(recipe.evaluation.engine, model=models["base"]))
    texts = [text or "" for score in scores.values() for text in score.answers] + 2 * few["output"][:]
    scale = len(seeds) / len(few)
    tokens = scale * sum(engine.count_tokens(texts))
    release_models()
    memory = max(load.memory_bytes, spent.memory_bytes)
    return Part("evaluation", spent.seconds * scale, load.seconds, tokens, memory_bytes=memory)


def _notes(recipe: Recipe, corpus: CorpusSample) -> list[str]:
    notes = []
    if corpus.target_pairs is not None:
        notes.append(
            f"target_pairs: {corpus.target_pairs:,} pairs are expected from {round(corpus.scale * corpus.sampled):,} "
            "passages, at the share of candidates that passes the guards (--accepted-share)."
        )
    if corpus.is_untrained:
        notes.append(
            f"{corpus.accepted_share:.0%} of the candidates are taken to pass the guards, and to be as long as the "
            "seeds' instructions: the generator does not exist yet."
        )
    kept = [name for name in ("generator", "follower") if getattr(recipe, name).get("save_strategy", "steps") != "no"]
    if kept:
        notes.append(
            f"While {' and '.join(kept)} train, a checkpoint takes up to three times its model's disk; none is left "
            "behind."
        )
    return notes


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
