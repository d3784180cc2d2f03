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
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from datasets import Dataset, Features, concatenate_datasets
from tqdm.auto import tqdm

from davidgen_hf.corpus.executors import Executor, LocalExecutor, Step
from davidgen_hf.corpus.identity import rows_identity, shard_identity, stage_identity
from davidgen_hf.engines import load_engine
from davidgen_hf.errors import FolderBusyError, RunFolderError
from davidgen_hf.processors import Processor, SelectInstruction
from davidgen_hf.processors.guard import candidate_text
from davidgen_hf.processors.near_duplicates import NearDuplicates
from davidgen_hf.recipe import CorpusSettings
from davidgen_hf.schema import MADE_WITH, PASSAGE
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.shards import Part, make_rows, read_note, read_shard, read_table, shard_paths, write_shard

logger = logging.getLogger(__name__)

FINISHED = "finished.json"
MARKED = Features(PASSAGE | MADE_WITH)
TOKENS = "tokens."  # begins the counts of what is no row
# The guards that come last: what they reject, all others had let through.
LAST_GUARDS = ("near_duplicate", "overlaps_evaluation")
LOCAL, WHOLE = LocalExecutor(), Part()


def build_corpus(  # noqa: PLR0913 - where from, how, where to; by whom
    passages: Iterable[dict],
    skipped: Skipped,
    settings: CorpusSettings,
    folder: Path,
    *,
    restart: bool = False,
    executor: Executor = LOCAL,
    part: Part = WHOLE,
) -> dict[str, int]:
    """Run the stages over all passages, into one folder for each of ``STAGES``.

    Args:
        passages: Rows of ``schema.PASSAGE``, in a run with ``schema.MADE_WITH``; read once, and only if shards of the
            first stage are missing.
        skipped: Where the reader of the passages counts the rows that it leaves out.
        settings: The recipe's, with every engine's model named.
        folder: The run's folder.
        restart: Make shards anew that were made of other settings, models or passages, and take away those of stages
            that are no longer asked for. Otherwise they are an error.
        executor: Where shards are made.
        part: Which of them are made. The stage that compares all shards is for the call that finds all of them there;
            without them, a call ends before it.

    Returns:
        How many shards are missing of the stage that could not be finished, by its name; empty when all is done.

    Raises:
        RunFolderError: A shard was made of something else, and ``restart`` does not say to make it anew.
        DavidgenError: Of the kind of what went wrong; finished shards stay.
    """
    asked = stages(settings)
    if restart:
        for stage in STAGES.keys() - set(asked):
            shutil.rmtree(folder / stage, ignore_errors=True)
    names: list[str] = []
    source = folder
    for stage in asked:
        made_of = Finished(folder / stage, stage_identity(stage, settings), restart)
        if stage == "fragments":
            names = _extract_all(passages, skipped, settings, made_of, executor, part)
        elif stage == "unique":
            if missing := _missing(source, names) or _compare(source, names, settings, made_of):
                return {source.name: missing}
        else:
            made_of.keep_only(set(names))
            own = [source / name for number, name in enumerate(names) if number in part]
            _run_stage(own, settings, made_of, executor)
        source = made_of.folder
    missing = _missing(source, names)
    return {source.name: missing} if missing else {}


def _missing(folder: Path, names: list[str]) -> int:
    return len(set(names) - {path.name for path in shard_paths(folder)})


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


def take_tokens(counts: dict[str, Counter]) -> dict[str, dict[str, int]]:
    """Take the tokens out of the counts of each stage, and return them for those stages where a model was at work.

    They are those of the prompts for the generator, of the candidates it wrote, and of the outputs that were scored,
    once for each candidate.
    """
    found = {
        stage: {what.removeprefix(TOKENS): of_stage.pop(what) for what in list(of_stage) if what.startswith(TOKENS)}
        for stage, of_stage in counts.items()
    }
    return {stage: tokens for stage, tokens in found.items() if tokens}


def read_skipped(folder: Path) -> dict:
    """Return which rows of the source held no text, as ``Skipped`` counted them."""
    return json.loads((folder / "fragments" / FINISHED).read_text("utf-8"))["skipped"]


