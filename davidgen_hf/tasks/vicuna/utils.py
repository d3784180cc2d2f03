"""What the YAML cannot say: which questions, the prompt, and two figures that need no judge."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from davidgen_hf.evaluation.vicuna import load_questions
from davidgen_hf.prompts import render_follower
from davidgen_hf.sources.words import count_words


def load_docs(vicuna_data: str | Path | None = None, **_metadata: object) -> dict[str, Dataset]:
    """Return the 70 questions; lm-eval also passes the model's arguments and ``--metadata``."""
    questions = load_questions(vicuna_data)
    return {"test": Dataset.from_dict({"question_id": list(questions), "question": list(questions.values())})}


def table_7_prompt(doc: dict[str, Any]) -> str:
    """Return the follower's prompt (the paper's Table 7)."""
    return render_follower(doc["question"])


def measure(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return the length of one answer in words, and whether it is empty; its quality is for a judge to say."""
    words = count_words(results[0])
    return {"answer_words": float(words), "empty_answers": float(words == 0)}
