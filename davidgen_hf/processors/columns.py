"""Checks of a dataset before a step runs over it: the columns that the step reads, and nothing else."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from datasets import Dataset, Features, IterableDataset, LargeList, List, Value

from davidgen_hf.errors import ColumnTypeError, MissingColumnsError
from davidgen_hf.schema import FRAGMENT, PASSAGE, SCORED, SEED

OneDataset = TypeVar("OneDataset", Dataset, IterableDataset)
# The types of the columns that steps read, by their names.
COLUMNS = Features(PASSAGE | SEED | FRAGMENT | SCORED)


def check_columns(name: str, reads: tuple[str, ...], features: Features) -> None:
    """Check that the columns which a step reads are there, and of the types that ``schema`` declares.

    Args:
        name: The step's name, for the error.
        reads: Names of the columns.
        features: The dataset's features.

    Raises:
        MissingColumnsError: A column is missing.
        ColumnTypeError: A column has another type.
    """
    missing = [column for column in reads if column not in features]
    if missing:
        raise MissingColumnsError(
            f"{name} needs the column(s) {missing}, but the dataset has {list(features)}. Run the step that writes "
            f"them first, or rename yours with dataset.rename_column(old, {missing[0]!r})."
        )
    for column in (*reads, *(["language"] if "language" in features else [])):
        expected, found = COLUMNS.get(column), features[column]
        if expected is None or _fits(found, expected):
            continue
        advice = "Convert the column, e.g. with dataset.map and dataset.cast_column."
        if column == "candidates":
            advice = (
                "Build each with davidgen_hf.schema.empty_candidate(instruction=text), which sets the other "
                "fields to None."
            )
        raise ColumnTypeError(
            f"{name} reads the column {column!r}, which is {_spell(found)}. It must be {_spell(expected)}. {advice}"
        )


def _fits(found: Any, expected: Any) -> bool:
    """Return whether a column's type is the expected one: texts, numbers, and records with at least its fields."""
    if isinstance(found, Value) and found.dtype == "null":  # no row has a value there
        return True
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            name in found and _fits(found[name], one) for name, one in expected.items()
        )
    if isinstance(expected, List):
        return isinstance(found, List | LargeList) and _fits(found.feature, expected.feature)
    if not isinstance(found, Value):
        return False
    if expected.dtype == "string":
        return found.dtype in ("string", "large_string", "string_view")
    return not found.dtype.endswith(("string", "string_view", "binary"))


def _spell(feature: object) -> str:
    if isinstance(feature, dict):
        return f"a record of {', '.join(feature)}"
    if isinstance(feature, List | LargeList):
        return f"a list of {_spell(feature.feature)}"
    return feature.dtype if isinstance(feature, Value) else type(feature).__name__


def refuse_nulls(name: str, reads: tuple[str, ...], dataset: OneDataset) -> OneDataset:
    """Refuse null in a text that a step needs; an ``IterableDataset`` is checked as it is read.

    Args:
        name: The step's, for the error.
        reads: Names of the columns that it reads.
        dataset: The rows.

    Raises:
        ColumnTypeError: There is one.
    """
    texts = [column for column in reads if column in ("text", "output", "instruction", "candidates")]
    check = _NullCheck(name)
    if isinstance(dataset, IterableDataset):
        return dataset.map(check, batched=True, input_columns=texts, features=dataset.features)
    if any(dataset.data.column(text).null_count for text in texts):  # perhaps in rows that are not selected
        for batch in dataset.select_columns(texts).iter(1000):
            check(*(batch[text] for text in texts))
    return dataset


@dataclass(frozen=True)
class _NullCheck:
    step: str

    def __call__(self, *columns: list[Any]) -> dict[str, list[Any]]:
        if any(value is None for values in columns for value in values):
            raise ColumnTypeError(
                f"{self.step} reads a column that has null in some row. It keeps every row, so each needs a value. "
                "Leave such rows out first, e.g. with dataset.filter."
            )
        return {}


def undecoded(dataset: OneDataset) -> OneDataset:
    """Return the dataset with its sounds and pictures as bytes, which a step passes on without decoding them."""
    if isinstance(dataset, IterableDataset):
        return dataset.decode(False)
    for name, feature in dataset.features.items():
        if (plain := _plain(feature)) != feature:
            dataset = dataset.cast_column(name, plain)
    return dataset


def _plain(feature: Any) -> Any:
    """Return a column's type with ``decode=False`` wherever there is a type that decodes."""
    if isinstance(feature, dict):
        return {name: _plain(one) for name, one in feature.items()}
    if isinstance(feature, List | LargeList):
        return replace(feature, feature=_plain(feature.feature))
    return replace(feature, decode=False) if getattr(feature, "decode", False) else feature
