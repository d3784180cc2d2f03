"""Passages to pairs, shard by shard: each stage reads the folder before its own and writes one file a shard.

A file that is there is finished, and bears the hash of what it was made of: a second call does what is missing, and
makes anew what is damaged or was made of something else. Stage by stage rather than shard by shard through all of
them, so that generator and scorer need not be in memory together.
"""

import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from datasets import Dataset, Features, concatenate_datasets
from tqdm.auto import tqdm

from davidgen_hf.errors import RunFolderError
from davidgen_hf.files import write_whole
from davidgen_hf.identity import rows_identity, shard_identity, stage_identity
from davidgen_hf.near_duplicates import NearDuplicates
from davidgen_hf.processors import Processor, SelectInstruction
from davidgen_hf.processors.guard import candidate_text
from davidgen_hf.recipe import CorpusSettings
from davidgen_hf.schema import PASSAGE
from davidgen_hf.shards import make_rows, read_note, read_shard, shard_paths, write_shard
from davidgen_hf.sources.passages import Skipped

logger = logging.getLogger(__name__)

FINISHED = "finished.json"
# The guards that come last: what they reject, all others had let through.
LAST_GUARDS = ("near_duplicate", "overlaps_evaluation")
Step = Callable[[Dataset, CorpusSettings], tuple[Dataset, Counter]]


def build_corpus(
    passages: Iterable[dict], skipped: Skipped, settings: CorpusSettings, folder: Path, *, restart: bool = False
) -> None:
    """Run the stages over all passages, into one folder for each of ``STAGES``.

    Args:
        passages: Rows of ``schema.PASSAGE``; read once, and only if the first stage is not finished.
        skipped: Where the reader of the passages counts the rows that it leaves out.
        settings: The recipe's, with every engine's model named.
        folder: The run's folder.
        restart: Make shards anew that were made of other settings, models or passages, and take away those of stages
            that are no longer asked for. Otherwise they are an error.

    Raises:
        RunFolderError: A shard was made of something else, and ``restart`` does not say to make it anew.
        DavidgenError: Of the kind of what went wrong; finished shards stay.
    """
    asked = stages(settings)
    if restart:
        for stage in STAGES.keys() - set(asked):
            shutil.rmtree(folder / stage, ignore_errors=True)
    source = None
    for stage in asked:
        made_of = Finished(folder / stage, stage_identity(stage, settings), restart)
        if stage == "fragments":
            _extract_all(passages, skipped, STAGES[stage], settings, made_of)
        elif stage == "unique":
            _mark_near_duplicates(shard_paths(folder / source), settings.guards.near_duplicates, made_of)
        else:
            _run_stage(shard_paths(folder / source), STAGES[stage], settings, made_of)
        source = stage


@dataclass(frozen=True)
class Finished:
    """The finished shards of one stage, and which of them may stay.

    Args:
        folder: Where they lie.
        stage: Hash of the stage's settings, models and versions.
        restart: As in ``build_corpus``.
    """

    folder: Path
    stage: str
    restart: bool

    def identity(self, inputs: Iterable[str]) -> str:
        """Return what a shard has to bear that is made of ``inputs``."""
        return shard_identity(self.stage, inputs)

    def has(self, path: Path, identity: str) -> bool:
        """Whether a shard is there, whole, and made of what it has to be made of; if damaged, it is taken away.

        Raises:
            RunFolderError: It is whole and was made of something else, and ``restart`` is not set.
        """
        if not path.exists():
            return False
        try:
            found = read_note(path).identity
        except RunFolderError:
            logger.warning("%s is damaged; it is made anew.", path)
            path.unlink()
            return False
        if found == identity or self.restart:
            return found == identity
        raise RunFolderError(
            f"{path} was made of other settings, models or passages than this run's, or by another version of its "
            "step. Nothing was changed. Name another folder with --output, or add --restart, which keeps the shards "
            "that fit and makes the others anew."
        )

    def keep_only(self, names: set[str]) -> None:
        """Take away the shards of other names, left from more passages than there are now."""
        for path in shard_paths(self.folder):
            if path.name not in names:
                path.unlink()


