"""What the YAML cannot say: where the examples come from, the prompt, and METEOR."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from davidgen_hf.evaluation.data import longform_docs
from davidgen_hf.evaluation.meteor import check_data, example_scores
from davidgen_hf.prompts import render_follower


def load_docs(longform_data: str | Path | None = None, **_metadata: object) -> dict[str, Dataset]:
    """Return the test split; lm-eval also passes the model's arguments and ``--metadata``."""
    check_data()  # now, not after hours of generating
    return {"test": longform_docs(longform_data)}


def table_7_prompt(doc: dict[str, Any]) -> str:
    """Return the follower's prompt (the paper's Table 7)."""
    return render_follower(doc["instruction"], doc["input"])


def score(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return the METEOR of one answer, from 0 to 1."""
    return {"meteor": example_scores(results, [doc["reference"]])[0]}
