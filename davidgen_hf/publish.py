"""Run folders to a folder as the Hub wants it: Parquet files, a card, and the recipes to make it again."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from datasets import DatasetInfo, SplitDict, SplitInfo

from davidgen_hf.builder import KINDS, PAIRS, DavidGen, kinds_of
from davidgen_hf.cards import Config, corpus_card
from davidgen_hf.errors import RunFolderError
from davidgen_hf.recipe import write_recipe
from davidgen_hf.record import read_record

# Every pair is in one of these; "combined" reads their files, so that none is stored twice.
PARTS = ("unsupervised", "supervised", "extracted")


def build_folder(
    runs: Sequence[str | Path],
    output: str | Path,
    *,
    repo: str | None = None,
    num_proc: int | None = None,
    max_shard_size: str = "500MB",
) -> Path:
    """Write ``data/CONFIG/SPLIT-00000-of-0000N.parquet`` of every kind that the runs hold, and ``README.md``.

    ``load_dataset(output, config)`` reads it without this package, and so it does once it is a repository.

    Args:
        runs: Run folders; their rows follow one another.
        output: New folder; it appears whole or not at all.
        repo: Id, ``org/name``, that the card tells people to load.
        num_proc: Processes that read and write shards.
        max_shard_size: Largest Parquet file, before compression.

    Raises:
        RunFolderError: A folder is no run's or has no rows yet, or ``output`` holds something already.
        ProvenanceError: No licence is known that the whole may carry.
    """
    runs, output = [Path(run) for run in runs], Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise RunFolderError(f"{output} is there already. Name a new folder, or remove it.")
    kinds = kinds_of(runs)
    if not kinds:
        raise RunFolderError(
            f"{', '.join(map(str, runs)) or 'No run'} has no rows yet. Finish it with `davidgen run`."
        )
    draft = output.with_name(f".{output.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    configs = {kind: _build(runs, kind, draft, num_proc, max_shard_size) for kind in kinds if kind != "combined"}
    configs |= _combine(configs)
    for run in runs:
        write_recipe(read_record(run)["recipe"], draft / "recipes" / run.resolve().name)
    corpus_card(runs, {kind: configs[kind] for kind in kinds}, repo=repo).save(draft / "README.md")
    if output.exists():
        output.rmdir()
    os.replace(draft, output)
    return output


def _build(runs: list[Path], kind: str, folder: Path, num_proc: int | None, max_shard_size: str) -> Config:
    """Write the Parquet files of one kind, under the names that the Hub's own writers give them."""
    work, data = folder / ".work", folder / "data" / kind
    builder = DavidGen(cache_dir=str(work / "cache"), config_name=kind, runs=runs)
    builder.download_and_prepare(
        str(work / kind), file_format="parquet", num_proc=num_proc, max_shard_size=max_shard_size
    )
    data.mkdir(parents=True)
    for split in builder.info.splits:
        files = sorted((work / kind).glob(f"davidgen-{split}*.parquet"))
        for number, file in enumerate(files):
            file.rename(data / f"{split}-{number:05d}-of-{len(files):05d}.parquet")
    shutil.rmtree(work)
    builder.info.download_size = sum(file.stat().st_size for file in data.iterdir())
    return Config(
        KINDS[kind].about, {split: [f"data/{kind}/{split}-*"] for split in builder.info.splits}, builder.info
    )


def _combine(configs: dict[str, Config]) -> dict[str, Config]:
    """Return the configuration of all pairs over the files of its parts."""
    parts = [configs[kind] for kind in PARTS if kind in configs]
    if not parts:
        return {}
    infos = [part.info for part in parts]
    size = sum(info.dataset_size for info in infos)
    splits = SplitDict()
    splits.add(SplitInfo("train", num_bytes=size, num_examples=sum(part.rows for part in parts)))
    download = sum(info.download_size for info in infos)
    info = DatasetInfo(features=PAIRS, splits=splits, download_size=download, dataset_size=size)
    files_of = {"train": [path for part in parts for path in part.data_files["train"]]}
    return {"combined": Config(KINDS["combined"].about, files_of, info)}