def stages(settings: CorpusSettings) -> list[str]:
    """Return the names of the stages that a recipe asks for, in their order."""
    guards = settings.guards
    left_out = {"guarded", "unique"} if guards == "none" else {"unique"} if guards.near_duplicates == "none" else set()
    return [stage for stage in STAGES if stage not in left_out]


def read_counts(folder: Path) -> tuple[dict[str, Counter], dict[str, float]]:
    """Return the counts and the seconds of each stage, summed over its finished shards."""
    counts, seconds = {}, {}
    for stage in STAGES:
        notes = [read_note(path) for path in shard_paths(folder / stage)]
        counts[stage] = sum((note.counts for note in notes), Counter())
        seconds[stage] = round(sum(note.seconds for note in notes), 1)
    return counts, seconds


def read_skipped(folder: Path) -> dict:
    """Return which rows of the source held no text, as ``Skipped`` counted them."""
    return json.loads((folder / "fragments" / FINISHED).read_text("utf-8"))["skipped"]


def _extract_all(
    passages: Iterable[dict], skipped: Skipped, step: Step, settings: CorpusSettings, made_of: Finished
) -> None:
    """Cut the passages into shards as they come; a mark says that the last one has come, and names all."""
    finished = made_of.folder / FINISHED
    if _is_finished(finished, made_of):
        return
    finished.unlink(missing_ok=True)
    names = {}
    with tqdm(desc=made_of.folder.name, unit=" passages") as bar:
        for number, rows in enumerate(_chunks(passages, settings.shard_rows)):
            columns = {name: [row[name] for row in rows] for name in PASSAGE}
            made = make_rows(columns, PASSAGE)
            path = made_of.folder / f"{number:05d}.parquet"
            names[path.name] = made_of.identity([rows_identity(made)])
            if not made_of.has(path, names[path.name]):
                _make_shard(made, step, settings, path, names[path.name])
            bar.update(len(rows))
    made_of.keep_only(set(names))
    mark = {"stage": made_of.stage, "shards": names, "skipped": asdict(skipped)}
    write_whole(finished, json.dumps(mark, indent=1) + "\n")


def _is_finished(mark: Path, made_of: Finished) -> bool:
    """Whether all passages were cut, by the same settings, and all shards are still there and whole."""
    if made_of.restart:  # the passages may be others
        return False
    try:
        content = json.loads(mark.read_text("utf-8"))
        stage, shards = content["stage"], content["shards"]
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError):
        logger.warning("%s is damaged; the passages are read again.", mark)
        return False
    if stage != made_of.stage:
        return False
    return all(made_of.has(made_of.folder / name, identity) for name, identity in shards.items())


def _run_stage(sources: list[Path], step: Step, settings: CorpusSettings, made_of: Finished) -> None:
    made_of.keep_only({source.name for source in sources})
    with tqdm(total=len(sources), desc=made_of.folder.name, unit=" shards") as bar:
        for source in sources:
            path = made_of.folder / source.name
            identity = made_of.identity([read_note(source).identity])
            if not made_of.has(path, identity):
                _make_shard(read_shard(source), step, settings, path, identity)
            bar.update()


def _mark_near_duplicates(sources: list[Path], settings: NearDuplicates, made_of: Finished) -> None:
    """Compare the accepted candidates of all shards, in their order, and mark those that come too late.

    What is marked depends on all shards before it, so an interrupted call compares anew and writes what is missing.
    """
    folder = made_of.folder
    made_of.keep_only({source.name for source in sources})
    identities: list[str] = []
    for source in sources:  # what a shard is made of holds what the one before it was made of
        identities.append(made_of.identity([*identities[-1:], read_note(source).identity]))
    missing = [
        not made_of.has(folder / source.name, identity) for source, identity in zip(sources, identities, strict=True)
    ]
    if not any(missing):
        return
    started = time.perf_counter()
    texts = (
        (row["id"], candidate_text(one))
        for source in sources
        for row in read_shard(source, ["id", "candidates"])
        for one in _accepted(row["candidates"])
    )
    repeated = iter(settings.find(texts, folder).tolist())
    for source, is_missing, identity in zip(sources, missing, identities, strict=True):
        rows = read_shard(source)
        candidates = rows["candidates"][:]
        for one in (one for many in candidates for one in _accepted(many)):
            if next(repeated):
                one["reject_reason"] = "near_duplicate"
        if is_missing:
            marked = make_rows(rows[:] | {"candidates": candidates}, rows.features)
            seconds = time.perf_counter() - started
            write_shard(marked, folder / source.name, _count_reasons(marked), seconds, identity)
            started = time.perf_counter()


