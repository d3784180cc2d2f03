"""The stage that reads the passages: they come one by one, and each shard takes as many as its file holds already."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import count, islice
from pathlib import Path
from typing import Any

from datasets import Dataset, Features

from davidgen_hf.corpus.executors import Executor
from davidgen_hf.corpus.finished import FINISHED, Mark, read_mark
from davidgen_hf.corpus.identity import rows_identity
from davidgen_hf.corpus.run_stage import run_stage, write_answered
from davidgen_hf.corpus.stage_folder import StageFolder
from davidgen_hf.errors import RunFolderError
from davidgen_hf.methods import Stage
from davidgen_hf.processors.counting import rows_read
from davidgen_hf.schema import MADE_WITH, PASSAGE
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.progress import Bar
from davidgen_hf.storage.shards import Part, make_rows, read_metadata

logger = logging.getLogger(__name__)

MARKED = Features(PASSAGE | MADE_WITH)
WHOLE = Part()


class FirstStage:
    """Builds the shards of the first stage as the passages come, all at once or in waves.

    A mark in the stage's folder records which shards there are, and whether the passages were read to their end.

    Args:
        passages: As in ``build_corpus``, as are the next three.
        skipped: Where the reader of the passages counts the rows that it leaves out.
        executor: Where shards are built.
        part: Which of them are built.
        stage: The stage.
        shard_rows: Passages of a new shard.
        target: The stage's folder.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - as build_corpus
        self,
        passages: Iterable[dict[str, Any]],
        skipped: Skipped,
        stage: Stage,
        shard_rows: int,
        target: StageFolder,
        executor: Executor,
        part: Part,
    ) -> None:
        self.skipped, self.stage, self.target, self.executor, self.part = skipped, stage, target, executor, part
        self.mark = self._read_mark()
        self.sizes = ShardSizes(target.folder, shard_rows)
        self.is_exhausted = False
        self._chunks = cut_passages(passages, self.sizes)
        self._names: dict[str, str] = {}
        self._passages: dict[str, int] = {}

    @property
    def n_known(self) -> int:
        """Number of shards that earlier waves read."""
        try:
            mark = read_mark(self.target.folder)
        except RunFolderError:
            return 0
        return len(mark.shards) if mark.stage == self.target.stage else 0

    def build(self, n_shards: int | None) -> list[str]:
        """Build shards unless they exist, and return the names of all that there are.

        Args:
            n_shards: How many are needed at least; None reads the passages to their end.
        """
        if self.mark and (self.mark.exhausted or (n_shards is not None and n_shards <= len(self.mark.shards))):
            self.is_exhausted = self.mark.exhausted
            return list(self.mark.shards)
        path = self.target.folder / FINISHED
        if self.part == WHOLE and self.mark is None:
            path.unlink(missing_ok=True)
        with Bar(self.stage.name, "passages", initial=sum(self._passages.values())) as bar:
            work = self._work(n_shards, bar)
            for _ in write_answered(self.executor.map(run_stage, self.stage, work), self._names):
                pass
        self._write_mark(path)
        return list(self._names)

    def _work(self, n_shards: int | None, bar: Bar) -> Iterator[tuple[Path, Dataset]]:
        while n_shards is None or len(self._names) < n_shards:
            given = next(self._chunks, None)
            if given is None:
                self.is_exhausted = True
                return
            number = len(self._names)
            path = self.target.folder / shard_name(number)
            self._names[path.name] = self.target.identity([rows_identity(given)])
            self._passages[path.name] = len(given)
            if number in self.part and not self.target.has(path, self._names[path.name]):
                yield path, given
            bar.update(len(given))

    def _write_mark(self, path: Path) -> None:
        """Record the shards, unless another part has come further meanwhile."""
        mark = Mark(
            stage=self.target.stage,
            shards=self._names,
            skipped=asdict(self.skipped),
            exhausted=self.is_exhausted,
            passages=self._passages,
        )
        if self.part != WHOLE and path.exists():
            try:
                other = read_mark(self.target.folder)
            except RunFolderError:
                other = None
            if other and other.stage == mark.stage and len(other.shards) > len(mark.shards):
                return
        write_whole(path, json.dumps(mark.model_dump(), indent=1) + "\n")

    def _read_mark(self) -> Mark | None:
        """Return the mark if the settings are the same and the part's own shards are there."""
        if self.target.update:  # the passages may be others
            return None
        if not (self.target.folder / FINISHED).exists():
            return None
        try:
            mark = read_mark(self.target.folder)
        except RunFolderError:
            logger.warning("%s is damaged; the passages are read again.", self.target.folder / FINISHED)
            return None
        own = [name for number, name in enumerate(mark.shards) if number in self.part]
        if mark.stage != self.target.stage:
            return None
        return mark if all(self.target.has(self.target.folder / name, mark.shards[name]) for name in own) else None


class ShardSizes:
    """How many passages each shard has: as many as it was built from, so that more passages keep the last one too."""

    def __init__(self, folder: Path, shard_rows: int) -> None:
        self._folder, self._shard_rows = folder, shard_rows
        try:
            self._known = read_mark(folder).passages
        except RunFolderError:
            self._known = {}

    def __getitem__(self, number: int) -> int:
        name = shard_name(number)
        if size := self._known.get(name):
            return size
        try:
            return rows_read(read_metadata(self._folder / name).counts) or self._shard_rows
        except RunFolderError:
            return self._shard_rows


def cut_passages(passages: Iterable[dict[str, Any]], sizes: ShardSizes) -> Iterator[Dataset]:
    """Yield the passages of each shard."""
    rows = iter(passages)
    for number in count():
        chunk = list(islice(rows, sizes[number]))
        if not chunk:
            return
        yield make_rows({name: [row.get(name) for row in chunk] for name in MARKED}, MARKED)


def shard_name(number: int) -> str:
    """Return the name of the file of a shard."""
    return f"{number:05d}.parquet"
