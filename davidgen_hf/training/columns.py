"""Rows as files hold them, in any of the usual formats, as the prompts and completions that are trained on."""

from functools import partial
from typing import Any

from datasets import Dataset, Value

from davidgen_hf.errors import InputError, MissingColumnsError
from davidgen_hf.processors.base import Batch
from davidgen_hf.prompts import render_follower
from davidgen_hf.schema import PREFERENCE, TRAINING
from davidgen_hf.training.rows import check_columns

PAIR = ("instruction", "output")
# The column of a conversation, its keys for the speaker and the text, and the speakers of question and answer.
CONVERSATIONS = {
    "messages": ("role", "content", ({"user"}, {"assistant"})),
    "conversations": ("from", "value", ({"human", "user"}, {"gpt", "assistant"})),
}
FORMATS = (
    f"{' and '.join(TRAINING)}; instruction, input and output; or conversations of one question and one answer in "
    f"{' or '.join(CONVERSATIONS)}"
)


def as_training_rows(rows: Dataset, name: str) -> Dataset:
    """Return rows with the columns ``prompt`` and ``completion``.

    Rows that have them stay as they are. Instructions, with an input if there is one, and the questions of
    conversations become prompts of Table 7, since these are the formats of what a follower is trained on.

    Args:
        rows: Rows of prompt and completion, of instruction, input and output, or conversations.
        name: What to call them in an error, such as their file.

    Raises:
        MissingColumnsError: They have none of these formats.
        InputError: They are preferences, a column does not hold text, or a conversation has other turns.
    """
    found = rows.column_names
    label = rows.features.get("label")
    is_kto = label is not None and isinstance(label, Value) and label.dtype == "bool"
    if {"chosen", "rejected"} <= set(found) or (is_kto and set(TRAINING) <= set(found)):
        trainer = "TRL's KTOTrainer" if is_kto else "recipes/dpo.py"
        raise InputError(
            f"{name} holds preferences: {found}. Supervised training would learn the rejected answers too, and needs "
            f"{FORMATS}. Train on preferences with {trainer}, or export pairs with `davidgen export RUN`."
        )
    if set(TRAINING) <= set(found):
        check_columns(rows, name)
        return rows
    convert: Any
    if set(PAIR) <= set(found):
        names = [*PAIR, *(["input"] if "input" in found else [])]
        check_columns(rows, name, names)
        convert = _render_pairs
    elif columns := [one for one in CONVERSATIONS if one in found]:
        names, convert = columns[:1], partial(_render_conversations, name, columns[0])
    elif set(TRAINING) & set(found):
        check_columns(rows, name)
    else:
        raise MissingColumnsError(
            f"{name} lacks the column(s) {list(TRAINING)}; it has {found}. Training needs {FORMATS}. Rename your "
            "columns, or write rows with `davidgen export` or recipes/paper/rows.py."
        )
    return rows.select_columns(names).map(
        convert,
        batched=True,
        with_indices=True,
        remove_columns=names,
        features=TRAINING,
        desc="Writing prompts and completions",
    )


def as_preferences(rows: Dataset, name: str) -> Dataset:
    """Return rows with ``prompt``, ``chosen`` and ``rejected``, if they have these columns.

    Raises:
        MissingColumnsError: They do not.
        InputError: One of the columns does not hold text.
    """
    if not set(PREFERENCE) <= set(rows.column_names):
        raise MissingColumnsError(
            f"{name} has the columns {rows.column_names}. A training on preferences needs {list(PREFERENCE)}. Write "
            "them with `davidgen export RUN --format dpo`, or train on other rows with recipes/sft.py."
        )
    check_columns(rows, name, PREFERENCE)
    return rows


def _render_pairs(batch: Batch, _: list[int]) -> Batch:
    inputs = batch.get("input") or [None] * len(batch["instruction"])
    prompts = [
        None if instruction is None else render_follower(instruction, given or "")
        for instruction, given in zip(batch["instruction"], inputs, strict=True)
    ]
    return {"prompt": prompts, "completion": batch["output"]}


def _render_conversations(name: str, column: str, batch: Batch, places: list[int]) -> Batch:
    turns = [_turns(f"{name}: row {place}", column, one) for place, one in zip(places, batch[column], strict=True)]
    return {
        "prompt": [question if question is None else render_follower(question) for question, _ in turns],
        "completion": [answer for _, answer in turns],
    }


def _turns(place: str, column: str, conversation: Any) -> tuple[str | None, str | None]:
    """Return question and answer of a conversation; both are None if it is null."""
    if conversation is None:
        return None, None
    speaker, text, speakers = CONVERSATIONS[column]
    turns = conversation if isinstance(conversation, list) else [conversation]
    found = [turn.get(speaker) if isinstance(turn, dict) else type(turn).__name__ for turn in turns]
    fits = len(found) == len(speakers) and all(one in known for one, known in zip(found, speakers, strict=True))
    if not fits or not all(isinstance(turn.get(text), str) for turn in turns):
        raise InputError(
            f"{place} has the turns {found} in {column}. Training takes conversations of one question and one answer, "
            f"each with the keys {speaker} and {text}, which holds text. Leave out or split other conversations, or "
            "train on them with `trl sft`, which uses the model's own chat template."
        )
    question, answer = (turn[text] for turn in turns)
    return question, answer
