"""The Croissant description of a published folder: files, columns, and where each row comes from.

Croissant 1.1 with its vocabulary for responsible AI, http://mlcommons.org/croissant/1.1. The provenance of a row is
in columns of the row; ``annotation`` fields say which columns these are, in terms of W3C PROV.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datasets import Features, List
from huggingface_hub import DatasetCard
from huggingface_hub.constants import ENDPOINT

from davidgen_hf.corpus.facts import attrition
from davidgen_hf.provenance import Part, Provenance
from davidgen_hf.publish.builder import KINDS
from davidgen_hf.publish.cards.columns import ABOUT
from davidgen_hf.publish.cards.corpus import Config
from davidgen_hf.publish.cards.facts import CITATION, settings_of
from davidgen_hf.storage.digests import data_digest
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import shard_paths

FILE_NAME = "croissant.json"
# The context that the specification recommends, and the prefix of PROV.
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "key": "cr:key",
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
} | {
    name: f"cr:{name}"
    for name in (
        *("annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field"),
        *("fileObject", "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath"),
        *("md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
        *("separator", "source", "subField", "transform"),
    )
}
TYPES = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    "int64": "sc:Integer",
    "float64": "sc:Float",
    "float32": "sc:Float",
}
# Which columns hold what of a row's provenance. An output is the characters ``start`` to ``end`` of ``text``, which
# are the characters ``document_start`` to ``document_end`` of the row ``document`` of ``source``.
ANNOTATIONS = {
    "prov:wasDerivedFrom": (
        *("source", "config", "revision", "url", "id", "document", "document_start", "document_end", "start", "end"),
        "made_with/seeds",
    ),
    "prov:wasAttributedTo": ("made_with/generator", "output_written_by", "instruction_written_by"),
    "prov:wasGeneratedBy": ("strategy", "made_with/extractor", "made_with/scorer"),
    "sc:usageInfo": ("license", "restricted"),
}


def croissant(
    runs: Sequence[Path], folder: Path, configs: Mapping[str, Config], card: DatasetCard, repo: str | None = None
) -> dict[str, Any]:
    """Return the Croissant description of a folder, as plain values of JSON-LD.

    Args:
        runs: Run folders, with finished corpora.
        folder: The folder that is described, with its Parquet files.
        configs: The configurations that it holds, by name.
        card: Its card, from which name, license and languages are taken.
        repo: Id of its repository on the Hub, ``org/name``.
    """
    records = [read_record(run) for run in runs]
    parts = list(
        dict.fromkeys(
            part
            for record in records
            if "provenance" in record
            for part in Provenance.from_record(record["provenance"]).parts
        )
    )
    data: dict[str, Any] = vars(card.data)
    license = data.get("license_name") or data.get("license")
    title, languages = data["pretty_name"], data.get("language")
    described: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": title,
        "description": f"{title}: " + "; ".join(f"{name}, {config.about}" for name, config in configs.items()) + ".",
        "url": f"{ENDPOINT}/datasets/{repo}" if repo else None,
        "version": f"1.0.0+{_digest(folder)}",
        "datePublished": _date(runs),
        "license": license or "Not determined: the column license of each row names its own.",
        "usageInfo": _usage(parts, license, data["tags"]),
        "keywords": data["tags"],
        "inLanguage": languages,
        "citeAs": " ".join(CITATION.split()),
        "distribution": [
            {
                "@type": "cr:FileSet",
                "@id": f"files-{name}-{split}",
                "name": f"files-{name}-{split}",
                "description": f"The Parquet files of {name}, split {split}.",
                "encodingFormat": "application/x-parquet",
                "includes": list(patterns),
            }
            for name, config in configs.items()
            for split, patterns in config.data_files.items()
        ],
        "recordSet": [
            _record_set(name, split, config, single=len(config.data_files) == 1)
            for name, config in configs.items()
            for split in config.data_files
        ],
        "rai:machineAnnotationTools": _models(parts),
        "rai:dataPreprocessingProtocol": list(
            dict.fromkeys(f"{step}: {settings}" for record in records for step, settings in settings_of(record))
        ),
        "rai:dataLimitations": _limitations(configs, parts, records),
        "rai:dataBiases": _biases(parts, languages),
        "rai:personalSensitiveInformation": [
            "Passages are taken from their sources as they are, so names and statements about persons in them remain."
        ],
    }
    return {name: value for name, value in described.items() if value not in (None, [], "")}


def _digest(folder: Path) -> str:
    """Return a hash of the rows' files: the build metadata of the version, since other rows are another version."""
    state = hashlib.sha256()
    for path in sorted((folder / "data").rglob("*.parquet")):
        state.update(data_digest(path).encode())
    return state.hexdigest()[:16]


def _date(runs: Sequence[Path]) -> str:
    """Return the day on which the last pair was written, so that a second push of the same rows changes nothing."""
    written = [path.stat().st_mtime for run in runs for path in shard_paths(run / "corpus")]
    return datetime.fromtimestamp(max(written), UTC).date().isoformat()


