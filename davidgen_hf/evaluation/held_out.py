"""Follower against base model on seeds that no training saw: how good the answers, how likely the references."""

from dataclasses import dataclass, replace
from math import exp

from datasets import Dataset

from davidgen_hf import prompts
from davidgen_hf.engines import Engine, EngineSettings, Sampling, load_engine
from davidgen_hf.engines.unanswered import require_answers
from davidgen_hf.errors import TooLongError
from davidgen_hf.evaluation.rouge import text_rouge_l

# exp of more is not a number that a float holds; a model without a clue is at about 10 nats per token.
_MAX_NATS = 700.0


@dataclass(frozen=True)
class HeldOutScores:
    """One model on the held-out seeds.

    Args:
        rouge_l: Mean ROUGE-L F1 of greedy answers, with stemming, 0 to 100; ``None`` if every seed was left out.
        perplexity: Of the references' tokens given their prompts; ``None`` if it is not a finite number.
        answers: The answers in the order of the seeds, ``(n,)``; ``None`` for a seed that was left out.
    """

    rouge_l: float | None
    perplexity: float | None
    answers: list[str | None]

    @property
    def too_long(self) -> int:
        """How many seeds were left out because one of the models has no room for them."""
        return self.answers.count(None)


def compare_on_held_out(
    models: dict[str, str], seeds: Dataset, engine: EngineSettings, max_new_tokens: int
) -> dict[str, HeldOutScores]:
    """Let each model answer the seeds' instructions in the follower's prompt (Table 7), greedily.

    A seed whose prompt leaves one of the models no room for an answer or for the reference is left out for all of
    them, as training leaves out such rows.

    Args:
        models: Folder or Hub id of each model, by the name to report it under.
        seeds: Rows of ``schema.SEED`` with at least one row.
        engine: How the models run; its ``model`` is replaced.
        max_new_tokens: Longest answer, in tokens.

    Raises:
        ModelError: A server left a seed without an answer.
        TooLongError: A seed fits into the models' context, but not into memory.
    """
    engines = {name: load_engine(replace(engine, model=model)) for name, model in models.items()}
    contexts = [prompts.render_follower(row["instruction"], row["input"]) for row in seeds]
    references = seeds["output"][:]
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=0.0)
    rows = list(range(len(contexts)))
    try:
        with require_answers("held-out seeds"):
            return {name: _score(one, rows, contexts, references, sampling) for name, one in engines.items()}
    except TooLongError:
        for one in engines.values():
            rooms, lengths = one.tokens_left(contexts), one.count_tokens(references)
            rows = [row for row in rows if rooms[row] >= max(lengths[row], max_new_tokens)]
        if len(rows) == len(contexts):
            raise  # memory is short, not the context
    with require_answers("held-out seeds"):
        return {name: _score(one, rows, contexts, references, sampling) for name, one in engines.items()}


def _score(
    engine: Engine, rows: list[int], contexts: list[str], references: list[str], sampling: Sampling
) -> HeldOutScores:
    answers: list[str | None] = [None] * len(contexts)
    if not rows:
        return HeldOutScores(None, None, answers)
    kept, targets = [contexts[row] for row in rows], [references[row] for row in rows]
    written = [(texts or [""])[0].strip() for texts in engine.generate(kept, n=1, sampling=sampling)]
    rouge = [text_rouge_l(answer, reference) for answer, reference in zip(written, targets, strict=True)]
    likely = [score for score in engine.score(kept, targets) if score]
    n_tokens = sum(one.n_tokens for one in likely)
    nats = sum(one.nll for one in likely) / n_tokens if n_tokens else _MAX_NATS
    for row, answer in zip(rows, written, strict=True):
        answers[row] = answer
    return HeldOutScores(
        rouge_l=100 * sum(rouge) / len(rouge),
        perplexity=exp(nats) if nats < _MAX_NATS else None,  # NaN is not less either
        answers=answers,
    )
