"""``DavidGen``: what run folders hold as a dataset of ``datasets``, one configuration a kind of corpus.

    builder = DavidGen(config_name="unsupervised", runs=["runs/mine"])
    builder.download_and_prepare(file_format="parquet", num_proc=2)   # or "arrow", and then as_dataset()
    builder.as_streaming_dataset(split="train")

``publish.build_folder`` makes of it a folder that ``load_dataset`` reads without any code of ours.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow
import pyarrow.compute
from datasets import ArrowBasedBuilder, BuilderConfig, DatasetInfo, Features, SplitGenerator, Version
from datasets.builder import Key
from datasets.fingerprint import Hasher

from davidgen_hf import __version__, schema
from davidgen_hf.corpus.review import WRITTEN_BY, log_path, read_pairs, reviews_in_use
from davidgen_hf.errors import RunFolderError
from davidgen_hf.provenance.licenses import may_pass_on
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import read_columns, read_table

Filter = Callable[[pyarrow.Table], Any]

PAIRS = Features(schema.PASSAGE | schema.MADE_WITH | schema.FRAGMENT | schema.WRITTEN_BY | schema.PAIR)
SCORED = Features(schema.PASSAGE | schema.MADE_WITH | schema.FRAGMENT | schema.SCORED)
SEEDS = Features(schema.SEED | schema.TRAINING)
# Rows of one row group: what a reader has to take at once, so few for streaming, but enough to be read fast.
ROW_GROUP_BYTES = 32 << 20


@dataclass(frozen=True)
class Kind:
    """One kind of corpus.

    Args:
        about: What it holds, for cards.
        features: Its columns.
        splits: Patterns of its shards in a run's folder by split.
        reads: Columns that ``keeps`` looks at.
        keeps: Says which rows of a table belong to it; ``None`` where all do.
    """

    about: str
    features: Features
    splits: dict[str, str]
    reads: tuple[str, ...] = ()
    keeps: Filter | None = None


def _is_whole(rows: pyarrow.Table) -> Any:
    return pyarrow.compute.equal(rows["strategy"], "whole")


def _is_unsupervised(rows: pyarrow.Table) -> Any:
    return pyarrow.compute.and_(_is_whole(rows), pyarrow.compute.invert(rows["supervised"]))


def _is_supervised(rows: pyarrow.Table) -> Any:
    return pyarrow.compute.and_(_is_whole(rows), rows["supervised"])


def _is_self_instruct(rows: pyarrow.Table) -> Any:
    return pyarrow.compute.is_valid(rows["output_written_by"])


def _is_extracted(rows: pyarrow.Table) -> Any:
    return pyarrow.compute.invert(pyarrow.compute.or_(_is_whole(rows), _is_self_instruct(rows)))


def _may_be_passed_on(rows: pyarrow.Table) -> Any:
    named = pyarrow.compute.unique(rows["license"]).to_pylist()
    allowed = pyarrow.array([name for name in named if may_pass_on(name)], pyarrow.string())
    return pyarrow.compute.is_in(rows["license"], allowed)


def _pairs(about: str, keeps: Filter | None = None) -> Kind:
    return Kind(about, PAIRS, {"train": "corpus/*.parquet"}, ("supervised", "strategy", "output_written_by"), keeps)


# Every pair is in exactly one of these; "combined" reads their files, so that none is stored twice.
PARTS = ("unsupervised", "supervised", "extracted", "self_instruct")
KINDS = {
    "unsupervised": _pairs("pairs whose outputs are whole passages of plain text", _is_unsupervised),
    "supervised": _pairs("pairs whose outputs are answers of instruction data", _is_supervised),
    "extracted": _pairs("pairs whose outputs were extracted from passages", _is_extracted),
    "self_instruct": _pairs("pairs that a model wrote whole, outputs too", _is_self_instruct),
    "combined": _pairs("all pairs"),
    "scored": Kind(
        "all candidates of every output, with their scores, and why those that were rejected were",
        SCORED,
        {"train": "scored/*.parquet"},
    ),
    "seeds": Kind(
        "the seeds, turned around, that the generator was trained on (train) and those held out (test)",
        SEEDS,
        {"train": "seeds/train.parquet", "test": "seeds/held_out.parquet"},
        ("license",),
        _may_be_passed_on,
    ),
}


@dataclass
class DavidGenConfig(BuilderConfig):  # type: ignore[misc]  # datasets is not typed
    """A kind of corpus and the run folders that it is taken from."""

    runs: Sequence[str | Path] = ()

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: Features | None = None) -> str:
        """Name the cache after the shards, so that a run that went on is not taken for what it was before."""
        paths = [
            path
            for run in self.runs
            for pattern in KINDS[self.name].splits.values()
            for path in (*Path(run).glob(pattern), log_path(Path(run)))
            if path.is_file()
        ]
        files = sorted((str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths)
        in_use = [reviews_in_use(Path(run)) for run in self.runs]
        state = [files, [one and one.use for one in in_use]] if any(in_use) else files
        return str(super().create_config_id(config_kwargs | {"runs": Hasher.hash(state)}, custom_features))


class DavidGen(ArrowBasedBuilder):  # type: ignore[misc]  # datasets is not typed
    """The rows of one kind in one or more run folders, shard by shard, so that memory holds a shard at a time.

    Args:
        config_name: One of ``KINDS``.
        runs: Run folders.

    The other arguments are those of ``datasets.DatasetBuilder``.

    Raises:
        RunFolderError: A folder is not a run folder, or none holds rows of this kind; raised when rows are read.
    """

    BUILDER_CONFIG_CLASS = DavidGenConfig
    BUILDER_CONFIGS: ClassVar = [DavidGenConfig(name=name, description=kind.about) for name, kind in KINDS.items()]
    DEFAULT_CONFIG_NAME = "combined"
    DEFAULT_WRITER_BATCH_SIZE = 100_000  # a table that _generate_tables yields becomes one row group
    VERSION = Version(__version__)

    def __init__(self, *arguments: Any, dataset_name: str = "davidgen", **options: Any) -> None:
        super().__init__(*arguments, dataset_name=dataset_name, **options)

    def _info(self) -> DatasetInfo:
        return DatasetInfo(
            description=self.config.description, features=features_of(self.config.name, self.config.runs)
        )

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        found = shards_by_split(self.config.runs, self.config.name)
        if not found:
            raise RunFolderError(
                f"{_named(self.config.runs)} holds no rows of the kind {self.config.name!r}; it has "
                f"{kinds_of(self.config.runs) or 'none yet'}. Name one of these, or finish the run."
            )
        return [
            SplitGenerator(name=split, gen_kwargs={"shards": [str(path) for path in paths]})
            for split, paths in found.items()
        ]

    def _generate_tables(self, shards: list[str]) -> Iterator[tuple[Key, pyarrow.Table]]:
        kind, columns = KINDS[self.config.name], self.info.features
        waiting: list[pyarrow.Table] = []
        for number, path in enumerate(shards):
            waiting.append(_read(Path(path), kind, columns))
            if sum(table.nbytes for table in waiting) >= ROW_GROUP_BYTES or number == len(shards) - 1:
                yield Key(number, 0), pyarrow.concat_tables(waiting)
                waiting = []


def kinds_of(runs: Sequence[str | Path]) -> list[str]:
    """Return the kinds that run folders hold rows of, in the order of ``KINDS``.

    Raises:
        RunFolderError: A folder is not a run folder.
    """
    return [name for name in KINDS if shards_by_split(runs, name)]


def features_of(name: str, runs: Sequence[str | Path]) -> Features:
    """Return the columns of a kind; pairs that people reviewed have ``instruction_written_by`` in addition."""
    features = KINDS[name].features
    is_reviewed = features == PAIRS and any(reviews_in_use(Path(run)) for run in runs)
    return Features(features | WRITTEN_BY) if is_reviewed else features


def shards_by_split(runs: Sequence[str | Path], name: str, *, reviewed: bool = True) -> dict[str, list[Path]]:
    """Return the shards that hold rows of a kind, by split; a split without any is left out.

    Args:
        runs: Run folders.
        name: One of ``KINDS``.
        reviewed: Whether the decisions of reviewers count; if not, shards count as they are.

    Raises:
        RunFolderError: A folder is not a run folder, or a shard is damaged.
    """
    kind = KINDS[name]
    for run in runs:
        read_record(Path(run))
    found = {
        split: [path for run in runs for path in sorted(Path(run).glob(pattern)) if _count(path, kind, reviewed)]
        for split, pattern in kind.splits.items()
    }
    return {split: paths for split, paths in found.items() if paths}


def _count(path: Path, kind: Kind, reviewed: bool) -> int:
    if reviewed and kind.features == PAIRS and reviews_in_use(path.parent.parent):
        return len(_read(path, kind, kind.reads or ("strategy",)))
    if kind.keeps is None:
        return int(read_table(path, []).num_rows)
    return int(pyarrow.compute.sum(kind.keeps(read_columns(path, kind.reads))).as_py() or 0)


def _read(path: Path, kind: Kind, columns: Iterable[str]) -> pyarrow.Table:
    rows = read_pairs(path, columns) if kind.features == PAIRS else read_columns(path, columns)
    return rows if kind.keeps is None else rows.filter(kind.keeps(rows))


def _named(runs: Sequence[str | Path]) -> str:
    return ", ".join(str(run) for run in runs) or "No run"
