"""Metrics of answers in any language: chrF, ROUGE-L over GPT-2's pieces, and exact match of short answers."""

from collections.abc import Sequence
from importlib.metadata import version

from sacrebleu.metrics.chrf import CHRF

from davidgen_hf.errors import EvaluationError
from davidgen_hf.evaluation.rouge import tokens
from davidgen_hf.sources.subsequence import rouge_l
from davidgen_hf.sources.words import fold, words

METRICS = ("chrf", "rougeL", "exact_match")


def multilingual_scores(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Score predictions against one reference each.

    Args:
        predictions: One answer per example, ``(n,)``.
        references: One right answer per example, ``(n,)``.

    Returns:
        The mean of each of ``METRICS`` over the examples, from 0 to 1.

    Raises:
        EvaluationError: The two lists differ in length or are empty.
        SettingError: GPT-2's tokenizer is not available.
    """
    if not len(predictions) or len(predictions) != len(references):
        raise EvaluationError(
            f"There are {len(predictions)} predictions and {len(references)} references. Each example needs one of "
            "both. Complete the lists."
        )
    rows = [example_scores(*pair) for pair in zip(predictions, references, strict=True)]
    return {metric: sum(row[metric] for row in rows) / len(rows) for metric in METRICS}


def example_scores(prediction: str, reference: str) -> dict[str, float]:
    """Score one answer, each metric from 0 to 1.

    ``chrf`` is sacrebleu's chrF of a sentence (Popović, 2015). ``rougeL`` is that of SuperNI's cross-lingual track.
    ``exact_match`` compares words without case and punctuation, in any script (our own rule).
    """
    expected = words(reference)
    same = words(prediction) == expected if expected else fold(prediction.strip()) == fold(reference.strip())
    return {
        "chrf": CHRF().sentence_score(prediction, [reference]).score / 100,
        "rougeL": rouge_l(tokens(prediction, "xlingual"), tokens(reference, "xlingual")),
        "exact_match": float(same),
    }


def versions() -> dict[str, str]:
    """Return the version that the figures of chrF depend on."""
    return {"sacrebleu": version("sacrebleu")}
