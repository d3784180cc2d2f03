"""Passages to pairs, shard by shard: each stage reads the folder of the one before it and writes one file per shard.

Files are written atomically, so an existing file is complete. Each stores a hash of its inputs: a second call builds
what is missing, and rebuilds what is damaged or was built from something else. Stage by stage rather than shard by
shard through all of them, so that generator and scorer need not be in memory together.
"""

import json
import logging
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import Dataset, Features
from tqdm.auto import tqdm

from davidgen_hf.corpus.executors import Executor, LocalExecutor, ShardResult
from davidgen_hf.corpus.finished import FINISHED, read_mark
from davidgen_hf.corpus.identity import rows_identity, stage_identity
from davidgen_hf.corpus.stage_folder import StageFolder
from davidgen_hf.engines.unanswered import count_reasons
from davidgen_hf.errors import FolderBusyError, ModelError, RunFolderError
from davidgen_hf.methods import Method, Stage
from davidgen_hf.processors.counting import STYLES, TOKENS, count
from davidgen_hf.schema import MADE_WITH, PASSAGE
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.shards import Part, make_rows, read_metadata, read_shard, read_table, shard_paths, write_shard

logger = logging.getLogger(__name__)

MARKED = Features(PASSAGE | MADE_WITH)
SHARD = re.compile(r"\d{5,}\.parquet")
LOCAL, WHOLE = LocalExecutor(), Part()


def build_corpus(  # noqa: PLR0913 - where from, how, where to; by whom
    passages: Iterable[dict[str, Any]],
    skipped: Skipped,
    settings: Method,
    folder: Path,
    *,
    restart: bool = False,
    executor: Executor = LOCAL,
    part: Part = WHOLE,
) -> dict[str, int]:
    """Run the stages of a method over all passages, each into a folder of its own.

    Args:
        passages: Rows of ``schema.PASSAGE``, in a run with ``schema.MADE_WITH``; read once, and only if shards of the
            first stage are missing.
        skipped: Where the reader of the passages counts the rows that it leaves out.
        settings: The recipe's, with every engine's model named.
        folder: The run's folder.
        restart: Rebuild shards that were built from other settings, models or passages, and delete those of stages
            that are no longer part of the method. Otherwise they are an error.
        executor: Where shards are built.
        part: Which of them are built. A stage that needs the whole corpus is for the call that finds all shards
            there; without them, a call ends before it.

    Returns:
        How many shards are missing of the stage that could not be finished, by its name; empty when all is done.

    Raises:
        RunFolderError: A shard was built from something else, and ``restart`` does not say to rebuild it.
        DavidgenError: Depending on what went wrong; finished shards stay.
    """
    stages = settings.stages()
    if restart:
        _remove_other_stages(folder, {stage.name for stage in stages})
    names: list[str] = []
    source = folder
    for stage in stages:
        target = StageFolder(folder / stage.name, stage_identity(stage), restart)
        if source == folder:
            names = _build_first(passages, skipped, stage, settings.shard_rows, target, executor, part)
        elif stage.whole_corpus:
            if missing := _missing(source, names) or _build_whole(source, names, stage, target):
                return {source.name: missing}
        else:
            target.keep_only(set(names))
            _build([source / name for number, name in enumerate(names) if number in part], stage, target, executor)
        source = target.folder
    missing = _missing(source, names)
    return {source.name: missing} if missing else {}


def run_stage(rows: Dataset, stage: Stage) -> tuple[Dataset, Counter[str]]:
    """Run the steps of a stage over a shard at once, so that an engine sees all of it when it sorts by length.

    Returns:
        The rows, and what the steps counted; a later step's count replaces an earlier one's of the same name.
    """
    columns, features = rows[:], rows.features
    counts: Counter[str] = Counter()
    for step in stage.steps:
        result = step(columns)
        if not step.changes_row_count:
            result = columns | result
        counts = Counter(dict(counts) | dict(count(step, columns, result)))
        columns, features = result, Features(features | step.writes)
    return make_rows(columns, features), counts


def read_counts(folder: Path, stages: Iterable[Stage]) -> tuple[dict[str, Counter[str]], dict[str, float]]:
    """Return the counts and the seconds of each stage, summed over its finished shards."""
    counts, seconds = {}, {}
    for stage in stages:
        notes = [read_metadata(path) for path in shard_paths(folder / stage.name)]
        counts[stage.name] = sum((note.counts for note in notes), Counter())
        seconds[stage.name] = round(sum(note.seconds for note in notes), 1)
    return counts, seconds


