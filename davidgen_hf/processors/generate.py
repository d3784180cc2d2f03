"""Fragments to candidates: the generator writes K instructions for each output (section 2.5, Table 9)."""

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from davidgen_hf import prompts
from davidgen_hf.engines import Engine, EngineSettings, Sampling, load_engine
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch, draw
from davidgen_hf.processors.counting import TOKENS, count_candidates
from davidgen_hf.processors.reverse import check_styles
from davidgen_hf.schema import CANDIDATES, Candidate, empty_candidate
from davidgen_hf.storage.settings import UNLESS_DEFAULT, check_settings

MAX_CANDIDATES = 10_000  # of a fragment


@dataclass(frozen=True)
class GenerateInstructions:
    """Write ``n`` candidate instructions for each output.

    Batch in:  ``output`` (n_rows,) str.
    Batch out: ``candidates`` (n_rows, n), structs of ``schema.CANDIDATE`` without scores. A row for which the engine
    failed permanently has ``n`` empty candidates with the reason ``engine_failed``.

    Args:
        engine: The instruction generator.
        n: Candidates per row, the paper's K. The paper gives no number.
        sampling: How they are drawn; the paper's top-p 0.9, top-k 40, temperature 0.7.
        styles: Names of ``prompts.STYLES``; one is drawn for each row by ``sampling.seed`` and the output.
        prompt_format: ``reversed`` asks an instruction generator with the prompts of Table 9; ``following`` asks an
            instruction follower, with the same question in the prompt of Table 7 (``prompts.render_following``).

    Raises:
        SettingError: ``n`` is below 1, or a style is unknown.
    """

    reads: ClassVar[tuple[str, ...]] = ("output",)
    writes: ClassVar = CANDIDATES
    changes_row_count: ClassVar[bool] = False

    engine: EngineSettings = field(default_factory=EngineSettings, metadata={"role": "generator"})
    n: int = 4
    sampling: Sampling = field(default_factory=Sampling)
    styles: tuple[str, ...] = tuple(prompts.STYLES)
    prompt_format: Literal["reversed", "following"] = field(default="reversed", metadata=UNLESS_DEFAULT)
    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)
        check_styles(self.styles)
        if not 1 <= self.n <= MAX_CANDIDATES:
            raise SettingError(f"n must be 1 to {MAX_CANDIDATES:,}, got {self.n}.")

    def __call__(self, batch: Batch) -> Batch:
        engine = load_engine(self.engine)
        styles = [self._style(output) for output in batch["output"]]
        answers = engine.generate(self.prompts(batch["output"]), n=self.n, sampling=self.sampling)
        return {"candidates": [self._candidates(engine, *row) for row in zip(answers, styles, strict=True)]}

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of candidates, and of the tokens of their prompts and of their own."""
        engine = load_engine(self.engine)
        written = [one[part] for many in made["candidates"] for one in many for part in ("instruction", "input")]
        counts = count_candidates(made)
        counts[f"{TOKENS}prompts"] = sum(engine.count_tokens(self.prompts(given["output"])))
        counts[f"{TOKENS}candidates"] = sum(engine.count_tokens([text for text in written if text]))
        return counts

    def prompts(self, outputs: list[str]) -> list[str]:
        """Return the prompt for each output."""
        render = prompts.render_generator if self.prompt_format == "reversed" else prompts.render_following
        return [render(output, self._style(output)) for output in outputs]

    def _style(self, output: str) -> str:
        return self.styles[draw(len(self.styles), self.sampling.seed, output)]

    def _candidates(self, engine: Engine, texts: list[str] | None, style: str) -> list[Candidate]:
        if texts is None:
            return [empty_candidate(style=style, reject_reason="engine_failed") for _ in range(self.n)]
        # A candidate is unfinished only if it used up its tokens; counting them again is rarely off by more than one.
        finished = [n_tokens < self.sampling.max_new_tokens for n_tokens in engine.count_tokens(texts)]
        return [
            empty_candidate(
                **dict(zip(("instruction", "input"), prompts.parse_answer(text), strict=True)),
                style=style,
                finished=done,
                closed_source=engine.closed_source,
            )
            for text, done in zip(texts, finished, strict=True)
        ]
