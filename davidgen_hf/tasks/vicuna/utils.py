"""What the YAML cannot say: which questions, the prompt, and two figures that need no judge."""

from pathlib import Path

from datasets import Dataset

from davidgen_hf.evaluation.vicuna import load_questions
from davidgen_hf.prompts import render_follower
from davidgen_hf.sources.words import count_words


def load_docs(vicuna_data: str | Path | None = None, **_metadata: object) -> dict[str, Dataset]:
    """Return the 70 questions; lm-eval hands over the model's arguments and ``--metadata`` as well."""
    questions = load_questions(vicuna_data)
    return {"test": Dataset.from_dict({"question_id": list(questions), "question": list(questions.values())})}


def table_7_prompt(doc: dict) -> str:
    """Return the follower's prompt (the paper's Table 7)."""
    return render_follower(doc["question"])


def measure(doc: dict, results: list[str]) -> dict[str, float]:
    """Return the length of one answer in words, and whether it is empty; what it is worth, a judge says."""
    words = count_words(results[0])
    return {"answer_words": float(words), "empty_answers": float(words == 0)}
