"""Run folders to a folder as the Hub wants it: Parquet files, a card, and the recipes to make it again."""

import argparse
import json
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from datasets import DatasetInfo, SplitDict, SplitInfo

from davidgen_hf.commandline import run_command_line
from davidgen_hf.errors import RunFolderError
from davidgen_hf.publish.builder import KINDS, PAIRS, PARTS, DavidGen, kinds_of
from davidgen_hf.publish.cards import CardContext, Config, corpus_card, read_notes
from davidgen_hf.publish.cards.facts import folder_names
from davidgen_hf.publish.cards.pictures import FOLDER as PICTURES
from davidgen_hf.publish.cards.pictures import pictures_of
from davidgen_hf.publish.croissant import FILE_NAME as CROISSANT
from davidgen_hf.publish.croissant import croissant
from davidgen_hf.recipe import recipe_files
from davidgen_hf.storage.files import as_pattern, is_in_use, replacing, write_whole
from davidgen_hf.storage.record import read_record


def build_folder(
    runs: Sequence[str | Path],
    output: str | Path,
    *,
    repo: str | None = None,
    num_proc: int | None = None,
    max_shard_size: str = "500MB",
) -> Path:
    """Write the Parquet files of every kind that the runs hold, ``README.md`` and ``croissant.json``.

    The files are ``data/CONFIG/SPLIT-00000-of-0000N.parquet``. ``load_dataset(output, config)`` reads the folder
    without this package, and so it does once it is a repository.

    Args:
        runs: Run folders; their rows follow one another.
        output: New folder; it appears whole or not at all.
        repo: Id, ``org/name``, that the card loads.
        num_proc: Processes that read and write shards.
        max_shard_size: Largest Parquet file, before compression.

    Raises:
        RunFolderError: A folder is not a run folder or has no rows yet, or ``output`` exists or
            cannot be loaded.
        ProvenanceError: No license is known for the corpus as a whole.
    """
    if as_pattern(output) != str(output):
        raise RunFolderError(
            f"{output} could not be loaded: datasets takes *, ? and [ in the name of a folder for a pattern. Name a "
            "folder without them."
        )
    return lay_out_dataset(
        [Path(run) for run in runs], Path(output), repo=repo, num_proc=num_proc, max_shard_size=max_shard_size
    )


def lay_out_dataset(
    runs: list[Path],
    output: Path,
    *,
    repo: str | None = None,
    num_proc: int | None = None,
    max_shard_size: str = "500MB",
) -> Path:
    """Write the folder of ``build_folder``, under any name."""
    if is_in_use(output):
        raise RunFolderError(f"{output} exists and is not empty. Name a new folder, or remove it.")
    kinds = kinds_of(runs)
    if unfinished := [str(run) for run in runs if "corpus" not in read_record(run)["steps"]]:
        raise RunFolderError(f"{', '.join(unfinished)} has no finished corpus yet. Finish it with `davidgen run`.")
    if not kinds:
        raise RunFolderError(
            f"{', '.join(map(str, runs)) or 'No run'} has no rows yet. Finish it with `davidgen run`."
        )
    with replacing(output) as draft:
        configs = {kind: _build(runs, kind, draft, num_proc, max_shard_size) for kind in kinds if kind != "combined"}
        configs |= _combine(configs)
        pictures = _copy_recipes_and_pictures(runs, draft)
        notes = "\n\n".join(filter(None, (read_notes(run / "README.md") for run in runs)))
        context = CardContext(output.resolve().name, recipes=True, pictures=pictures, notes=notes)
        configs = {kind: configs[kind] for kind in kinds}
        card = corpus_card(runs, configs, context, repo=repo)
        card.save(draft / "README.md")
        description = croissant(runs, draft, configs, card, repo)
        write_whole(draft / CROISSANT, json.dumps(description, indent=2, ensure_ascii=False) + "\n")
    return output


def build_from_command_line(about: str, holds: Collection[str] = ()) -> None:
    """Build the folder that the command line names, as the scripts of ``dataset_scripts`` do.

    Args:
        about: What the script says of itself.
        holds: The kinds of pairs that its runs must hold, no more and no fewer; empty takes what there is.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, as `davidgen run` makes them")
    parser.add_argument("--output", type=Path, required=True, help="new folder, to be loaded or pushed")
    parser.add_argument("--repo", help="id on the Hub, org/name, that the card names")
    parser.add_argument("--num-proc", type=int, help="processes that read and write")
    parser.add_argument("--max-shard-size", default="500MB", help="largest Parquet file, before compression")

    def build() -> None:
        given = parser.parse_args()
        found = [kind for kind in PARTS if kind in kinds_of(given.runs)]
        if holds and set(found) != set(holds):
            raise RunFolderError(
                f"{', '.join(map(str, given.runs))} holds pairs of the kinds {found or 'none'}, and this corpus is of "
                f"{list(holds)}. Name other runs, or build all of it with dataset_scripts/davidgen_combined.py."
            )
        build_folder(
            given.runs,
            given.output,
            repo=given.repo,
            num_proc=given.num_proc,
            max_shard_size=given.max_shard_size,
        )

    run_command_line(build, parser.prog)


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
    files_of = {split: [f"data/{kind}/{split}-*"] for split in builder.info.splits}
    rows = {split: info.num_examples for split, info in builder.info.splits.items()}
    return Config(KINDS[kind].about, files_of, rows, builder.info)


def _copy_recipes_and_pictures(runs: list[Path], folder: Path) -> list[tuple[str, str]]:
    """Write the recipes of runs, copy their pictures, and return what these show and their paths."""
    pictures = []
    for run, name in zip(runs, folder_names(runs), strict=True):
        for recipe_file, text in recipe_files(read_record(run)["recipe"]):
            write_whole(folder / "recipes" / name / recipe_file, text)
        for shows, path in pictures_of(run, f"{PICTURES}/{name}"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / PICTURES / Path(path).name, folder / path)
            pictures.append((shows, path))
    return pictures


def _combine(configs: dict[str, Config]) -> dict[str, Config]:
    """Return the configuration of all pairs over the files of its parts."""
    parts = [configs[kind] for kind in PARTS if kind in configs]
    if not parts:
        return {}
    infos = [part.info for part in parts if part.info]
    size = sum(info.dataset_size for info in infos)
    rows = sum(part.rows["train"] for part in parts)
    splits = SplitDict()
    splits.add(SplitInfo("train", num_bytes=size, num_examples=rows))
    download = sum(info.download_size for info in infos)
    features = infos[0].features if infos else PAIRS
    info = DatasetInfo(features=features, splits=splits, download_size=download, dataset_size=size)
    files_of = {"train": [path for part in parts for path in part.data_files["train"]]}
    return {"combined": Config(KINDS["combined"].about, files_of, {"train": rows}, info)}
