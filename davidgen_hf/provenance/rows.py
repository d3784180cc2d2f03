"""Rows that say what they are made with, from the first stage of a run to its corpus."""

from collections.abc import Iterable, Iterator
from typing import Any

from davidgen_hf.provenance.record import Part, Provenance, with_license
from davidgen_hf.storage.record import RunRecord
from davidgen_hf.storage.shards import read_table, shard_paths


def mark_rows(passages: Iterable[dict[str, Any]], provenance: Provenance) -> Iterator[dict[str, Any]]:
    """Yield the rows of a method with the columns of ``schema.MADE_WITH``.

    A row is restricted if the passage's own source is, or anything else that the run is made with: the seeds that
    taught the generator, the models that extracted, wrote and scored. The follower does not appear in rows.
    A passage without a licence takes that of its source. Where rows are not passages but lists that the generator
    continues, their source is the generator.
    """
    sources = {(part.name, part.config or ""): part for part in provenance.of_role("passages")}
    roles = ("seeds", "generator", "extractor", "scorer")
    used: dict[str, list[Part]] = {role: provenance.of_role(role) for role in roles}
    ids = {role: [part.id for part in parts] for role, parts in used.items()}
    made_with = {role: ids[role] if role == "seeds" else ", ".join(ids[role]) or None for role in roles}
    restricted = any(part.answer == "restricted" for parts in used.values() for part in parts)
    for passage in passages:
        if passage["source"] is None:
            (own,) = used["generator"]
            passage = passage | {
                "source": own.name,
                "config": own.config or "",
                "revision": own.revision or "",
                "url": "",
            }
        else:
            own = sources[passage["source"], passage["config"]]
        yield passage | {
            "license": passage["license"] or own.license or "",
            "made_with": made_with,
            "restricted": restricted or own.answer == "restricted",
        }


def licensed(provenance: Provenance, record: RunRecord, declared: str | None = None) -> Provenance:
    """Return the provenance of a run with the license that its corpus may carry, if the corpus is finished.

    Args:
        provenance: Of the run.
        record: The record of the run.
        declared: License that the recipe names, for a combination that the table does not hold.
    """
    if "corpus" not in record.steps:
        return provenance
    of_source = {(part.name, part.config or ""): part.license for part in provenance.of_role("passages")}
    found = set()
    for path in shard_paths(record.folder / "corpus"):
        rows = read_table(path, ["source", "config", "license"])
        found |= set(zip(*(rows[name].to_pylist() for name in ("source", "config", "license")), strict=True))
    licenses = {license or of_source.get((source, config)) for source, config, license in found}
    return with_license(provenance, licenses, declared=declared)