def _extract_all(  # noqa: PLR0913, PLR0917 - as build_corpus
    passages: Iterable[dict],
    skipped: Skipped,
    settings: CorpusSettings,
    made_of: Finished,
    executor: Executor,
    part: Part,
) -> list[str]:
    """Cut the passages into shards as they come, and return all names; a mark says that the last one has come."""
    finished = made_of.folder / FINISHED
    known = _read_mark(finished, made_of, part)
    if known is not None:
        return known
    if part == WHOLE:
        finished.unlink(missing_ok=True)
    names: dict[str, str] = {}
    with tqdm(desc=made_of.folder.name, unit=" passages") as bar:

        def work() -> Iterator[tuple[Path, Dataset]]:
            for number, rows in enumerate(_chunks(passages, settings.shard_rows)):
                given = make_rows({name: [row.get(name) for row in rows] for name in MARKED}, MARKED)
                path = made_of.folder / f"{number:05d}.parquet"
                names[path.name] = made_of.identity([rows_identity(given)])
                if number in part and not made_of.has(path, names[path.name]):
                    yield path, given
                bar.update(len(rows))

        for made in executor.map(STAGES["fragments"], settings, work()):
            write_shard(made.rows, made.path, made.counts, made.seconds, names[made.path.name])
    made_of.keep_only(set(names))
    mark = {"stage": made_of.stage, "shards": names, "skipped": asdict(skipped)}
    write_whole(finished, json.dumps(mark, indent=1) + "\n")
    return list(names)


def _read_mark(mark: Path, made_of: Finished, part: Part) -> list[str] | None:
    """Return the names of all shards if the passages were cut by the same settings, and the part's own are whole."""
    if made_of.restart:  # the passages may be others
        return None
    try:
        content = json.loads(mark.read_text("utf-8"))
        stage, shards = content["stage"], dict(content["shards"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        logger.warning("%s is damaged; the passages are read again.", mark)
        return None
    own = [name for number, name in enumerate(shards) if number in part]
    if stage != made_of.stage or not all(made_of.has(made_of.folder / name, shards[name]) for name in own):
        return None
    return list(shards)


def _run_stage(sources: list[Path], settings: CorpusSettings, made_of: Finished, executor: Executor) -> None:
    folder = made_of.folder
    identities = {folder / source.name: made_of.identity([read_note(source).identity]) for source in sources}
    missing = [source for source in sources if not made_of.has(path := folder / source.name, identities[path])]
    work = ((folder / source.name, read_shard(source)) for source in missing)
    with tqdm(total=len(sources), initial=len(sources) - len(missing), desc=folder.name, unit=" shards") as bar:
        for made in executor.map(STAGES[folder.name], settings, work):
            write_shard(made.rows, made.path, made.counts, made.seconds, identities[made.path])
            bar.update()


def _compare(source: Path, names: list[str], settings: CorpusSettings, made_of: Finished) -> int:
    """Mark near-duplicates, unless another part of the run is at it; return how many shards are then missing."""
    try:
        with hold(made_of.folder):
            made_of.keep_only(set(names))
            _mark_near_duplicates([source / name for name in names], settings.guards.near_duplicates, made_of)
    except FolderBusyError:
        return len(names)
    return 0


def _mark_near_duplicates(sources: list[Path], settings: NearDuplicates, made_of: Finished) -> None:
    """Compare the accepted candidates of all shards, in their order, and mark those that come too late.

    What is marked depends on all shards before it, so an interrupted call compares anew and writes what is missing.
    """
    folder = made_of.folder
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
        (f"{row['source']} {row['id']}", candidate_text(one))
        for source in sources
        for row in read_table(source, ["source", "id", "candidates"]).to_pylist()
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
    engine = load_engine(settings.generate.engine)
    written = [one[part] for many in rows["candidates"][:] for one in many for part in ("instruction", "input")]
    counts = _count_reasons(rows)
    counts[f"{TOKENS}prompts"] = sum(engine.count_tokens(settings.generate.prompts(rows["output"][:])))
    counts[f"{TOKENS}candidates"] = sum(engine.count_tokens([text for text in written if text]))
    return rows, counts


def _guard(candidates: Dataset, settings: CorpusSettings) -> tuple[Dataset, Counter]:
    rows = _apply(settings.guards.rules, candidates)
    if settings.guards.decontaminate is not None:
        rows = _apply(settings.guards.decontaminate, rows)
    return rows, _count_reasons(rows)


def _score(candidates: Dataset, settings: CorpusSettings) -> tuple[Dataset, Counter]:
    rows = _apply(settings.score, candidates)
    counts = _count_reasons(rows)
    counts[f"{TOKENS}scored"] = sum(one["n_tokens"] or 0 for many in rows["candidates"][:] for one in many)
    return rows, counts


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
