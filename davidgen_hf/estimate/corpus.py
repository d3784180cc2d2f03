"""The stages of a corpus on a sample of its passages."""

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset

from davidgen_hf.corpus.run_stage import run_stage
from davidgen_hf.engines import Engine, load_engine, release_models
from davidgen_hf.engines.roles import engines_in
from davidgen_hf.estimate.figures import Measured, Part, measured
from davidgen_hf.estimate.sampling import Population
from davidgen_hf.methods import Stage
from davidgen_hf.processors import (
    GenerateInstructions,
    GuardCandidates,
    GuardTasks,
    NovelInstructions,
    ScoreCandidates,
    SelectInstruction,
    WriteTasks,
)
from davidgen_hf.processors.guard import candidate_text
from davidgen_hf.processors.near_duplicates import NearDuplicates
from davidgen_hf.prompts import render_follower
from davidgen_hf.recipe import Recipe
from davidgen_hf.schema import PASSAGE
from davidgen_hf.storage.shards import make_rows, write_shard

GUARDS = (GuardCandidates, NearDuplicates, GuardTasks, NovelInstructions)
# So many texts are compared to time the search for near-duplicates.
COMPARED_TEXTS = 2000


def candidates_of(steps: Iterable[Any]) -> int:
    """Return the number of candidates of a fragment."""
    return max((step.n for step in steps if isinstance(step, GenerateInstructions)), default=1)


def pairs_per_fragment(steps: Sequence[Any], accepted_share: float) -> float:
    """Return how many pairs a fragment gives on average, where near-duplicates of each other are not counted."""
    n = candidates_of(steps)
    keep = max((step.keep for step in steps if isinstance(step, SelectInstruction)), default=1)
    shares = [math.comb(n, k) * accepted_share**k * (1 - accepted_share) ** (n - k) for k in range(n + 1)]
    return sum(min(k, keep) * share for k, share in enumerate(shares))


