"""Passages to pairs, shard by shard: each stage reads the folder of the one before it and writes one file per shard.

Files are written atomically, so an existing file is complete. Each stores a hash of its inputs: a second call builds
what is missing, and rebuilds what is damaged or was built from something else. Stage by stage rather than shard by
shard through all of them, so that generator and scorer need not be in memory together.
"""

import logging
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Features

from davidgen_hf.corpus.executors import Executor, LocalExecutor
from davidgen_hf.corpus.first_stage import WHOLE, FirstStage
from davidgen_hf.corpus.identity import shard_identities, stage_identity
from davidgen_hf.corpus.run_stage import run_stage, write_answered
from davidgen_hf.corpus.stage_folder import StageFolder, keep_only
from davidgen_hf.corpus.waves import cut, first_wave, forget_cut, next_wave, read_yield
from davidgen_hf.errors import FolderBusyError
from davidgen_hf.methods import Method, Stage
from davidgen_hf.processors.counting import count
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.progress import Bar
from davidgen_hf.storage.shards import Part, make_rows, read_metadata, read_shard, read_table, shard_paths, write_shard

__all__ = ["WHOLE", "build_corpus", "run_stage"]

logger = logging.getLogger(__name__)

SHARD = re.compile(r"\d{5,}\.parquet")
LOCAL = LocalExecutor()


def build_corpus(  # noqa: PLR0913 - where from, how, where to; by whom
    passages: Iterable[dict[str, Any]],
    skipped: Skipped,
    settings: Method,
    folder: Path,
    *,
    update: bool = False,
    executor: Executor = LOCAL,
    part: Part = WHOLE,
    announce: Callable[[str], None] = logger.info,
) -> dict[str, int]:
    """Run the stages of a method over all passages, each into a folder of its own.

    With ``target_pairs``, passages are read in waves until there are as many pairs; see ``corpus.waves``.

    Args:
        passages: Rows of ``schema.PASSAGE``, in a run with ``schema.MADE_WITH``; read once, and only if shards of the
            first stage are missing.
        skipped: Where the reader of the passages counts the rows that it leaves out.
        settings: The recipe's, with every engine's model named.
        folder: The run's folder.
        update: Rebuild shards that were built from other settings, models or passages, and delete those of stages
            that the method no longer has. Otherwise they are an error.
        executor: Where shards are built.
        part: Which of them are built. A stage that needs the whole corpus is for the call that finds all shards
            there; without them, a call ends before it.
        announce: Called with the yield after each wave.

    Returns:
        How many shards are missing of the stage that could not be finished, by its name; empty when all is done.

    Raises:
        RunFolderError: A shard was built from something else, and ``update`` does not say to rebuild it.
        DavidgenError: Depending on what went wrong; finished shards stay.
    """
    stages = settings.stages()
    if update:
        for other in other_stages(folder, {stage.name for stage in stages}):
            shutil.rmtree(other, ignore_errors=True)
    first = StageFolder(folder / stages[0].name, stage_identity(stages[0]), update)
    reader = FirstStage(passages, skipped, stages[0], settings.shard_rows, first, executor, part)
    target, last = settings.target_pairs, folder / stages[-1].name
    n_shards = None if target is None else max(first_wave(target, settings.shard_rows), reader.n_known)
    while True:
        names = reader.build(n_shards)
        if part == WHOLE:
            forget_cut(last, names, target)
        if missing := _build_others(names, stages, folder, update=update, executor=executor, part=part):
            return missing
        if target is None or reader.is_exhausted:
            break
        found = read_yield(first.folder, last, names, settings.shard_rows)
        if found.pairs >= target:
            break
        announce(f"{found}, of {target:,} that are wanted; reads on")
        n_shards = len(names) + next_wave(target, found, settings.shard_rows)
    _finish([folder / stage.name for stage in stages], names, target, part)
    return {}


