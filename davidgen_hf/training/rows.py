"""Tokenize rows of prompt and completion as the engines do, and count every row that is dropped or cut."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from datasets import Dataset, Features, Json, List, Value
from transformers import PreTrainedTokenizerBase

from davidgen_hf.engines.tokens import Tokens
from davidgen_hf.errors import InputError, MissingColumnsError, ModelError, TrainingError
from davidgen_hf.schema import PREFERENCE, TRAINING

IGNORED = -100  # a label that takes no part in the loss
ENCODED = Features({"input_ids": List(Value("int64")), "labels": List(Value("int64")), "length": Value("int64")})
_TEXT = {"string", "large_string", "string_view", "null"}
_KINDS = {
    List: ("lists", "Write one text per row"),
    dict: ("structures", "Write one text per row"),
    Json: ("values of several types", "Write all of them as text"),
}
ENCODED_PREFERENCE = Features(
    {name: List(Value("int64")) for name in ("prompt_ids", "chosen_ids", "rejected_ids")} | {"length": Value("int64")}
)
# Of each encoded row: whether it was shortened, and the number of tokens that the loss is computed on.
_COUNTED = Features({"cut": Value("bool"), "learned": Value("int64")})


@dataclass(frozen=True)
class RowCounts:
    """What became of the rows of one training set.

    Args:
        given: Rows of the dataset.
        used: Rows that are trained on.
        empty: Rows dropped because their prompt or a completion is null, or a completion has no text.
        cut_away: Rows dropped because their prompt is so long that nothing of their completion would be left, or, for
            an encoder-decoder, that it would lose its end.
        cut: Rows used with a completion that ``max_length`` shortened; they do not teach where to end.
        tokens: Tokens of the used rows.
        completion_tokens: Those that the loss is computed on.
    """

    given: int
    used: int
    empty: int
    cut_away: int
    cut: int
    tokens: int
    completion_tokens: int

    def __str__(self) -> str:
        return (
            f"{self.given} rows: {self.used} used ({self.tokens} tokens, {self.completion_tokens} of them in "
            f"completions, {self.cut} completions cut by max_length), {self.cut_away} dropped because their "
            f"prompt leaves no room, {self.empty} dropped because they are empty"
        )


@dataclass(frozen=True)
class JoinIds:
    """Joins the ids of prompt and completion, for a model that continues its prompt; the loss skips the prompt.

    Because the two are tokenized separately, a completion has the ids that an engine scores and generates.
    (TRL tokenizes the joined text, so the last token of a prompt may differ from the one at inference.)

    Args:
        tokenizer: Its ``eos_token`` ends every completion and is learned.
        max_length: Tokens of one row; a longer row loses its end. ``None`` keeps all.
        version: Raised whenever the same settings give different ids.
    """

    reads: ClassVar[tuple[str, ...]] = tuple(TRAINING)
    writes: ClassVar = ENCODED

    tokenizer: PreTrainedTokenizerBase
    max_length: int | None
    version: int = 1

    def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        tokens = Tokens(self.tokenizer, None, self.tokenizer.name_or_path)
        encoded: dict[str, list[Any]] = {name: [] for name in (*self.writes, *_COUNTED)}
        contexts, targets = tokens.contexts(batch["prompt"]), tokens.plain(batch["completion"])
        for context, target in zip(contexts, targets, strict=True):
            ids = [*context, *target, self.tokenizer.eos_token_id]
            kept = ids[: self.max_length]
            if len(kept) > len(context):
                learned = max(1, len(context))  # nothing predicts the first token, even in a row packed behind another
                labels = [IGNORED] * learned + kept[learned:]
                cut, n_learned = len(kept) < len(ids), len(kept) - learned
                _append(encoded, input_ids=kept, labels=labels, length=len(kept), cut=cut, learned=n_learned)
        return encoded


@dataclass(frozen=True)
class PairIds:
    """Keeps the ids of prompt and completion separate, for a model that encodes one and decodes the other.

    A prompt is never cut: its end holds the question (Table 9). A row with one that is too long is dropped.

    Args:
        tokenizer: Its ``eos_token`` ends every completion and is learned.
        max_source_length: Tokens of a prompt.
        max_target_length: Tokens of a completion; a longer one loses its end.
        forced_bos: The token that the model's generation config forces before a completion, as BART's does.
        version: Raised whenever the same settings give different ids.
    """

    reads: ClassVar[tuple[str, ...]] = tuple(TRAINING)
    writes: ClassVar = ENCODED

    tokenizer: PreTrainedTokenizerBase
    max_source_length: int | None
    max_target_length: int | None
    forced_bos: int | None = None
    version: int = 2

    def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        tokens = Tokens(self.tokenizer, None, self.tokenizer.name_or_path, closes_contexts=True)
        encoded: dict[str, list[Any]] = {name: [] for name in (*self.writes, *_COUNTED)}
        contexts, targets = tokens.contexts(batch["prompt"]), tokens.plain(batch["completion"])
        opening = [] if self.forced_bos is None else [self.forced_bos]
        for context, target in zip(contexts, targets, strict=True):
            ids = [*opening, *target, self.tokenizer.eos_token_id]
            kept = ids[: self.max_target_length]
            if self.max_source_length is None or len(context) <= self.max_source_length:
                length, cut = len(context) + len(kept), len(kept) < len(ids)
                _append(encoded, input_ids=context, labels=kept, length=length, cut=cut, learned=len(kept))
        return encoded


@dataclass(frozen=True)
class PreferenceIds:
    """Encodes a prompt and its two answers separately, for a model that continues its prompt; see ``JoinIds``.

    Args:
        tokenizer: Its ``eos_token`` ends both answers and is learned.
        max_length: Tokens of the prompt with one answer; a longer answer loses its end. ``None`` keeps all.
        version: Raised whenever the same settings give different ids.
    """

    reads: ClassVar[tuple[str, ...]] = tuple(PREFERENCE)
    writes: ClassVar = ENCODED_PREFERENCE

    tokenizer: PreTrainedTokenizerBase
    max_length: int | None
    version: int = 1

    def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        tokens = Tokens(self.tokenizer, None, self.tokenizer.name_or_path)
        encoded: dict[str, list[Any]] = {name: [] for name in (*self.writes, *_COUNTED)}
        texts = (tokens.contexts(batch["prompt"]), tokens.plain(batch["chosen"]), tokens.plain(batch["rejected"]))
        for context, *answers in zip(*texts, strict=True):
            room = None if self.max_length is None else self.max_length - len(context)
            if room is not None and room < 1:
                continue
            whole = [[*answer, self.tokenizer.eos_token_id] for answer in answers]
            chosen, rejected = (answer[:room] for answer in whole)
            _append(
                encoded,
                prompt_ids=context,
                chosen_ids=chosen,
                rejected_ids=rejected,
                length=2 * len(context) + len(chosen) + len(rejected),
                cut=[chosen, rejected] != whole,
                learned=len(chosen) + len(rejected),
            )
        return encoded


RowIds = JoinIds | PairIds | PreferenceIds


def encode_rows(rows: Dataset, ids: RowIds, num_proc: int | None = None) -> tuple[Dataset, RowCounts]:
    """Tokenize rows, without those that teach nothing.

    Args:
        rows: At least the columns that ``ids`` reads: ``prompt``, and one or two completions.
        ids: How texts become ids and labels.
        num_proc: Worker processes.

    Returns:
        The rows to train on, with the columns that ``ids`` writes, and what became of all rows.

    Raises:
        MissingColumnsError: A column is absent.
        InputError: One of them does not hold text.
        ModelError: The tokenizer has no end-of-sequence token.
        TrainingError: No row is left.
    """
    check_columns(rows, columns=ids.reads)
    if ids.tokenizer.eos_token_id is None:
        raise ModelError("The tokenizer has no end-of-sequence token. Name one in the recipe: `eos_token: ...`.")
    filled = rows.select_columns(list(ids.reads)).filter(_has_text, num_proc=num_proc, desc="Looking for empty rows")
    if not len(filled):
        raise TrainingError(
            f"There is nothing to train on: all of the {len(rows)} rows have an empty prompt or completion. Each row "
            f"needs a text in all of them. Look at {' and '.join(ids.reads)} of your rows."
        )
    encoded = filled.map(
        ids,
        batched=True,
        remove_columns=filled.column_names,
        features=Features(ids.writes | _COUNTED),
        num_proc=num_proc,
        desc="Tokenizing prompts and completions",
    )
    counts = RowCounts(
        given=len(rows),
        used=len(encoded),
        empty=len(rows) - len(filled),
        cut_away=len(filled) - len(encoded),
        cut=sum(encoded["cut"]),
        tokens=sum(encoded["length"]),
        completion_tokens=sum(encoded["learned"]),
    )
    if not counts.used:
        raise TrainingError(f"There is nothing to train on: {counts}. Give other rows, or raise the length.")
    return encoded.remove_columns(list(_COUNTED)), counts


def check_columns(rows: Dataset, name: str = "The dataset", columns: Iterable[str] = TRAINING) -> None:
    """Refuse rows without certain columns of text; null is an empty text.

    Args:
        rows: Any dataset.
        name: What to call it in an error, such as its file.
        columns: The columns; by default prompt and completion.

    Raises:
        MissingColumnsError: A column is absent.
        InputError: One of them holds something else than text.
    """
    columns = list(columns)
    missing = [column for column in columns if column not in rows.column_names]
    if missing:
        raise MissingColumnsError(
            f"{name} lacks the column(s) {missing}; it has {rows.column_names}. Training needs {columns}. Run "
            f"ReverseSeeds or SelectInstruction, which write them, or rename yours with rename_column(old, "
            f"{missing[0]!r})."
        )
    for column in columns:
        kind = rows.features[column]
        if isinstance(kind, Value) and kind.dtype in _TEXT:
            continue
        found, advice = _KINDS.get(type(kind), (type(kind).__name__, "Write one text per row"))
        if isinstance(kind, Value):
            found, advice = kind.dtype, f"Write it as text, e.g. with cast_column({column!r}, Value('string'))"
        elif "'content'" in str(kind):
            found = "conversations (lists of messages)"
            advice = "Write the user's message as the prompt and the answer as the completion"
        raise InputError(f"{name}: {column} holds {found}, and training needs text. {advice}.")


def digest(rows: Dataset, columns: Iterable[str] = TRAINING) -> str:
    """Return a hash of all prompts and completions in their order, the same in every process and run."""
    columns, state = list(columns), hashlib.sha256()
    for batch in rows.select_columns(columns).iter(1000):
        state.update(repr([batch[column] for column in columns]).encode())
    return state.hexdigest()[:16]


def _has_text(row: dict[str, str | None]) -> bool:
    """Return whether a row has a prompt, which may be empty, and something in every other column."""
    return row["prompt"] is not None and all(text and text.strip() for name, text in row.items() if name != "prompt")


def _append(columns: dict[str, list[Any]], **row: Any) -> None:
    for name, value in row.items():
        columns[name].append(value)
