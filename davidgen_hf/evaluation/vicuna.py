"""The 80 Vicuna questions, less the ten that the paper leaves out, and the answers that models gave them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from annotated_types import MinLen
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from pydantic import BaseModel

from davidgen_hf.errors import EvaluationError, InputError
from davidgen_hf.sources.rows import read_rows
from davidgen_hf.storage.validation import Number, Text, read_json, validate

# The questions are the ``vicuna`` part of AlpacaEval's set, in FastChat's order but without its numbers.
HUB_REPOSITORY, HUB_FILE = "tatsu-lab/alpaca_eval", "alpaca_eval.json"
N_QUESTIONS = 80

# Code (61-67) and mathematics (68-70), which the paper leaves out (section 4.2).
CODE_AND_MATH_IDS = frozenset(range(61, 71))


class _Question(BaseModel):
    """A line of FastChat's ``question.jsonl``; its form since 2023 has ``turns``."""

    question_id: Number
    text: Text | None = None
    turns: list[Text] | None = None


class _HubQuestion(BaseModel):
    """A row of AlpacaEval's set, which holds several sets of questions."""

    instruction: Text
    dataset: str


class _Answer(BaseModel):
    def read(self) -> tuple[int, str]:
        """Return ``(question_id, text)``."""
        raise NotImplementedError


class _TextAnswer(_Answer):
    """An answer as FastChat wrote it until 2023."""

    question_id: Number
    text: Text

    def read(self) -> tuple[int, str]:
        return self.question_id, self.text


class _Choice(BaseModel):
    turns: Annotated[list[Text], MinLen(1)]


class _ChatAnswer(_Answer):
    """An answer as FastChat has written it since; the first turn of the first choice counts."""

    question_id: Number
    choices: Annotated[list[_Choice], MinLen(1)]

    def read(self) -> tuple[int, str]:
        return self.question_id, self.choices[0].turns[0]


class _EvaluatedAnswer(_Answer):
    """An answer as ``davidgen eval`` writes it."""

    id: Number
    answer: Text

    def read(self) -> tuple[int, str]:
        return self.id, self.answer


class _Document(BaseModel):
    question_id: Number


class _LoggedAnswer(_Answer):
    """A sample as ``lm_eval run --log_samples`` writes it."""

    doc: _Document
    filtered_resps: Annotated[list[Text], MinLen(1)]

    def read(self) -> tuple[int, str]:
        return self.doc.question_id, self.filtered_resps[0]


_ANSWERS: dict[tuple[str, ...], type[_Answer]] = {
    ("doc", "filtered_resps"): _LoggedAnswer,
    ("question_id", "text"): _TextAnswer,
    ("question_id", "choices"): _ChatAnswer,
    ("id", "answer"): _EvaluatedAnswer,
}


def load_questions(source: str | Path | None = None, keep_code_and_math: bool = False) -> dict[int, str]:
    """Return the questions by their number: 70 unless ``keep_code_and_math``.

    Args:
        source: JSON Lines as FastChat's ``question.jsonl`` (``text``, or ``turns`` of which the first is taken);
            ``None`` reads them from the Hub.
        keep_code_and_math: Keep numbers 61 to 70, which the paper leaves out.

    Raises:
        InputError: The file lacks a field, numbers a question twice or has no question that is kept, or the Hub does
            not hold 80 questions.
    """
    questions = _hub_questions() if source is None else _file_questions(source)
    dropped = frozenset() if keep_code_and_math else CODE_AND_MATH_IDS
    kept = {number: text for number, text in questions.items() if number not in dropped}
    if not kept:
        raise InputError(
            f"{source} holds only the questions {min(questions)} to {max(questions)}, on code and mathematics, which "
            "the paper leaves out. Add other questions, or keep these with --all-questions."
        )
    return kept


