"""Marked candidates to scored ones: how well each instruction predicts the output (section 3.1)."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

from davidgen_hf import prompts
from davidgen_hf.engines import EngineSettings, Score, load_engine
from davidgen_hf.engines.elimination import Elimination
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch
from davidgen_hf.processors.counting import TOKENS, count_candidates
from davidgen_hf.schema import ELIMINATED, SCORED, Candidate
from davidgen_hf.storage.settings import UNLESS_DEFAULT, check_settings

CAN_ELIMINATE = ("transformers", "vllm")


@dataclass(frozen=True)
class ScoreCandidates:
    """Score the output given the follower's prompt of each candidate that no guard rejected.

    All candidates of a row are scored on the same tokens of its output. If the output does not fit into the model's
    context together with the longest candidate, they are as many of its first tokens as do.

    Batch in:  ``output`` (n,) str, ``candidates`` (n, k) structs.
    Batch out: ``candidates`` (n, k) with ``nll`` (nats, summed over the output's tokens) and ``n_tokens`` set; they
    stay None where a guard rejected. A candidate that leaves no room for the output gets the reason ``over_long``,
    one for which the engine has no finite score ``engine_failed``. ``unconditional_nll`` (n,) nats, ``token_ends``
    (n, n_tokens) characters and ``token_nll`` of each candidate are None unless the settings turn them on and the row
    has a candidate left.

    Args:
        engine: The filtering model. The paper uses the untouched base model, and finds that the choice matters little
            (Table 5).
        unconditional: Also score each output without any instruction, one more pass per row; ``SelectInstruction``
            needs it for ``min_ifd`` and ``max_ifd``.
        token_nll: Keep the nll of each token, which costs only 4 bytes per token and candidate; ``SelectInstruction``
            needs it for ``mask_copied_words``.
        max_target_tokens: Score at most this many of an output's first tokens; None scores all. 128 found the winner
            of the whole for 99 % of 200 paragraphs of 60 to 140 words, and for 97 % of those that are longer than
            that; fewer find it less often (``benchmarks/``).
        eliminate: Stop scoring candidates that fall behind; see ``Elimination``. None scores all to the end. One that
            is dropped gets the reason ``eliminated`` and keeps the ``nll`` of the ``n_tokens`` that were scored, which
            is compared with no other; its ``token_nll`` is None. Needs the transformers or vLLM engine.

    Raises:
        SettingError: ``max_target_tokens`` is below 1, or the engine cannot score, or not by elimination.
    """

    reads: ClassVar[tuple[str, ...]] = ("output", "candidates")
    writes: ClassVar = SCORED
    changes_row_count: ClassVar[bool] = False

    engine: EngineSettings = field(default_factory=EngineSettings, metadata={"role": "scorer"})
    unconditional: bool = False
    token_nll: bool = False
    max_target_tokens: int | None = None
    version: int = 1
    eliminate: Elimination | None = field(default=None, metadata=UNLESS_DEFAULT)

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.engine.scores:
            raise SettingError(
                "The scorer's engine has endpoint: chat. A chat endpoint writes, and cannot score a text. Set it to "
                "completions, with a server that scores, or choose the engine transformers or vllm."
            )
        if self.eliminate and self.engine.kind not in CAN_ELIMINATE:
            raise SettingError(
                f"score.eliminate is set, and the scorer's engine is of kind {self.engine.kind!r}. Only "
                f"{' and '.join(CAN_ELIMINATE)} score by elimination. Leave out eliminate, or choose one of these."
            )
        if self.max_target_tokens is not None and self.max_target_tokens < 1:
            raise SettingError(f"max_target_tokens must be at least 1, got {self.max_target_tokens}.")

    def __call__(self, batch: Batch) -> Batch:
        engine = load_engine(self.engine)
        candidates = [[dict(candidate) for candidate in row] for row in batch["candidates"]]
        prompted = [(row, one) for row, many in enumerate(candidates) for one in many if one["reject_reason"] is None]
        contexts = [prompts.render_follower(one["instruction"], one["input"] or "") for _, one in prompted]
        spans = self._spans(prompted, engine.tokens_left(contexts))
        fitting = [place for place, (_, one) in enumerate(prompted) if one["reject_reason"] is None]
        given = (
            [contexts[place] for place in fitting],
            [batch["output"][prompted[place][0]] for place in fitting],
        )
        limits = [spans[prompted[place][0]] for place in fitting]
        if self.eliminate:
            able: Any = engine
            scores = able.score_by_elimination(*given, self.eliminate, limits)
        else:
            scores = engine.score(*given, max_target_tokens=limits)
        n_tokens: dict[int, int] = {}
        for place, score in zip(fitting, scores, strict=True):
            row, candidate = prompted[place]
            candidate.update(self._fields(score))
            if score and not score.complete:
                candidate.update(reject_reason=ELIMINATED, token_nll=None)
            if candidate["reject_reason"] is None:
                n_tokens[row] = candidate["n_tokens"]
        of_outputs = self._of_outputs(batch["output"], n_tokens)
        for row, candidate in prompted:  # without the unconditional score, the settings cannot judge a row
            if self.unconditional and row in n_tokens and of_outputs["unconditional_nll"][row] is None:
                candidate["reject_reason"] = candidate["reject_reason"] or "engine_failed"
        return {"candidates": candidates} | of_outputs

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of candidates, accepted ones, rejected ones by reason, and scored tokens."""
        counts = count_candidates(made)
        counts[f"{TOKENS}scored"] = sum(one["n_tokens"] or 0 for many in made["candidates"] for one in many)
        return counts

    def _fields(self, score: Score | None) -> dict[str, Any]:
        if score is None or not math.isfinite(score.nll):
            return {"reject_reason": "engine_failed"}
        token_nll = list(score.token_nll) if self.token_nll and score.token_nll is not None else None
        return {"nll": score.nll, "n_tokens": score.n_tokens, "token_nll": token_nll}

    def _of_outputs(self, outputs: list[str], n_tokens: dict[int, int]) -> Batch:
        """Return the columns about the outputs, for as many tokens as the candidates were scored on."""
        engine = load_engine(self.engine)
        columns: Batch = {name: [None] * len(outputs) for name in ("unconditional_nll", "token_ends")}
        scored = [outputs[row] for row in n_tokens]
        if self.unconditional and scored:
            alone = engine.score([""] * len(scored), scored, max_target_tokens=list(n_tokens.values()))
            for row, score in zip(n_tokens, alone, strict=True):
                columns["unconditional_nll"][row] = self._fields(score).get("nll")
        if self.token_nll:
            for row, ends in zip(n_tokens, engine.token_ends(scored), strict=True):
                columns["token_ends"][row] = ends[: n_tokens[row]]
        return columns

    def _spans(self, prompted: list[tuple[int, Candidate]], tokens_left: list[int]) -> dict[int, int]:
        """Reject candidates that leave no room; return how many tokens of its output each row is scored on."""
        spans: dict[int, int] = {}
        for (row, candidate), n_tokens in zip(prompted, tokens_left, strict=True):
            if n_tokens < 1:
                candidate["reject_reason"] = "over_long"
            else:
                spans[row] = min(n_tokens, spans.get(row, self.max_target_tokens or n_tokens))
        return spans
