"""The one contract that every data step follows, and the one function that runs a step."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from datasets import Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict

from davidgen_hf.engines.ranks import as_rank
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.columns import check_columns, refuse_nulls, undecoded

Batch = dict[str, list[Any]]  # the columns of some rows
AnyDataset = TypeVar("AnyDataset", Dataset, IterableDataset, DatasetDict, IterableDatasetDict)


class Processor(Protocol):
    """A frozen dataclass that ``map(batched=True)`` can call, on a ``Dataset`` or an ``IterableDataset``.

    Its fields are its settings; they alone decide the cache fingerprint, so a processor keeps no counters, models or
    open files. Raise ``version`` whenever the same settings give other rows: ``datasets`` does not see edits to an
    imported class (huggingface/datasets#3297).

    ``writes`` holds the columns that the step adds or replaces. A step that ``changes_row_count`` returns all columns
    of the rows that it keeps; map it with ``remove_columns=dataset.column_names``, as ``apply`` does.

    A step may have ``counts(given, made)``, which returns a ``Counter`` for one shard from its columns before and
    after the step; a run records it and shows it in cards and report.
    """

    reads: ClassVar[tuple[str, ...]]
    writes: ClassVar[Features]
    changes_row_count: ClassVar[bool]

    @property
    def version(self) -> int: ...

    def __call__(self, batch: Batch) -> Batch: ...


class CorpusProcessor(Protocol):
    """A frozen dataclass that needs all shards of a corpus at once, such as the search for near-duplicates.

    ``reads``, ``writes`` and ``version`` are as in ``Processor``. The number of rows stays the same.
    """

    reads: ClassVar[tuple[str, ...]]
    writes: ClassVar[Features]

    @property
    def version(self) -> int: ...

    def over_corpus(self, shards: Iterable[Batch], workspace: Path) -> Iterator[Batch]:
        """Yield the columns in ``writes`` of each shard, in order.

        Args:
            shards: The columns in ``reads`` of each shard; may be iterated over more than once.
            workspace: Folder for temporary files.
        """
        ...


@dataclass(frozen=True)
class ByRank:
    """Runs a step in each worker of ``Dataset.map(with_rank=True, num_proc=N)``, with its models on a GPU of its own.

    Worker ``r`` loads the engines of the step whose ``device`` is ``auto`` on GPU ``r`` modulo the number of GPUs.
    CUDA does not survive a fork: call ``multiprocess.set_start_method("spawn")`` first, in a script's
    ``if __name__ == "__main__"``. Without GPUs, each worker loads the model on the CPU.

    Args:
        step: The step to run.
    """

    step: Processor

    def __call__(self, batch: Batch, rank: int | None = None) -> Batch:
        """Return what the step makes of the batch; ``rank`` is the number of the worker, None without workers."""
        with as_rank(rank):
            return self.step(batch)


def apply(
    processor: Processor,
    dataset: AnyDataset,
    *,
    batch_size: int = 1000,
    num_proc: int | None = None,
) -> AnyDataset:
    """Run one processor over a dataset, with its columns declared and a progress bar.

    Sounds and pictures in other columns are passed on without being decoded.

    Args:
        processor: The step to run.
        dataset: Rows with at least the columns in ``processor.reads``; of a ``DatasetDict``, each split is processed.
        batch_size: Rows of one call.
        num_proc: Worker processes, each with its own engines, as in ``ByRank``; ``None`` stays in this process. Not
            for ``IterableDataset``.

    Returns:
        The rows with ``processor.writes`` added.

    Raises:
        MissingColumnsError: A column in ``processor.reads`` is missing.
        ColumnTypeError: Such a column has another type, or null in a row that the step cannot leave out.
        SettingError: ``dataset`` is not one of ``datasets``.
    """
    if isinstance(dataset, dict):
        splits = {
            name: apply(processor, one, batch_size=batch_size, num_proc=num_proc) for name, one in dataset.items()
        }
        return type(dataset)(splits)
    if not isinstance(dataset, Dataset | IterableDataset):
        raise SettingError(
            f"{type(dataset).__name__} is not a dataset that apply can process. It takes a Dataset, an "
            "IterableDataset, or a dictionary of them. Convert yours, e.g. with Dataset.from_list(rows)."
        )
    if dataset.features is None:
        dataset = dataset._resolve_features()
    name = type(processor).__name__
    check_columns(name, processor.reads, dataset.features)
    features = Features(dataset.features | processor.writes)
    if isinstance(dataset, Dataset) and not len(dataset):  # map would leave out the columns that the step adds
        return Dataset.from_dict({column: [] for column in features}, features=features)
    dataset = undecoded(dataset)
    if not processor.changes_row_count:
        dataset = refuse_nulls(name, processor.reads, dataset)
    options = {
        "batched": True,
        "batch_size": batch_size,
        "features": features,
        "remove_columns": dataset.column_names if processor.changes_row_count else None,
    }
    if isinstance(dataset, Dataset):
        options |= {"num_proc": num_proc, "desc": name}
    if isinstance(dataset, Dataset) and num_proc:
        return dataset.map(ByRank(processor), with_rank=True, **options)
    return dataset.map(processor, **options)


def take(batch: Batch, rows: list[int]) -> Batch:
    """Return the rows of ``batch`` with these numbers."""
    return {name: [values[row] for row in rows] for name, values in batch.items()}


def draw(n: int, *parts: object) -> int:
    """Return a number in ``range(n)`` that depends on ``parts`` alone: the same in every process and order."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") % n


def languages(batch: Batch, default: str) -> list[str]:
    """Return each row's ``language``, or ``default`` where it is null or the batch has no such column."""
    n_rows = len(next(iter(batch.values())))
    return [language or default for language in batch.get("language", [None] * n_rows)]


def texts(batch: Batch) -> list[str]:
    """Return each row's ``text``, empty where it is null."""
    return [text or "" for text in batch["text"]]