def _record_set(name: str, split: str, config: Config, *, single: bool) -> dict[str, Any]:
    place = name if single else f"{name}-{split}"
    files = f"files-{name}-{split}"
    features = _features(name, config)
    annotations = {
        known: present
        for known, columns in ANNOTATIONS.items()
        if (present := [column for column in columns if column.partition("/")[0] in features])
    }
    return {
        "@type": "cr:RecordSet",
        "@id": place,
        "name": place,
        "description": f"{config.about}; {config.rows[split]} rows in the split {split}.",
        "field": list(_fields(place, files, features)),
        "annotation": [
            {
                "@type": "cr:Field",
                "@id": f"{place}/annotation/{known.partition(':')[2]}",
                "name": known.partition(":")[2],
                "description": f"The columns of a row that say {known}.",
                "equivalentProperty": known,
                "subField": [
                    _leaf(f"{place}/annotation/{known.partition(':')[2]}/{column}", files, *_feature(features, column))
                    for column in columns
                ],
            }
            for known, columns in annotations.items()
        ],
    }


def _features(name: str, config: Config) -> Features:
    return config.info.features if config.info else KINDS[name].features


def _feature(features: Features, column: str) -> tuple[str, str, Any]:
    """Return column, path within it and feature of ``made_with/generator``."""
    outer, _, inner = column.partition("/")
    return outer, inner, features[outer][inner] if inner else features[outer]


def _fields(place: str, files: str, features: Features) -> Iterator[dict[str, Any]]:
    for column, feature in features.items():
        field = f"{place}/{column}"
        inner = feature.feature if isinstance(feature, List) else feature
        if isinstance(inner, dict):
            yield {
                "@type": "cr:Field",
                "@id": field,
                "name": column,
                "description": ABOUT.get(column, column),
                **({"isArray": True, "arrayShape": "-1"} if isinstance(feature, List) else {}),
                "subField": [_leaf(f"{field}/{name}", files, column, name, one) for name, one in inner.items()],
            }
        else:
            yield _leaf(field, files, column, "", feature)


def _leaf(field: str, files: str, column: str, inner: str, feature: Any) -> dict[str, Any]:
    value = feature.feature if isinstance(feature, List) else feature
    source: dict[str, Any] = {"fileSet": {"@id": files}, "extract": {"column": column}}
    if inner:
        source["transform"] = {"jsonPath": inner}
    return {
        "@type": "cr:Field",
        "@id": field,
        "name": inner or column,
        "description": inner or ABOUT.get(column, column),
        "dataType": TYPES[value.dtype],
        **({"isArray": True, "arrayShape": "-1"} if isinstance(feature, List) else {}),
        "source": source,
    }


def _usage(parts: Sequence[Part], license: str | None, tags: Sequence[str]) -> str:
    restricted = [*dict.fromkeys(part.id for part in parts if part.answer == "restricted")]
    words = f"License: {license or 'not determined'}. Each row names its own in the column license."
    if restricted or "restricted" in tags:
        words += f" Restricted: {', '.join(restricted) or 'rows that the column restricted marks'}."
    return words


def _models(parts: Sequence[Part]) -> list[str]:
    roles = ("base_model", "generator", "extractor", "scorer")
    return list(dict.fromkeys(f"{part.id} ({part.role})" for part in parts if part.role in roles))


def _limitations(configs: Mapping[str, Config], parts: Sequence[Part], records: Sequence[dict[str, Any]]) -> list[str]:
    found = [f"{part.id} ({part.role}) is {part.answer}: {part.reason}" for part in parts if part.answer != "clean"]
    for record in records:
        if counted := [f"{stage}: {what}: {count}" for stage, what, count in attrition([record])]:
            found.append(f"Rows of {record['name']} by what became of them: {'; '.join(counted)}.")
    is_reviewed = any("instruction_written_by" in _features(name, config) for name, config in configs.items())
    written = ["Instructions were written by a model, and checked by rules and scores."]
    if is_reviewed:
        written += ["People reviewed a part of the pairs; instruction_written_by is person where they wrote one."]
    if "self_instruct" in configs:
        written += [
            "Outputs of the configuration self_instruct were written by a model, which output_written_by names."
        ]
    return written + found


def _biases(parts: Sequence[Part], languages: Sequence[str] | None) -> list[str]:
    passages = ", ".join(dict.fromkeys(part.id for part in parts if part.role == "passages"))
    seeds = ", ".join(dict.fromkeys(part.id for part in parts if part.role == "seeds"))
    return [
        f"Topics and views are those of the passages ({passages or 'not recorded'}); languages: "
        f"{', '.join(languages or ['not known'])}.",
        f"The style of the instructions follows the seeds ({seeds or 'none recorded'}) and the generator.",
    ]