def _finish(folders: list[Path], names: list[str], target_pairs: int | None, part: Part) -> None:
    """Delete the shards that are left from more passages, and cut off the pairs beyond the target."""
    if part == WHOLE:
        for folder in folders:
            keep_only(folder, set(names))
    if target_pairs is not None:
        with suppress(FolderBusyError), hold(folders[-1]):  # another part that holds it cuts
            cut(folders[-1], names, target_pairs)


def _missing(folder: Path, names: list[str]) -> int:
    return len(set(names) - {path.name for path in shard_paths(folder)})


def _build_others(  # noqa: PLR0913 - as build_corpus
    names: list[str], stages: tuple[Stage, ...], folder: Path, *, update: bool, executor: Executor, part: Part
) -> dict[str, int]:
    """Run all stages but the first over shards; return as ``build_corpus``."""
    source = folder / stages[0].name
    for stage in stages[1:]:
        target = StageFolder(folder / stage.name, stage_identity(stage), update)
        if stage.whole_corpus:
            if missing := _missing(source, names) or _build_whole(source, names, stage, target):
                return {source.name: missing}
        else:
            _build([source / name for number, name in enumerate(names) if number in part], stage, target, executor)
        source = target.folder
    missing = _missing(source, names)
    return {source.name: missing} if missing else {}


def other_stages(folder: Path, names: set[str]) -> list[Path]:
    """Return the folders of shards whose names are not those of stages."""
    folders = (one for one in sorted(folder.glob("*/")) if one.name not in names)
    return [one for one in folders if any(SHARD.fullmatch(path.name) for path in one.glob("*.parquet"))]


def _build(sources: list[Path], stage: Stage, target: StageFolder, executor: Executor) -> None:
    inputs = [read_metadata(source).identity for source in sources]
    found = shard_identities(target.stage, inputs, whole_corpus=False)
    identities = {source.name: identity for source, identity in zip(sources, found, strict=True)}
    missing = [source for source in sources if not target.has(target.folder / source.name, identities[source.name])]
    work = ((target.folder / source.name, read_shard(source)) for source in missing)
    with Bar(stage.name, "shards", len(sources), len(sources) - len(missing)) as bar:
        for _ in write_answered(executor.map(run_stage, stage, work), identities):
            bar.update()


def _build_whole(source: Path, names: list[str], stage: Stage, target: StageFolder) -> int:
    """Build a stage that needs the whole corpus, unless another part of the run does; return what is then missing."""
    try:
        with hold(target.folder):
            _compare([source / name for name in names], stage, target)
    except FolderBusyError:
        return len(names)
    return 0


def _compare(sources: list[Path], stage: Stage, target: StageFolder) -> None:
    """Run the one step of a whole-corpus stage over all shards, and write those that are missing.

    What becomes of a row depends on all shards before it, so an interrupted call compares again.
    """
    (step,) = stage.steps
    inputs = [read_metadata(source).identity for source in sources]
    identities = shard_identities(target.stage, inputs, whole_corpus=True)
    places = [target.folder / source.name for source in sources]
    missing = [not target.has(path, identity) for path, identity in zip(places, identities, strict=True)]
    if not any(missing):
        return
    started = time.perf_counter()
    results = step.over_corpus(_Columns(sources, list(step.reads)), target.folder)
    for source, path, identity, is_missing, result in zip(sources, places, identities, missing, results, strict=True):
        if is_missing:
            rows = read_shard(source)
            given = rows[:]
            columns = given | result
            counts = count(step, given, columns)
            made = make_rows(columns, Features(rows.features | step.writes))
            write_shard(made, path, counts, time.perf_counter() - started, identity)
            started = time.perf_counter()


@dataclass(frozen=True)
class _Columns:
    """Some columns of each of several shards, read again in every iteration: one shard is in memory at a time."""

    paths: list[Path]
    names: list[str]

    def __iter__(self) -> Iterator[dict[str, list[Any]]]:
        for path in self.paths:
            yield read_table(path, self.names).to_pydict()
