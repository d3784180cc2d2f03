"""A run's rows in the forms that other tools train on: pairs, TRL's preferences, and seeds of the next generator."""

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pyarrow
import pyarrow.parquet

from davidgen_hf.corpus.finished import FINISHED, require_shards
from davidgen_hf.corpus.review import WRITTEN_BY, read_pairs, reviews_in_use
from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.publish.export_formats import FORMATS, PAIR
from davidgen_hf.publish.marks import is_restricted
from davidgen_hf.publish.preferences import read_preferences, require_scores
from davidgen_hf.recipe import SCORED, stages_of
from davidgen_hf.storage.files import replacing
from davidgen_hf.storage.record import FILE_NAME, read_record
from davidgen_hf.storage.shards import shard_paths

# What is written of a seed: how it is trained on, where it comes from, and what its row was made with.
SEED_COLUMNS = (
    *("id", "instruction", "input", "output", "language", "source", "config", "revision", "license", "url"),
    *("made_with", *WRITTEN_BY),
)


def export_pairs(run: Path, output: Path, form: str = "alpaca") -> int:
    """Write instruction, input and output of the corpus, or the same as conversations.

    If people have reviewed it, the recipe's ``review`` says which rows count, and a column ``instruction_written_by``
    is added.

    Args:
        run: A run's folder.
        output: A ``.jsonl`` or ``.parquet`` file to write, in place of an earlier one.
        form: A format of pairs, of ``export_formats.FORMATS``.

    Returns:
        How many rows there are.

    Raises:
        RunFolderError: The run has no corpus, or a shard is damaged.
        InputError: The file is of another kind, or cannot be written.
    """
    columns = (*PAIR.names, *(WRITTEN_BY if reviews_in_use(run) else ()))
    tables = (FORMATS[form].apply(read_pairs(path, columns)) for path in _shards(run, "corpus"))
    return write_tables(tables, output, marked=is_restricted(run))


def export_seeds(run: Path, output: Path) -> int:
    """Write the pairs that people accepted as seeds of the next generator, those that they edited or promoted too.

    Each has the origin of its passage, what its row was made with, and whether a person wrote its instruction. A file
    in the run's folder is judged by the run's own provenance, and one elsewhere by the marks on its rows.

    Args:
        run: A run's folder.
        output: A ``.jsonl`` or ``.parquet`` file to write; an earlier one is replaced.

    Returns:
        How many there are.

    Raises:
        RunFolderError: The run has no corpus, nobody has accepted a row, or a shard is damaged.
        InputError: The file is of another kind, or cannot be written.
    """
    in_use = reviews_in_use(run, "accepted")
    if in_use is None or not in_use.reviews.counts()["accepted"]:
        raise RunFolderError(
            f"{run} has no accepted row. Seeds are the rows that people accepted. Accept some: davidgen review {run}."
        )
    tables = (read_pairs(path, SEED_COLUMNS, "accepted") for path in _shards(run, "corpus"))
    return write_tables(tables, output, marked=is_restricted(run))


def export_preferences(run: Path, output: Path, min_margin: float = 0.0, form: str = "dpo") -> int:
    """Write the best and the worst candidate of each fragment, as TRL's ``DPOTrainer`` or ``KTOTrainer`` reads them.

    Both answer the same generator prompt, so they are preferences of an instruction *generator*: ``prompt`` asks for
    the instruction of the output, ``chosen`` is the candidate that the run's selection ranks first, as in the corpus,
    and ``rejected`` the one that it ranks last of the same style of prompt. ``margin`` is the difference
    between them by the same measure, in nats per token of the output. Candidates that a guard rejected were not scored
    and are neither.

    If people have reviewed the run, rows count as the recipe's ``review`` says. Where a person promoted a candidate or
    wrote an instruction, that is ``chosen``, and ``rejected`` is the candidate that the selection preferred to it;
    such rows have ``person`` in the column ``chosen_by``, and their ``margin`` may be negative, or None without
    scores. ``min_margin`` does not concern them.

    Args:
        run: A run's folder.
        output: A ``.jsonl`` or ``.parquet`` file to write; an earlier one is replaced.
        min_margin: Minimum difference, in nats per token.
        form: A format of preferences, of ``export_formats.FORMATS``. Each preference is two rows of ``kto``.

    Returns:
        How many rows there are; fragments with fewer than two ranked candidates yield none.

    Raises:
        RunFolderError: The run has no scores or its selection does not prefer the best, or a shard is damaged.
        InputError: The file is of another kind, or cannot be written.
    """
    record = read_record(run) if (run / FILE_NAME).exists() else None
    if record is not None:
        require_scores(run, record)
    stages = () if record is None else stages_of(record)
    tables = read_preferences(_shards(run, SCORED), stages, reviews_in_use(run), min_margin)
    return write_tables(map(FORMATS[form].apply, tables), output, marked=is_restricted(run))


def _shards(run: Path, stage: str) -> list[Path]:
    if (run / FILE_NAME).exists():  # the shards alone, copied elsewhere, can be exported too
        record = read_record(run)
        first = stages_of(record)[0].name
        if "corpus" in record["steps"] or (run / first / FINISHED).exists():
            require_shards(run, stage, first)
    paths = shard_paths(run / stage)
    if not paths:
        raise RunFolderError(
            f"{run / stage} holds no finished shard. Name the folder of a run whose step `corpus` has begun to write "
            "it: davidgen run RECIPE --output RUN_DIR."
        )
    return paths


def write_tables(tables: Iterator[pyarrow.Table], output: Path, *, marked: bool) -> int:
    """Write tables one by one, so that memory stays flat; a crash leaves no file of that name.

    The rows of a restricted run get the column ``restricted``, since the file may leave the run's folder.

    Raises:
        InputError: The file is of another kind, or cannot be written.
    """
    if marked:
        tables = (one.append_column("restricted", pyarrow.array([True] * len(one), pyarrow.bool_())) for one in tables)
    if output.suffix not in WRITERS:
        raise InputError(f"{output} ends in {output.suffix!r}; name a file that ends in {' or '.join(WRITERS)}.")
    advice = "It must be a file in a folder that can be written to. Name another file with --output."
    with replacing(output, error=InputError, advice=advice) as draft:
        return WRITERS[output.suffix](tables, draft)


def _write_jsonl(tables: Iterator[pyarrow.Table], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for table in tables:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())
            count += len(table)
    return count


def _write_parquet(tables: Iterator[pyarrow.Table], path: Path) -> int:
    first = next(tables)
    schema = first.schema.remove_metadata()
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        count = 0
        for table in chain([first], tables):
            writer.write_table(table.replace_schema_metadata(None))
            count += len(table)
    return count


WRITERS: dict[str, Callable[[Iterator[pyarrow.Table], Path], int]] = {
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}
