"""The card of a corpus: what run folders hold, as a ``README.md`` of the Hub."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import DatasetInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData

from davidgen_hf.cards.facts import CITATION, attrition, seconds_of, settings_of
from davidgen_hf.cards.origin import Origin, origin_of
from davidgen_hf.cards.pictures import pictures_of
from davidgen_hf.cards.rows import RowFacts, count_rows, mean_perplexities
from davidgen_hf.cards.text import render
from davidgen_hf.evaluation.results import FILE_NAME, FOLDER
from davidgen_hf.evaluation.table import compare, to_markdown
from davidgen_hf.record import read_record
from davidgen_hf.sources.rows import on_hub

SIZES = {1e3: "n<1K", 1e4: "1K<n<10K", 1e5: "10K<n<100K", 1e6: "100K<n<1M", 1e7: "1M<n<10M", 1e8: "10M<n<100M"}
DEFAULT = "combined"


@dataclass(frozen=True)
class Config:
    """One configuration of the dataset: patterns of its files by split, and what ``datasets`` knows of them."""

    about: str
    data_files: Mapping[str, Sequence[str]]
    info: DatasetInfo

    @property
    def rows(self) -> int:
        """Rows of all splits."""
        return self.info.splits.total_num_examples


def corpus_card(runs: Sequence[Path], configs: Mapping[str, Config], *, repo: str | None = None) -> DatasetCard:
    """Return the card of what runs hold.

    Args:
        runs: Run folders, with finished corpora.
        configs: What can be loaded, by name.
        repo: Id, ``org/name``, that the card tells people to load; without it, the folder that it lies in.

    Raises:
        RunFolderError: A run is not finished, or a file of it is damaged.
    """
    records = [read_record(run) for run in runs]
    rows = count_rows(runs)
    origin = origin_of(records, rows)
    title = repo.partition("/")[2] if repo else " and ".join(dict.fromkeys(record["name"] for record in records))
    data = _metadata(title, rows, origin, configs)
    facts = _facts(runs, records) | {
        "title": title,
        "address": repo or ".",
        "default": DEFAULT if DEFAULT in configs else next(iter(configs)),
        "names": list(configs),
        "configs": [
            (name, split, info.num_examples, config.about)
            for name, config in configs.items()
            for split, info in config.info.splits.items()
        ],
        "rows": rows,
        "samples": rows.samples,
        "origin": origin,
        "citation": CITATION,
    }
    return DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{render('corpus', facts)}")


def _metadata(title: str, rows: RowFacts, origin: Origin, configs: Mapping[str, Config]) -> DatasetCardData:
    languages = sorted(name for name in rows.languages if re.fullmatch("[a-z]{2,3}", name))
    data = DatasetCardData(
        pretty_name=title,
        language=languages or None,
        annotations_creators=["machine-generated"],
        language_creators=["found"],
        multilinguality=["multilingual" if len(languages) > 1 else "monolingual"],
        size_categories=[next((name for limit, name in SIZES.items() if rows.pairs < limit), "100M<n<1B")],
        source_datasets=sorted({source for source, *_ in rows.origins if on_hub(source)}) or None,
        task_categories=["text-generation"],
        tags=["instruction-tuning", "synthetic", "davidgen", *origin.marks],
        **origin.metadata(),
    )
    MetadataConfigs(
        {
            name: {"data_files": [{"split": split, "path": list(paths)} for split, paths in config.data_files.items()]}
            | ({"default": True} if name == DEFAULT else {})
            for name, config in configs.items()
        }
    ).to_dataset_card_data(data)
    DatasetInfosDict({name: config.info for name, config in configs.items()}).to_dataset_card_data(data)
    return data


def _facts(runs: Sequence[Path], records: Sequence[dict]) -> dict:
    """Return what ``run.json`` and the shards tell of how the corpus came about, and what came of it."""
    made = [
        {
            "name": record["name"],
            "settings": settings_of(record),
            "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
            "seconds": seconds_of(record),
            "command": f"davidgen run recipes/{run.resolve().name} --output runs/{run.resolve().name}",
        }
        for run, record in zip(runs, records, strict=True)
    ]
    evaluated = [run for run in runs if (run / FOLDER / FILE_NAME).is_file()]
    return {
        "runs": made,
        "attrition": attrition(records),
        "perplexities": mean_perplexities(runs),
        "held_out": [one for record in records if (one := record["steps"].get("evaluation", {})).get("held_out")],
        "benchmarks": to_markdown(compare(evaluated)) if evaluated else None,
        "pictures": pictures_of(runs),
        "unguarded": any(record["recipe"]["corpus"].get("guards") == "none" for record in records),
    }
