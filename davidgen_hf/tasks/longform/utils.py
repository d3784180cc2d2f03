"""What the YAMLs cannot say: where the examples come from, the prompt, and the metrics."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from davidgen_hf.evaluation.data import longform_docs
from davidgen_hf.evaluation.meteor import check_data, check_language, example_scores
from davidgen_hf.evaluation.multilingual import example_scores as multilingual_example_scores
from davidgen_hf.prompts import render_follower


def load_docs(longform_data: str | Path | None = None, **_metadata: object) -> dict[str, Dataset]:
    """Return the test split; lm-eval also passes the model's arguments and ``--metadata``."""
    check_data()  # now, not after hours of generating
    docs = longform_docs(longform_data)
    check_language(docs["reference"][:])
    return {"test": docs}


def load_docs_in_any_language(longform_data: str | Path | None = None, **_metadata: object) -> dict[str, Dataset]:
    """Return the test split as ``load_docs``, in any language."""
    multilingual_example_scores("", "a")  # now, not after hours of generating: needs GPT-2's tokenizer
    return {"test": longform_docs(longform_data)}


def table_7_prompt(doc: dict[str, Any]) -> str:
    """Return the follower's prompt (the paper's Table 7)."""
    return render_follower(doc["instruction"], doc["input"])


def score(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return the METEOR of one answer, from 0 to 1."""
    return {"meteor": example_scores(results, [doc["reference"]])[0]}


def score_in_any_language(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return chrF, ROUGE-L and exact match of one answer, each from 0 to 1."""
    return multilingual_example_scores(results[0], doc["reference"])