def _accepted(candidates: list[dict]) -> list[dict]:
    return [one for one in candidates if one["reject_reason"] is None]


def _make_shard(rows: Dataset, step: Step, settings: CorpusSettings, path: Path, identity: str) -> None:
    started = time.perf_counter()
    made, counts = step(rows, settings)
    write_shard(made, path, counts, time.perf_counter() - started, identity)


def _extract(passages: Dataset, settings: CorpusSettings) -> tuple[Dataset, Counter]:
    limited = _apply(settings.limit, passages)
    counts = Counter(passages=len(passages), over_long_skipped=len(passages) - len(limited))
    whole = dict(zip(passages["id"], passages["text"], strict=True))
    counts["over_long_cut"] = sum(whole[row["id"]] != row["text"] for row in limited)
    made = [_apply(strategy, limited) for strategy in settings.extract.strategies()]
    rows = concatenate_datasets(made)
    counts.update(f"fragments.{strategy}" for strategy in rows["strategy"])
    counts["without_fragment"] = len(limited) * len(made) - len(rows)
    return rows, counts


def _generate(fragments: Dataset, settings: CorpusSettings) -> tuple[Dataset, Counter]:
    rows = _apply(settings.generate, fragments)
    return rows, _count_reasons(rows)


def _guard(candidates: Dataset, settings: CorpusSettings) -> tuple[Dataset, Counter]:
    rows = _apply(settings.guards.rules, candidates)
    if settings.guards.decontaminate is not None:
        rows = _apply(settings.guards.decontaminate, rows)
    return rows, _count_reasons(rows)


def _score(candidates: Dataset, settings: CorpusSettings) -> tuple[Dataset, Counter]:
    rows = _apply(settings.score, candidates)
    return rows, _count_reasons(rows)


def _why_dropped(row: dict, select: SelectInstruction) -> str | None:
    """Return why a row yields no pair, with the guard that took its last candidate, if that was a late one."""
    reason = select.drop_reason(row)
    if reason == "none_left":
        found = {one["reject_reason"] for one in row["candidates"]}
        return next((f"{reason}.{last}" for last in LAST_GUARDS if last in found), reason)
    return reason


def _select(scored: Dataset, settings: CorpusSettings) -> tuple[Dataset, Counter]:
    pairs = _apply(settings.select, scored)
    dropped = Counter(_why_dropped(row, settings.select) for row in scored)
    return pairs, Counter(pairs=len(pairs)) + Counter({why: rows for why, rows in dropped.items() if why is not None})


# All stages, in their order. ``unique`` compares the rows of all shards, and so has no step of its own for one shard.
STAGES: dict[str, Step | None] = {
    "fragments": _extract,
    "candidates": _generate,
    "guarded": _guard,
    "unique": None,
    "scored": _score,
    "corpus": _select,
}


def _apply(step: Processor, rows: Dataset) -> Dataset:
    """Run one step over a shard at once, so that an engine sees all of it when it sorts by length."""
    given = rows[:]
    columns = step(given) if step.changes_row_count else given | step(given)
    return make_rows(columns, Features(rows.features | step.writes))


def _count_reasons(rows: Dataset) -> Counter:
    reasons = Counter(one["reject_reason"] for candidates in rows["candidates"][:] for one in candidates)
    rejected = {f"rejected.{reason}": number for reason, number in reasons.items() if reason is not None}
    return Counter(candidates=reasons.total(), accepted=reasons[None], **rejected)


def _chunks(rows: Iterable[dict], size: int) -> Iterator[list[dict]]:
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk
