"""What the YAMLs cannot say: where the instances come from, the two prompts, and the official scores."""

import string
from pathlib import Path
from typing import Any

from datasets import Dataset

from davidgen_hf.errors import InputError
from davidgen_hf.evaluation.data import superni_docs
from davidgen_hf.evaluation.superni import instance_scores
from davidgen_hf.prompts import render_follower

N_EXAMPLES = 2


def load_docs(task: str, superni_data: str | Path | None = None, **_metadata: object) -> dict[str, Dataset]:
    """Return the test split; lm-eval also passes the model's arguments and ``--metadata``."""
    return {"test": superni_docs(task, superni_data)}


def table_7_prompt(doc: dict[str, Any]) -> str:
    """Return the follower's prompt (the paper's Table 7), with the task's definition as instruction."""
    return render_follower(doc["definition"], doc["input"])


def tk_instruct_prompt(doc: dict[str, Any]) -> str:
    """Return the official prompt: definition, two positive examples, input, each ended by a punctuation mark.

    Unlike Tk-Instruct, no example is left out of prompts of more than 1,024 tokens.

    Raises:
        InputError: The task has no positive examples, as in the Hub's copy.
    """
    if not doc["examples"]:
        raise InputError(
            f"Tk-Instruct's prompt needs positive examples, and {doc['task']} has none; the Hub's copy holds none. "
            "Name a folder of the official task files (superni_data)."
        )
    definition = f"Definition: {_ended(doc['definition'])}\n\n"
    examples = "".join(
        f" Positive Example {number} -\nInput: {_ended(one['input'])}\n Output: {_ended(one['output'])}\n\n"
        for number, one in enumerate(doc["examples"][:N_EXAMPLES], start=1)
    )
    return f"{definition}{examples}Now complete the following example -\nInput: {_ended(doc['input'])}\nOutput: "


def score_default(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return the scores of one answer in percent, by the rules of the default track."""
    return _score(doc, results[0], "default")


def score_xlingual(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return the scores of one answer in percent, by the rules of the cross-lingual track."""
    return _score(doc, results[0], "xlingual")


def _score(doc: dict[str, Any], answer: str, track: str) -> dict[str, float]:
    (scores,) = instance_scores([answer], [doc["references"]], track)
    return {metric: 100 * score for metric, score in scores.items()}


def _ended(text: str) -> str:
    """Return ``text`` stripped, with a full stop where it does not end in a punctuation mark."""
    text = text.strip()
    return text if text.endswith(tuple(string.punctuation)) else f"{text}."
