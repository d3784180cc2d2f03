"""A run's rows in the forms that other tools train on: pairs, and TRL's preferences."""

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from davidgen_hf import prompts
from davidgen_hf.corpus.finished import FINISHED, require_shards
from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.processors.generate import GenerateInstructions
from davidgen_hf.processors.select import SelectInstruction
from davidgen_hf.publish.marks import is_restricted
from davidgen_hf.recipe import SCORED, selection_of, stages_of
from davidgen_hf.storage.files import replacing
from davidgen_hf.storage.record import FILE_NAME, read_record
from davidgen_hf.storage.shards import read_columns, shard_paths

PAIR_COLUMNS = ("instruction", "input", "output")
_TEXT = pyarrow.string()
PREFERENCE = pyarrow.schema({"prompt": _TEXT, "chosen": _TEXT, "rejected": _TEXT, "margin": pyarrow.float64()})


def export_pairs(run: Path, output: Path) -> int:
    """Write instruction, input and output of the corpus, the form that most trainers read.

    Args:
        run: A run's folder.
        output: A ``.jsonl`` or ``.parquet`` file to write, in place of an earlier one.

    Returns:
        How many rows there are.

    Raises:
        RunFolderError: The run has no corpus, or a shard is damaged.
        InputError: The file is of another kind, or cannot be written.
    """
    tables = (read_columns(path, PAIR_COLUMNS) for path in _shards(run, "corpus"))
    return _write(tables, output, marked=is_restricted(run))


def export_preferences(run: Path, output: Path, min_margin: float = 0.0) -> int:
    """Write the best and the worst candidate of each fragment, as TRL's ``DPOTrainer`` reads them.

    Both answer the same generator prompt, so they are preferences of an instruction *generator*: ``prompt`` asks for
    the instruction of the output, ``chosen`` is the candidate that the run's selection ranks first, as in the corpus,
    and ``rejected`` the one that it ranks last of the same style of prompt. ``margin`` is the difference
    between them by the same measure, in nats per token of the output. Candidates that a guard rejected were not scored
    and are neither.

    Args:
        run: A run's folder.
        output: A ``.jsonl`` or ``.parquet`` file to write; an earlier one is replaced.
        min_margin: Minimum difference, in nats per token.

    Returns:
        How many rows there are; fragments with fewer than two ranked candidates yield none.

    Raises:
        RunFolderError: The run has no scores or its selection does not prefer the best, or a shard is damaged.
        InputError: The file is of another kind, or cannot be written.
    """
    select = selection_of(read_record(run)) if (run / FILE_NAME).exists() else SelectInstruction()
    if select.choose != "best":
        raise RunFolderError(
            f"{run} was selected with choose: {select.choose}, so the instruction in its corpus is not the preferred "
            "one. Preferences need a ranking by scores. Run the recipe again with corpus.select.choose=best and "
            "--update, which builds only the last stage."
        )
    generate = _generate(run)
    columns = ("output", "candidates", *select.needs)
    tables = (
        pyarrow.Table.from_pylist(
            list(_preferences(read_columns(path, columns).to_pylist(), select, generate, min_margin)),
            schema=PREFERENCE,
        )
        for path in _shards(run, SCORED)
    )
    return _write(tables, output, marked=is_restricted(run))


def _generate(run: Path) -> GenerateInstructions:
    """Return the step that wrote the candidates of a run, with its styles."""
    stages = stages_of(read_record(run)) if (run / FILE_NAME).exists() else ()
    steps = (step for stage in stages for step in stage.steps)
    return next((step for step in steps if isinstance(step, GenerateInstructions)), GenerateInstructions())


def _preferences(
    rows: list[dict[str, Any]], select: SelectInstruction, generate: GenerateInstructions, min_margin: float
) -> Iterator[dict[str, Any]]:
    for row in rows:
        ranked = select.rank(row)
        of_style = [one for one in ranked if one[1]["style"] == ranked[0][1]["style"]]
        if len(of_style) < 2:
            continue
        (best_value, best), (worst_value, worst) = of_style[0], of_style[-1]
        chosen, rejected = (prompts.render_answer(one["instruction"], one["input"] or "") for one in (best, worst))
        if worst_value - best_value >= min_margin and chosen != rejected:
            prompt = generate.render(row["output"], best["style"])
            yield {"prompt": prompt, "chosen": chosen, "rejected": rejected, "margin": worst_value - best_value}


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


def _write(tables: Iterator[pyarrow.Table], output: Path, *, marked: bool) -> int:
    """Write tables one by one, so that memory stays flat; a crash leaves no file of that name.

    The rows of a restricted run get the column ``restricted``, since the file may leave the run's folder.
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