def take_tokens(counts: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Move the counts of tokens out of the counts of each stage, and return them for the stages that ran a model.

    They are the tokens of the generator's prompts, of the candidates it wrote, and of the outputs that were scored,
    once for each candidate.
    """
    found = {
        stage: {what.removeprefix(TOKENS): of_stage.pop(what) for what in list(of_stage) if what.startswith(TOKENS)}
        for stage, of_stage in counts.items()
    }
    return {stage: tokens for stage, tokens in found.items() if tokens}


def take_styles(counts: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Move what came of the candidates of each style out of the counts of the stages, and return it by style."""
    found: dict[str, dict[str, int]] = {}
    for of_stage in counts.values():
        for what in [one for one in of_stage if one.startswith(STYLES)]:
            style, _, outcome = what.removeprefix(STYLES).rpartition(".")
            found.setdefault(style, {})[outcome] = of_stage.pop(what)
    return found


def read_skipped(folder: Path, stages: tuple[Stage, ...]) -> dict[str, Any]:
    """Return which rows of the source held no text, as ``Skipped`` counted them."""
    return read_mark(folder / stages[0].name).skipped


def _missing(folder: Path, names: list[str]) -> int:
    return len(set(names) - {path.name for path in shard_paths(folder)})


def _remove_other_stages(folder: Path, names: set[str]) -> None:
    """Delete the folders of shards whose names are not those of stages."""
    for other in folder.glob("*/"):
        if other.name not in names and any(SHARD.fullmatch(path.name) for path in other.glob("*.parquet")):
            shutil.rmtree(other, ignore_errors=True)


def _build_first(  # noqa: PLR0913, PLR0917 - as build_corpus
    passages: Iterable[dict[str, Any]],
    skipped: Skipped,
    stage: Stage,
    shard_rows: int,
    target: StageFolder,
    executor: Executor,
    part: Part,
) -> list[str]:
    """Build the first stage's shards as the passages come, and return all names; a mark records that all have come."""
    finished = target.folder / FINISHED
    known = _read_mark(finished, target, part)
    if known is not None:
        return known
    if part == WHOLE:
        finished.unlink(missing_ok=True)
    names: dict[str, str] = {}
    with tqdm(desc=stage.name, unit=" passages") as bar:

        def work() -> Iterator[tuple[Path, Dataset]]:
            rows = iter(passages)
            for number, chunk in enumerate(iter(lambda: list(islice(rows, shard_rows)), [])):
                given = make_rows({name: [row.get(name) for row in chunk] for name in MARKED}, MARKED)
                path = target.folder / f"{number:05d}.parquet"
                names[path.name] = target.identity([rows_identity(given)])
                if number in part and not target.has(path, names[path.name]):
                    yield path, given
                bar.update(len(chunk))

        for _ in _write_answered(executor.map(run_stage, stage, work()), names):
            pass
    target.keep_only(set(names))
    mark = {"stage": target.stage, "shards": names, "skipped": asdict(skipped)}
    write_whole(finished, json.dumps(mark, indent=1) + "\n")
    return list(names)


def _read_mark(mark: Path, target: StageFolder, part: Part) -> list[str] | None:
    """Return the names of all shards if the settings are the same and the part's own shards are there."""
    if target.restart:  # the passages may be others
        return None
    if not mark.exists():
        return None
    try:
        read = read_mark(mark.parent)
    except RunFolderError:
        logger.warning("%s is damaged; the passages are read again.", mark)
        return None
    stage, shards = read.stage, read.shards
    own = [name for number, name in enumerate(shards) if number in part]
    if stage != target.stage or not all(target.has(target.folder / name, shards[name]) for name in own):
        return None
    return list(shards)


def _build(sources: list[Path], stage: Stage, target: StageFolder, executor: Executor) -> None:
    identities = {source.name: target.identity([read_metadata(source).identity]) for source in sources}
    missing = [source for source in sources if not target.has(target.folder / source.name, identities[source.name])]
    work = ((target.folder / source.name, read_shard(source)) for source in missing)
    with tqdm(total=len(sources), initial=len(sources) - len(missing), desc=stage.name, unit=" shards") as bar:
        for _ in _write_answered(executor.map(run_stage, stage, work), identities):
            bar.update()


def _write_answered(made: Iterable[ShardResult], identities: Mapping[str, str]) -> Iterator[None]:
    """Write each shard, unless a server left rows of it without an answer: these are for the next call.

    Raises:
        ModelError: There was such a shard; all others are written by then.
    """
    unfinished = 0
    reasons: list[str] = []
    for one in made:
        if one.unanswered:
            unfinished += 1
            reasons += one.unanswered
        else:
            write_shard(one.rows, one.path, one.counts, one.seconds, identities[one.path.name])
        yield
    if unfinished:
        raise ModelError(
            f"{unfinished} shard(s) are unfinished, because {len(reasons)} request(s) got no answer: "
            f"{count_reasons(reasons)}. A shard is finished when each of its rows has an answer. Check the server and "
            "run the same command again: it builds only what is missing."
        )


def _build_whole(source: Path, names: list[str], stage: Stage, target: StageFolder) -> int:
    """Build a stage that needs the whole corpus, unless another part of the run does; return what is then missing."""
    try:
        with hold(target.folder):
            target.keep_only(set(names))
            _compare([source / name for name in names], stage, target)
    except FolderBusyError:
        return len(names)
    return 0


def _compare(sources: list[Path], stage: Stage, target: StageFolder) -> None:
    """Run the one step of a whole-corpus stage over all shards, and write those that are missing.

    What becomes of a row depends on all shards before it, so an interrupted call compares again.
    """
    (step,) = stage.steps
    identities: list[str] = []
    for source in sources:  # a shard's inputs include those of the shard before it
        identities.append(target.identity([*identities[-1:], read_metadata(source).identity]))
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