class CorpusSample:
    """Runs each stage on the sample, and scales what it took.

    Args:
        recipe: The recipe; a generator that it trains is in ``folder``.
        population: All passages, and the sample of them.
        seed_instructions: What the generator learns to write like.
        accepted_share: Share of candidates that pass the guards; replaced by the sample's own where the recipe names a
            generator that is trained already.
        folder: Where the stages' files go.
    """

    def __init__(
        self, recipe: Recipe, population: Population, seed_instructions: list[str], accepted_share: float, folder: Path
    ) -> None:
        settings = recipe.corpus.with_models(recipe.base_model, str(folder / "generator"))
        self.stages = settings.stages()
        self.is_untrained = any(role == "generator" and not one.model for role, one in recipe.corpus.engines())
        steps = [step for stage in self.stages for step in stage.steps]
        self.n = candidates_of(steps)
        rejects = any(isinstance(step, GUARDS) for step in steps)
        self.accepted_share = accepted_share if rejects else 1.0
        self.target_pairs = settings.target_pairs
        self.sampled = len(population.sample)
        self.scale = population.count / self.sampled
        self.rows = Dataset.from_list(population.sample, features=PASSAGE)
        self._seed_instructions, self._folder = seed_instructions, folder
        self.tasks = 0  # rows of the sample that a model wrote whole
        self._written = self._expected = 1.0  # tokens per candidate, in the sample and in the run

    @property
    def pairs(self) -> int:
        """Pairs to be expected: as many of each fragment as are kept of the candidates that pass the guards."""
        steps = [step for stage in self.stages for step in stage.steps]
        given = self.tasks or len(self.rows)
        expected = max(1, round(given * self.scale * pairs_per_fragment(steps, self.accepted_share)))
        return min(expected, self.target_pairs or expected)

    def parts(self) -> Iterator[Part]:
        """Run the stages in order."""
        ways: dict[type, Callable[[Stage], Part]] = {
            GenerateInstructions: self._generate,
            WriteTasks: self._generate,
            ScoreCandidates: self._score,
            NearDuplicates: self._compare,
        }
        for stage in self.stages:
            if stage is self.stages[-1] and self.tasks and all(one["reject_reason"] for one in self._all()):
                self._clear()  # the follower's training is timed on some rows
            yield ways.get(type(stage.steps[-1]), self._run_plainly)(stage)
        release_models()

    def _run_plainly(self, stage: Stage) -> Part:
        """Run one row alone first: it loads models, the language identifier, and evaluation sets to keep clear of."""
        with measured() as load:
            for _, engine in engines_in(stage.steps):
                load_engine(engine)
            run_stage(self.rows.select([0]), stage)
        spent = self._run(stage)
        if not self.is_untrained and isinstance(stage.steps[0], GuardCandidates | GuardTasks):
            accepted = sum(one["reject_reason"] is None for one in self._all())
            self.accepted_share = max(accepted, 1) / len(self._all())
        return self._part(stage, spent, load)

    def _generate(self, stage: Stage) -> Part:
        """Take prefill and decoding apart: a trained generator ends earlier, and has as much to read."""
        step, given = stage.steps[-1], self.rows
        prompts = given["text"][:] if isinstance(step, WriteTasks) else step.prompts(given[:])
        with measured() as load:
            engine = load_engine(step.engine)
        with measured() as prefill:
            replace(step, sampling=replace(step.sampling, max_new_tokens=1))(given[:])
        spent = self._run(stage)
        longest = step.sampling.max_new_tokens
        if isinstance(step, WriteTasks):
            written = [text.partition("\n")[2] for text in dict.fromkeys(self.rows["text"])]
        else:
            written = [candidate_text(one) for one in self._all()]
        self._written = self._expected = self._mean_tokens(engine, written, longest)
        if self.is_untrained:
            self._expected = self._mean_tokens(engine, self._seed_instructions, longest)
        decoding = max(0.0, spent.seconds - prefill.seconds) * self._expected / self._written
        tokens = sum(engine.count_tokens(prompts)) + self._expected * self.n * len(given)
        if isinstance(step, WriteTasks):
            if self.is_untrained:  # it writes no tasks yet: those of seeds take their place
                seeds = [[self._seed_instructions[n % len(self._seed_instructions)]] for n in range(len(given))]
                self.rows = make_rows(step.cut(given[:], seeds, [True] * len(given)), self.rows.features)
                self._write(stage)
            self.tasks = len(self.rows)
        part = self._part(stage, spent, load, tokens)
        return replace(part, seconds=self.scale * (min(prefill.seconds, spent.seconds) + decoding))

    def _compare(self, stage: Stage) -> Part:
        """Time the comparison on the candidates' words in other orders: its cost depends on the number of texts."""
        (step,) = stage.steps
        words = [candidate_text(one).split() or [""] for one in self._all()]
        turns = [
            " ".join(one[turn % len(one) :] + one[: turn % len(one)])
            for turn in range(1 + COMPARED_TEXTS // len(words))
            for one in words
        ]
        with measured() as spent:
            step.find(((str(n), text) for n, text in enumerate(turns)), self._folder)
        spent.seconds *= self.accepted_share * len(words) / len(turns)
        write = time.perf_counter()
        self._write(stage)
        spent.seconds += time.perf_counter() - write
        return self._part(stage, spent, Measured())

    def _score(self, stage: Stage) -> Part:
        """Score all candidates of the sample, whatever a guard says of them, and scale to those that will pass."""
        step = stage.steps[-1]
        self._clear()
        with measured() as load:
            engine = load_engine(step.engine)
        spent = self._run(stage)
        contexts = [render_follower(one["instruction"], one["input"] or "") for one in self._all()]
        of_contexts = sum(engine.count_tokens(contexts))
        of_targets = sum(engine.count_tokens(self.rows["output"][:])) * self.n
        expected = of_targets + of_contexts - (self._written - self._expected) * len(contexts)
        spent.seconds *= self.accepted_share * expected / (of_targets + of_contexts)
        return self._part(stage, spent, load, self.accepted_share * expected)

    def _clear(self) -> None:
        """Take back what the guards rejected."""
        cleared = [[one | {"reject_reason": None} for one in many] for many in self.rows["candidates"]]
        self.rows = make_rows(self.rows[:] | {"candidates": cleared}, self.rows.features)

    def _run(self, stage: Stage) -> Measured:
        with measured() as spent:
            self.rows, _ = run_stage(self.rows, stage)
            self._write(stage)
        return spent

    def _write(self, stage: Stage) -> None:
        write_shard(self.rows, self._folder / f"{stage.name}.parquet", Counter(), 0.0)

    def _part(self, stage: Stage, spent: Measured, load: Measured, tokens: float = 0.0) -> Part:
        return Part(
            stage.name,
            seconds=spent.seconds * self.scale,
            fixed_seconds=load.seconds,
            tokens=tokens * self.scale,
            disk_bytes=(self._folder / f"{stage.name}.parquet").stat().st_size * self.scale,
            memory_bytes=max(load.memory_bytes, spent.memory_bytes),
            shared=not stage.whole_corpus,
        )

    def _all(self) -> list[dict[str, Any]]:
        return [one for many in self.rows["candidates"] for one in many]

    @staticmethod
    def _mean_tokens(engine: Engine, texts: list[str], longest: int) -> float:
        """Return the mean tokens that writing these texts takes, the one that ends each included."""
        return statistics.fmean(min(n_tokens + 1, longest) for n_tokens in engine.count_tokens(texts))
