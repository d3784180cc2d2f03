"""The card of a corpus: what run folders hold, as a ``README.md`` of the Hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import DatasetInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData
from markupsafe import Markup

from davidgen_hf.corpus.facts import Choices, attrition, read_choices, yield_by_style
from davidgen_hf.corpus.review import read_reviews
from davidgen_hf.evaluation.results import FILE_NAME, FOLDER
from davidgen_hf.evaluation.table import compare, to_markdown
from davidgen_hf.publish.builder import KINDS
from davidgen_hf.publish.cards.columns import columns_of
from davidgen_hf.publish.cards.facts import CITATION, describe_run, folder_names
from davidgen_hf.publish.cards.license import license_metadata
from davidgen_hf.publish.cards.notes import NOTES
from davidgen_hf.publish.cards.origin import Origin, origin_of
from davidgen_hf.publish.cards.rows import RowFacts, count_rows
from davidgen_hf.publish.cards.text import render
from davidgen_hf.recipe import parse_recipe, selection_of
from davidgen_hf.sources.rows import on_hub
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import read_table, shard_paths

SIZES = {1e3: "n<1K", 1e4: "1K<n<10K", 1e5: "10K<n<100K", 1e6: "100K<n<1M", 1e7: "1M<n<10M", 1e8: "10M<n<100M"}
DEFAULT = "combined"
REVIEW_COUNTS = ("reviewed", "people", "accepted", "rejected", "edited", "promoted", "disagreed")


@dataclass(frozen=True)
class Config:
    """One configuration of the dataset.

    Args:
        about: What it holds.
        data_files: Patterns of its files by split.
        rows: Number of rows by split.
        info: What ``datasets`` knows of them, where a builder has written it.
        fingerprint: Hash of what the files were built from. ``datasets`` caches the rows of a local folder by its path
            and its card, so a card that stayed the same would bring back the rows of an earlier corpus.
    """

    about: str
    data_files: Mapping[str, Sequence[str]]
    rows: Mapping[str, int]
    info: DatasetInfo | None = None
    fingerprint: str = ""


@dataclass(frozen=True)
class CardContext:
    """What is in the folder of a card.

    Args:
        folder: Name of the folder.
        recipes: Whether the recipes are in ``recipes/``; if not, they are in the card.
        pictures: What they show, and their paths.
        notes: What someone wrote below an earlier card.
        choices: Perplexities of the runs' rows that had a choice, if they are already known.
    """

    folder: str
    recipes: bool = False
    pictures: Sequence[tuple[str, str]] = ()
    notes: str = ""
    choices: Choices | None = None


def corpus_card(
    runs: Sequence[Path], configs: Mapping[str, Config], context: CardContext, *, repo: str | None = None
) -> DatasetCard:
    """Return the card of what runs hold.

    Args:
        runs: Run folders, with finished corpora.
        configs: What can be loaded, by name.
        context: What else is in the folder.
        repo: Id, ``org/name``, that the card loads; without it, the card loads the folder.

    Raises:
        RunFolderError: A run is not finished, or a file of it is damaged.
    """
    records = [read_record(run) for run in runs]
    rows = count_rows(runs, reviewed=context.recipes)
    origin = origin_of(records, rows)
    title = repo.partition("/")[2] if repo else " and ".join(dict.fromkeys(record["name"] for record in records))
    data = _metadata(title, rows, origin, configs)
    choices = context.choices or _choices(runs)
    facts = _facts(runs, records) | {
        "perplexities": choices.means(),
        "choices": len(choices),
        "title": title,
        "address": repo or context.folder,
        "repo": repo,
        "default": DEFAULT if DEFAULT in configs else next(iter(configs)),
        "names": list(configs),
        "configs": [
            (name, split, number, config.about)
            for name, config in configs.items()
            for split, number in config.rows.items()
        ],
        "columns": columns_of(
            config.info.features if config.info else KINDS[name].features for name, config in configs.items()
        ),
        "rows": rows,
        "samples": rows.samples,
        "origin": origin,
        "recipes_are_files": context.recipes,
        "reviews": _reviews(runs, records),
        "pictures": context.pictures,
        "seeds_left_out": _seeds(runs) - sum(configs["seeds"].rows.values() if "seeds" in configs else ()),
        "citation": CITATION,
        "notes": Markup(f"{NOTES}\n{context.notes}"),
    }
    return DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{render('corpus', facts)}")


def _metadata(title: str, rows: RowFacts, origin: Origin, configs: Mapping[str, Config]) -> DatasetCardData:
    languages = rows.iso_languages
    data = DatasetCardData(
        pretty_name=title,
        language=languages or None,
        annotations_creators=["machine-generated"],
        language_creators=[
            *(["found"] if rows.written_by.total() < rows.pairs else []),
            *(["machine-generated"] if rows.written_by else []),
        ],
        multilinguality=["multilingual" if len(languages) > 1 else "monolingual"] if languages else None,
        size_categories=[next((name for limit, name in SIZES.items() if rows.pairs < limit), "100M<n<1B")],
        source_datasets=sorted({source for source, *_ in rows.origins if on_hub(source)}) or None,
        task_categories=["text-generation"],
        tags=["instruction-tuning", "synthetic", "davidgen", *origin.marks],
        **license_metadata(origin.license),
    )
    MetadataConfigs(
        {
            name: {"data_files": [{"split": split, "path": list(paths)} for split, paths in config.data_files.items()]}
            | ({"default": True} if name == DEFAULT else {})
            | ({"description": f"Built from {config.fingerprint}."} if config.fingerprint else {})
            for name, config in configs.items()
        }
    ).to_dataset_card_data(data)
    infos = {name: config.info for name, config in configs.items() if config.info}
    DatasetInfosDict(infos).to_dataset_card_data(data)
    return data


def _facts(runs: Sequence[Path], records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what ``run.json`` and the shards say about how the corpus was created, and about its results."""
    evaluations = [record["steps"].get("evaluation", {}) for record in records]
    evaluated = [run for run in runs if (run / FOLDER / FILE_NAME).is_file()]
    return {
        "runs": [describe_run(one, f"recipes/{name}") for one, name in zip(records, folder_names(runs), strict=True)],
        "attrition": attrition(records),
        "styles": yield_by_style(records),
        "chosen": sorted({selection_of(record).choose for record in records}),
        "several": any(selection_of(record).keep > 1 for record in records),
        "held_out": [one for one in evaluations if one.get("held_out") or one.get("too_long")],
        "benchmarks": Markup(to_markdown(compare(evaluated))) if evaluated else None,
        "unguarded": any(record["recipe"]["corpus"].get("guards") == "none" for record in records),
    }


def _reviews(runs: Sequence[Path], records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what people decided about the rows of each run that they reviewed."""
    found = []
    for run, record in zip(runs, records, strict=True):
        counts = read_reviews(run).counts()
        if counts["reviewed"]:
            use = parse_recipe(record["name"], record["recipe"]).corpus.review.use
            found.append({name: counts[name] for name in REVIEW_COUNTS} | {"name": record["name"], "use": use})
    return found


def _choices(runs: Sequence[Path]) -> Choices:
    choices = Choices()
    for run in runs:
        choices.extend(read_choices(run))
    return choices


def _seeds(runs: Sequence[Path]) -> int:
    return sum(read_table(path, []).num_rows for run in runs for path in shard_paths(run / "seeds"))
