"""Passages to pairs, shard by shard: each stage reads the folder before its own and writes one file a shard.

A file that is there is finished, so a second call does what is missing and nothing twice. Stage by stage rather than
shard by shard through all of them, so that generator and scorer need not be in memory together.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from datasets import Dataset, Features, concatenate_datasets
from tqdm.auto import tqdm

from davidgen_hf.files import write_whole
from davidgen_hf.near_duplicates import NearDuplicates
from davidgen_hf.processors import Processor
from davidgen_hf.processors.guard import candidate_text
from davidgen_hf.recipe import CorpusSettings
from davidgen_hf.schema import PASSAGE
from davidgen_hf.shards import make_rows, read_note, read_shard, shard_paths, write_shard
from davidgen_hf.sources.passages import Skipped

FINISHED = "finished.json"
Step = Callable[[Dataset, CorpusSettings], tuple[Dataset, Counter]]


def build_corpus(passages: Iterable[dict], skipped: Skipped, settings: CorpusSettings, folder: Path) -> None:
    """Run the stages over all passages, into one folder for each of ``STAGES``.

    Args:
        passages: Rows of ``schema.PASSAGE``; read once, and only if the first stage is not finished.
        skipped: Where the reader of the passages counts the rows that it leaves out.
        settings: The recipe's, with every engine's model named.
        folder: The run's folder.

    Raises:
        DavidgenError: Of the kind of what went wrong; finished shards stay.
    """
    source = None
    for stage in stages(settings):
        if stage == "fragments":
            _extract_all(passages, skipped, STAGES[stage], settings, folder / stage)
        elif stage == "unique":
            _mark_near_duplicates(shard_paths(folder / source), settings.guards.near_duplicates, folder / stage)
        else:
            _run_stage(shard_paths(folder / source), STAGES[stage], settings, folder / stage)
        source = stage


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
        counts[stage] = sum((one for one, _ in notes), Counter())
        seconds[stage] = round(sum(spent for _, spent in notes), 1)
    return counts, seconds


def read_skipped(folder: Path) -> dict:
    """Return which rows of the source held no text, as ``Skipped`` counted them."""
    return json.loads((folder / "fragments" / FINISHED).read_text("utf-8"))


def _extract_all(
    passages: Iterable[dict], skipped: Skipped, step: Step, settings: CorpusSettings, folder: Path
) -> None:
    """Cut the passages into shards as they come; a mark says that the last one has come."""
    finished = folder / FINISHED
    if finished.exists():
        return
    with tqdm(desc=folder.name, unit=" passages") as bar:
        for number, rows in enumerate(_chunks(passages, settings.shard_rows)):
            path = folder / f"{number:05d}.parquet"
            if not path.exists():
                columns = {name: [row[name] for row in rows] for name in PASSAGE}
                _make_shard(make_rows(columns, PASSAGE), step, settings, path)
            bar.update(len(rows))
    write_whole(finished, json.dumps(asdict(skipped)) + "\n")


def _run_stage(sources: list[Path], step: Step, settings: CorpusSettings, folder: Path) -> None:
    with tqdm(total=len(sources), desc=folder.name, unit=" shards") as bar:
        for source in sources:
            path = folder / source.name
            if not path.exists():
                _make_shard(read_shard(source), step, settings, path)
            bar.update()


def _mark_near_duplicates(sources: list[Path], settings: NearDuplicates, folder: Path) -> None:
    """Compare the accepted candidates of all shards, in their order, and mark those that come too late.

    What is marked depends on all shards before it, so an interrupted call compares anew and writes what is missing.
    """
    missing = [not (folder / source.name).exists() for source in sources]
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
    for source, is_missing in zip(sources, missing, strict=True):
        rows = read_shard(source)
        candidates = rows["candidates"][:]
        for one in (one for many in candidates for one in _accepted(many)):
            if next(repeated):
                one["reject_reason"] = "near_duplicate"
        if is_missing:
            marked = make_rows(rows[:] | {"candidates": candidates}, rows.features)
            write_shard(marked, folder / source.name, _count_reasons(marked), time.perf_counter() - started)
            started = time.perf_counter()


def _accepted(candidates: list[dict]) -> list[dict]:
    return [one for one in candidates if one["reject_reason"] is None]


def _make_shard(rows: Dataset, step: Step, settings: CorpusSettings, path: Path) -> None:
    started = time.perf_counter()
    made, counts = step(rows, settings)
    write_shard(made, path, counts, time.perf_counter() - started)


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


def _select(scored: Dataset, settings: CorpusSettings) -> tuple[Dataset, Counter]:
    pairs = _apply(settings.select, scored)
    dropped = Counter(settings.select.drop_reason(row) for row in scored)
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
