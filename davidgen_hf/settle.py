"""What stands before the first step of a run and behind its last: readable inputs, and a provenance that is told."""

from collections.abc import Collection
from pathlib import Path

from davidgen_hf.errors import RunFolderError
from davidgen_hf.origin import Pins, judge, pin
from davidgen_hf.provenance import Provenance, find_provenance, with_license
from davidgen_hf.recipe import Recipe
from davidgen_hf.record import FILE_NAME, RunRecord, read_record
from davidgen_hf.shards import read_table, shard_paths
from davidgen_hf.sources.passages import Skipped, read_passages
from davidgen_hf.sources.seeds import read_seeds


def settle(
    recipe: Recipe, output: Path, steps: Collection[str], *, restart: bool = False
) -> tuple[Recipe, Provenance]:
    """Find the commits of a recipe's sources and models, try the inputs of a new run, and judge all parts of it.

    Args:
        recipe: The recipe as it was read.
        output: The run's folder. The commits that an earlier call has found are kept, even where a branch has moved.
        steps: Names of the steps that are to be run; what neither they nor finished ones read is not looked at.
        restart: Find the commits anew.

    Returns:
        The recipe with commits in the place of branches, and the provenance.

    Raises:
        InputError: Seeds or passages cannot be read.
        ModelError: A model is absent or no causal language model.
        ProvenanceError: A part is restricted and this is not allowed, or unknown and not declared.
    """
    recorded = None if restart else find_provenance(output)
    pins = Pins(recorded)
    used = {*steps, *_finished(output)} if recorded else set(steps)
    pinned = pin(recipe, pins, used)
    if restart or not (output / FILE_NAME).is_file():
        check_inputs(pinned, steps)
    return pinned, judge(pinned, pins, used)


def check_inputs(recipe: Recipe, steps: Collection[str]) -> None:
    """Read local inputs to their end, so that a fault shows before hours of work.

    Args:
        recipe: What is to be run.
        steps: Names of the steps that are to be run; what no other step reads is not looked at.

    Raises:
        InputError: Seeds or passages cannot be read.
    """
    if "seeds" in steps:
        read_seeds(recipe.seeds.sources, Skipped())
    for source in recipe.corpus.sources if "corpus" in steps else ():
        passages = read_passages(source, Skipped())
        if Path(source.source).exists():
            for _ in passages:
                pass
        else:
            next(passages)


def tell_provenance(record: RunRecord, provenance: Provenance, declared_license: str | None = None) -> bool:
    """Write down where a run comes from, and, once its corpus is finished, which licence that may carry.

    Args:
        record: Of the run.
        provenance: As ``settle`` gives it.
        declared_license: Licence that the recipe names, where the table does not hold the combination.

    Returns:
        Whether this is news.
    """
    if "corpus" in record.steps:
        provenance = with_license(provenance, _licenses(record.folder, provenance), declared=declared_license)
    if provenance == find_provenance(record.folder):
        return False
    record.tell("provenance", provenance.record())
    return True


def _licenses(output: Path, provenance: Provenance) -> set[str | None]:
    """Return the licences of a corpus' rows; a row without one has that of its source, if that is known by now."""
    of_source = {part.name: part.license for part in provenance.of_role("passages")}
    found = set()
    for path in shard_paths(output / "corpus"):
        rows = read_table(path, ["source", "license"])
        found |= set(zip(rows["source"].to_pylist(), rows["license"].to_pylist(), strict=True))
    return {license or of_source.get(source) for source, license in found}


def _finished(output: Path) -> set[str]:
    try:
        return set(read_record(output)["steps"])
    except RunFolderError:
        return set()
