"""The stages of a corpus on a sample of its passages."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from datasets import Dataset

from davidgen_hf.corpus.build import STAGES, stages
from davidgen_hf.engines import Engine, load_engine
from davidgen_hf.estimate.figures import Measured, Part, measured
from davidgen_hf.estimate.sampling import Population
from davidgen_hf.processors.guard import candidate_text
from davidgen_hf.prompts import render_follower, render_generator
from davidgen_hf.recipe import Recipe
from davidgen_hf.schema import PASSAGE
from davidgen_hf.storage.shards import write_shard

# So many texts are compared to time the search for near-duplicates.
COMPARED_TEXTS = 2000


class CorpusSample:
    """Runs each stage on the sample, and scales what it took.

    Args:
        recipe: The recipe; a generator that it trains lies in ``folder``.
        population: All passages, and the sample of them.
        seed_instructions: What the generator learns to write like.
        accepted_share: Share of candidates that pass the guards; replaced by the sample's own where the recipe names a
            generator that is trained already.
        folder: Where the stages' files go.
    """

    def __init__(
        self, recipe: Recipe, population: Population, seed_instructions: list[str], accepted_share: float, folder: Path
    ) -> None:
        self.settings = recipe.corpus.with_models(recipe.base_model, str(folder / "generator"))
        self.is_untrained = not recipe.corpus.generate.engine.model
        self.accepted_share = accepted_share if self.settings.guards != "none" else 1.0
        self.scale = population.count / len(population.sample)
        self.rows = Dataset.from_list(population.sample, features=PASSAGE)
        self._seed_instructions, self._folder = seed_instructions, folder
        self._written = self._expected = 0.0  # tokens of a candidate, in the sample and in the run

    @property
    def pairs(self) -> int:
        """Pairs to be expected: one for each fragment with a candidate that passes the guards."""
        left = 1 - (1 - self.accepted_share) ** self.settings.generate.n
        return max(1, round(len(self.rows) * self.scale * left))

    def parts(self) -> Iterator[Part]:
        """Run the stages in their order."""
        run = {
            "fragments": self._fragments,
            "candidates": self._candidates,
            "guarded": self._guarded,
            "unique": self._unique,
            "scored": self._scored,
            "corpus": self._corpus,
        }
        for stage in stages(self.settings):
            yield run[stage]()
        load_engine.cache_clear()

    def _fragments(self) -> Part:
        with measured() as load:
            load_engine(self.settings.limit.engine)
        return self._part("fragments", self._run("fragments"), load)

    def _candidates(self) -> Part:
        """Take prefill and decoding apart: a trained generator ends earlier, and has as much to read."""
        step, fragments = self.settings.generate, self.rows
        with measured() as load:
            engine = load_engine(step.engine)
        with measured() as prefill:
            replace(step, sampling=replace(step.sampling, max_new_tokens=1))(fragments[:])
        spent = self._run("candidates")
        longest = step.sampling.max_new_tokens
        written = [candidate_text(one) for one in self._all()]
        self._written = self._expected = self._mean_tokens(engine, written, longest)
        if self.is_untrained:
            self._expected = self._mean_tokens(engine, self._seed_instructions, longest)
        decoding = max(0.0, spent.seconds - prefill.seconds) * self._expected / self._written
        asked = [render_generator(output, step.styles[0]) for output in fragments["output"]]
        tokens = sum(engine.count_tokens(asked)) + self._expected * step.n * len(fragments)
        part = self._part("candidates", spent, load, tokens)
        return replace(part, seconds=self.scale * (min(prefill.seconds, spent.seconds) + decoding))

    def _guarded(self) -> Part:
        with measured() as load:  # the language identifier, and evaluation sets to keep clear of
            STAGES["guarded"](self.rows.select([0]), self.settings)
        spent = self._run("guarded")
        if not self.is_untrained:
            accepted = sum(one["reject_reason"] is None for one in self._all())
            self.accepted_share = max(accepted, 1) / len(self._all())
        return self._part("guarded", spent, load)

    def _unique(self) -> Part:
        """Time the comparison on the candidates' words in other orders: it costs what the number of texts says."""
        words = [candidate_text(one).split() or [""] for one in self._all()]
        turns = [
            " ".join(one[turn % len(one) :] + one[: turn % len(one)])
            for turn in range(1 + COMPARED_TEXTS // len(words))
            for one in words
        ]
        with measured() as spent:
            self.settings.guards.near_duplicates.find(((str(n), text) for n, text in enumerate(turns)), self._folder)
        spent.seconds *= self.accepted_share * len(words) / len(turns)
        write = time.perf_counter()
        self._write("unique", self.rows)
        spent.seconds += time.perf_counter() - write
        return replace(self._part("unique", spent, Measured()), shared=False)

    def _scored(self) -> Part:
        """Score all candidates of the sample, whatever a guard says of them, and scale to those that will pass."""
        step = self.settings.score
        cleared = [[one | {"reject_reason": None} for one in many] for many in self.rows["candidates"]]
        self.rows = Dataset.from_dict(self.rows[:] | {"candidates": cleared}, features=self.rows.features)
        with measured() as load:
            engine = load_engine(step.engine)
        spent = self._run("scored")
        contexts = [render_follower(one["instruction"], one["input"] or "") for one in self._all()]
        of_contexts = sum(engine.count_tokens(contexts))
        of_targets = sum(engine.count_tokens(self.rows["output"][:])) * self.settings.generate.n
        expected = of_targets + of_contexts - (self._written - self._expected) * len(contexts)
        share = self.accepted_share * expected / (of_targets + of_contexts)
        spent.seconds *= share
        return self._part("scored", spent, load, self.accepted_share * expected)

    def _corpus(self) -> Part:
        return self._part("corpus", self._run("corpus"), Measured())

    def _run(self, stage: str) -> Measured:
        with measured() as spent:
            self.rows, _ = STAGES[stage](self.rows, self.settings)
            self._write(stage, self.rows)
        return spent

    def _write(self, stage: str, rows: Dataset) -> None:
        write_shard(rows, self._folder / f"{stage}.parquet", {}, 0.0)

    def _part(self, stage: str, spent: Measured, load: Measured, tokens: float = 0.0) -> Part:
        return Part(
            stage,
            seconds=spent.seconds * self.scale,
            fixed_seconds=load.seconds,
            tokens=tokens * self.scale,
            disk_bytes=(self._folder / f"{stage}.parquet").stat().st_size * self.scale,
            memory_bytes=max(load.memory_bytes, spent.memory_bytes),
            shared=True,
        )

    def _all(self) -> list[dict]:
        return [one for many in self.rows["candidates"] for one in many]

    @staticmethod
    def _mean_tokens(engine: Engine, texts: list[str], longest: int) -> float:
        """Return the mean tokens that writing these texts takes, the one that ends each included."""
        return statistics.fmean(min(n_tokens + 1, longest) for n_tokens in engine.count_tokens(texts))
