"""Fragments to candidates: the generator writes K instructions for each output (section 2.5, Table 9)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from davidgen_hf import prompts
from davidgen_hf.engines import Engine, EngineSettings, Sampling, load_engine
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch, languages
from davidgen_hf.processors.counting import TOKENS, count_candidates
from davidgen_hf.processors.styles import TABLE_9, PromptLanguage, Styles, draw_styles, in_language, style_prompts
from davidgen_hf.schema import CANDIDATES, Candidate, empty_candidate
from davidgen_hf.storage.settings import UNLESS_DEFAULT, check_settings

MAX_CANDIDATES = 10_000  # of a fragment


@dataclass(frozen=True)
class GenerateInstructions:
    """Write ``n`` candidate instructions for each output.

    Batch in:  ``output`` (n_rows,) str; ``language`` (n_rows,) str if there is one.
    Batch out: ``candidates`` (n_rows, n), structs of ``schema.CANDIDATE`` without scores. A row for which the engine
    failed permanently has ``n`` empty candidates with the reason ``engine_failed``.

    Args:
        engine: The instruction generator.
        n: Candidates per row, the paper's K. The paper gives no number.
        sampling: How they are drawn; the paper's top-p 0.9, top-k 40, temperature 0.7.
        styles: Names of ``prompts.STYLES``; or a mapping that adds styles of your own to these three, ``{summary:
            {head: ..., tail: ...}}``, and leaves out those that it maps to ``none``. The generator reads head, output
            and tail, and has to write the instruction.
        styles_per_passage: Styles that are drawn for each row by ``sampling.seed`` and the output. The ``n``
            candidates are spread over them.
        prompt_format: ``reversed`` asks an instruction generator with the prompts of Table 9; ``following`` asks an
            instruction follower, with the same question in the prompt of Table 7 (``prompts.render_following``).
        prompt_language: ``row`` asks in the language of the row (a column ``language``), where ``table_9.yaml`` has
            it, and in English elsewhere. Train the generator with the same setting in ``reverse``.

    Raises:
        SettingError: ``n`` is out of range, a style is unknown or has no proper prompt, or ``styles_per_passage`` is
            more than there are styles or candidates.
    """

    reads: ClassVar[tuple[str, ...]] = ("output",)
    writes: ClassVar = CANDIDATES
    changes_row_count: ClassVar[bool] = False

    engine: EngineSettings = field(default_factory=EngineSettings, metadata={"role": "generator"})
    n: int = 4
    sampling: Sampling = field(default_factory=Sampling)
    styles: Styles = TABLE_9
    prompt_format: Literal["reversed", "following"] = field(default="reversed", metadata=UNLESS_DEFAULT)
    version: int = 1
    styles_per_passage: int = field(default=1, metadata=UNLESS_DEFAULT)
    prompt_language: PromptLanguage = field(default="en", metadata=UNLESS_DEFAULT)

    def __post_init__(self) -> None:
        check_settings(self)
        n_styles = len(style_prompts(self.styles))
        if not 1 <= self.n <= MAX_CANDIDATES:
            raise SettingError(f"n must be 1 to {MAX_CANDIDATES:,}, got {self.n}.")
        if not 1 <= self.styles_per_passage <= min(self.n, n_styles):
            raise SettingError(
                f"styles_per_passage must be 1 to {min(self.n, n_styles)}, got {self.styles_per_passage}. Each style "
                f"needs a candidate, and there are {self.n} candidates and {n_styles} styles. Raise n, or add styles."
            )

    def __call__(self, batch: Batch) -> Batch:
        engine = load_engine(self.engine)
        names = style_prompts(self.styles)
        drawn = [self._draw(names, output) for output in batch["output"]]
        codes = languages(batch, "en")
        rows: Batch = {"candidates": [[] for _ in drawn]}
        # If n is not a multiple of the number of styles, the first ones of a row get one more candidate each.
        for n in dict.fromkeys(self._shares):
            wanted = [
                (row, style)
                for row, own in enumerate(drawn)
                for style, share in zip(own, self._shares, strict=True)
                if share == n
            ]
            texts = [self.render(batch["output"][row], style, codes[row]) for row, style in wanted]
            answers = engine.generate(texts, n=n, sampling=self.sampling)
            for (row, style), answer in zip(wanted, answers, strict=True):
                rows["candidates"][row] += self._candidates(engine, answer, style, n)
        return rows

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of candidates, and of the tokens of their prompts and of their own."""
        engine = load_engine(self.engine)
        written = [one[part] for many in made["candidates"] for one in many for part in ("instruction", "input")]
        counts = count_candidates(made)
        counts[f"{TOKENS}prompts"] = sum(engine.count_tokens(self.prompts(given)))
        counts[f"{TOKENS}candidates"] = sum(engine.count_tokens([text for text in written if text]))
        return counts

    def prompts(self, batch: Batch) -> list[str]:
        """Return the prompts for all outputs, one for each of an output's styles."""
        names = style_prompts(self.styles)
        rows = zip(batch["output"], languages(batch, "en"), strict=True)
        return [self.render(output, style, code) for output, code in rows for style in self._draw(names, output)]

    def render(self, output: str, style: str, language: str | None = None) -> str:
        """Return the prompt for an output in a style, by the name of the style."""
        render = prompts.render_generator if self.prompt_format == "reversed" else prompts.render_following
        language = language if self.prompt_language == "row" else None
        return render(output, in_language(style, style_prompts(self.styles), language or "en"))

    def _draw(self, names: Iterable[str], output: str) -> list[str]:
        return draw_styles(names, self.styles_per_passage, self.sampling.seed, output)

    @property
    def _shares(self) -> list[int]:
        """The number of candidates of each of a row's styles."""
        each, more = divmod(self.n, self.styles_per_passage)
        return [each + (place < more) for place in range(self.styles_per_passage)]

    def _candidates(self, engine: Engine, texts: list[str] | None, style: str, n: int) -> list[Candidate]:
        if texts is None:
            return [empty_candidate(style=style, reject_reason="engine_failed") for _ in range(n)]
        # A candidate is unfinished only if it used up its tokens; counting them again is rarely off by more than one.
        finished = [n_tokens < self.sampling.max_new_tokens for n_tokens in engine.count_tokens(texts)]
        return [
            empty_candidate(
                **dict(zip(("instruction", "input"), prompts.parse_answer(text), strict=True)),
                style=style,
                finished=done,
                closed_source=engine.restricted,
            )
            for text, done in zip(texts, finished, strict=True)
        ]