def load_answers(path: str | Path, questions: dict[int, str], limit: int | None = None) -> dict[int, str]:
    """Return a model's answers by question number, for the first ``limit`` of ``questions``.

    Each line holds ``question_id`` and ``text`` (FastChat 2023), ``question_id`` and ``choices`` (FastChat since),
    ``id`` and ``answer`` (`davidgen eval`), or is a logged sample of lm-eval whose ``doc`` has the ``question_id``.
    Answers to the questions on code and mathematics are ignored if those are left out.

    Raises:
        InputError: A line has none of these forms.
        EvaluationError: Answers are missing, doubled, or belong to no question.
    """
    answers: dict[int, str] = {}
    doubled = set()
    for place, row in read_rows(str(path)):
        question_id, text = _answer_of(row, place)
        if question_id in answers:
            doubled.add(question_id)
        answers[question_id] = text
    expected = list(questions)[:limit]
    missing = sorted(set(expected) - set(answers))
    foreign = sorted(set(answers) - set(questions) - CODE_AND_MATH_IDS)
    if missing or doubled or foreign:
        raise EvaluationError(
            f"{path} does not answer the {len(expected)} questions once each. Missing: {missing}; more than once: "
            f"{sorted(doubled)}; of no question: {foreign}. Fix the file, or pass the questions it belongs to."
        )
    return {number: answers[number] for number in expected}


def write_answers(path: str | Path, answers: dict[int, str]) -> None:
    """Write answers as ``load_answers`` reads them."""
    rows = ({"question_id": number, "text": text} for number, text in answers.items())
    Path(path).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def describe_questions(source: str | Path | None = None) -> str:
    """Return where ``load_questions`` reads, for the record: a file's name, or the Hub dataset with its commit."""
    return f"{HUB_REPOSITORY}@{_hub_file().parent.name}" if source is None else Path(source).name


def _hub_file() -> Path:
    """Return the cached file; the name of its folder is the commit."""
    try:
        return Path(hf_hub_download(HUB_REPOSITORY, HUB_FILE, repo_type="dataset"))
    except (OSError, HfHubHTTPError) as error:
        raise InputError(
            f"The Vicuna questions could not be read from {HUB_REPOSITORY} on the Hub ({type(error).__name__}). Pass "
            "a local copy of FastChat's question.jsonl as the questions."
        ) from error


def _hub_questions() -> dict[int, str]:
    advice = "Pass a local copy of FastChat's question.jsonl as the questions."
    rows = read_json(_hub_file(), list[_HubQuestion], advice)
    texts = [row.instruction for row in rows if row.dataset == "vicuna"]
    if len(texts) != N_QUESTIONS:
        raise InputError(
            f"{HUB_REPOSITORY} holds {len(texts)} Vicuna questions instead of {N_QUESTIONS}. Name a local copy of "
            "FastChat's question.jsonl as the questions."
        )
    return dict(enumerate(texts, start=1))


def _file_questions(path: str | Path) -> dict[int, str]:
    questions: dict[int, str] = {}
    for place, row in read_rows(str(path)):
        advice = "A question has a number as question_id, and text or turns. Fix that line."
        question = validate(_Question, row, place, advice)
        text = question.text or next(iter(question.turns or ()), None)
        if not text:
            raise InputError(f"{place} needs question_id and text (or turns); it has {sorted(row)}. Fix that line.")
        number = question.question_id
        if number in questions:
            raise InputError(f"{place} is the second question {number}. Give each its own question_id.")
        questions[number] = text
    return questions


def _answer_of(row: Mapping[str, object], place: str) -> tuple[int, str]:
    """Return ``(question_id, text)`` of an answer in any of the four forms."""
    for names, form in _ANSWERS.items():
        if all(name in row for name in names):
            advice = (
                f"An answer has the number of its question and a text, here in {' and '.join(names)}. Fix that line."
            )
            return validate(form, row, place, advice).read()
    raise InputError(
        f"{place} needs question_id with text or with choices, id with answer, or doc with filtered_resps; it has "
        f"{sorted(row)}. Fix that line, or pass another file."
    )
