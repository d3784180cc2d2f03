"""Whether a run is restricted: by its record, or by a mark on one of its rows."""

from pathlib import Path

import pyarrow.compute

from davidgen_hf.provenance import find_provenance
from davidgen_hf.storage.record import is_run, read_record
from davidgen_hf.storage.shards import column_names, read_table, shard_paths


def is_restricted(run: Path) -> bool:
    """Return whether ``run.json`` or a row of the corpus says that a part of the run is restricted.

    Raises:
        RunFolderError: ``run.json`` or a shard is damaged.
    """
    recorded = find_provenance(run)
    # Version 0.1 marked the embedded model, which is restricted, as one for demos.
    is_old_demo = is_run(run) and read_record(run).get("demo", False)
    return is_old_demo or bool(recorded and recorded.restricted) or has_restricted_rows(run)


def has_restricted_rows(run: Path) -> bool:
    """Return whether a row of the corpus is marked as restricted, or a closed model wrote a candidate.

    Raises:
        RunFolderError: A shard is damaged.
    """
    return any(_is_marked(path, "restricted") for path in shard_paths(run / "corpus")) or any(
        _is_marked(path, "candidates") for path in shard_paths(run / "scored") or shard_paths(run / "candidates")
    )


def _is_marked(path: Path, column: str) -> bool:
    if column not in column_names(path):
        return False
    values = read_table(path, [column])[column]
    if column == "candidates":
        values = pyarrow.compute.struct_field(pyarrow.compute.list_flatten(values), "closed_source")
    return bool(pyarrow.compute.any(values).as_py())
