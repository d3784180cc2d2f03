"""A run's rows in the forms that other tools train on: pairs, TRL's preferences, and seeds of the next generator."""

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from davidgen_hf import prompts
from davidgen_hf.corpus.finished import FINISHED, require_shards
from davidgen_hf.corpus.review import WRITTEN_BY, RowState, read_pairs, reviews_in_use, row_key
from davidgen_hf.corpus.review.pairs import KEY, PERSON, chosen_candidate
from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.processors.generate import GenerateInstructions
from davidgen_hf.processors.select import SelectInstruction
from davidgen_hf.publish.export_formats import FORMATS, PAIR, PREFERENCE, formats_of
from davidgen_hf.publish.marks import is_restricted
from davidgen_hf.recipe import SCORED, method_of, selection_of, stages_of
from davidgen_hf.storage.files import replacing
from davidgen_hf.storage.record import FILE_NAME, read_record
from davidgen_hf.storage.shards import read_columns, shard_paths

MARGIN = pyarrow.field("margin", pyarrow.float64())
CHOSEN_BY = pyarrow.field("chosen_by", pyarrow.string())
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
    return _write(tables, output, marked=is_restricted(run))


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
    return _write(tables, output, marked=is_restricted(run))


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
        _require_scores(run, record)
    select = SelectInstruction() if record is None else selection_of(record)
    if select.choose != "best":
        raise RunFolderError(
            f"{run} was selected with choose: {select.choose}, so the instruction in its corpus is not the preferred "
            "one. Preferences need a ranking by scores. Run the recipe again with corpus.select.choose=best and "
            "--update, which builds only the last stage."
        )
    generate = _generate(run)
    in_use = reviews_in_use(run)
    columns = dict.fromkeys(("output", "language", "candidates", *select.needs, *(KEY if in_use else ())))
    schema = pyarrow.schema([*PREFERENCE, MARGIN, *([CHOSEN_BY] if in_use else [])])

    def preferences(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        state = in_use.reviews.state(row_key(row)) if in_use else RowState()
        if in_use and not in_use.counts(state):
            return
        if state.is_changed:
            yield from _by_person(row, state, select, generate)
        else:
            yield from _by_scores(row, select, generate, min_margin)

    tables = (
        pyarrow.Table.from_pylist(
            [found for row in read_columns(path, columns).to_pylist() for found in preferences(row)], schema=schema
        )
        for path in _shards(run, SCORED)
    )
    return _write(map(FORMATS[form].apply, tables), output, marked=is_restricted(run))


def _require_scores(run: Path, record: dict[str, Any]) -> None:
    """Refuse a run in which no candidates were scored, with advice that depends on its method."""
    method = method_of(record)
    if any(stage.name == SCORED for stage in method.stages()):
        return
    if not hasattr(method, "score"):
        raise RunFolderError(
            f"{run} is a run of method {method.method}, which writes each task once and has no candidates to compare. "
            "Preferences need several scored candidates for the same text, as method back_translation has. Export its "
            f"pairs instead ({', '.join(formats_of(PAIR))}), or run a recipe of method back_translation."
        )
    raise RunFolderError(
        f"{run} has score: none, so its candidates were never compared. Preferences need a ranking by scores. Run the "
        "recipe again with corpus.score={} corpus.select.choose=best and --update, which keeps the candidates."
    )


def _generate(run: Path) -> GenerateInstructions:
    """Return the step that wrote the candidates of a run, with its styles."""
    stages = stages_of(read_record(run)) if (run / FILE_NAME).exists() else ()
    steps = (step for stage in stages for step in stage.steps)
    return next((step for step in steps if isinstance(step, GenerateInstructions)), GenerateInstructions())


def _by_scores(
    row: dict[str, Any], select: SelectInstruction, generate: GenerateInstructions, min_margin: float
) -> Iterator[dict[str, Any]]:
    """Yield the preference of the selection: the first of its ranking to the last of the same style."""
    ranked = select.rank(row)
    of_style = [one for one in ranked if one[1]["style"] == ranked[0][1]["style"]]
    if len(of_style) < 2:
        return
    (best_value, best), (worst_value, worst) = of_style[0], of_style[-1]
    chosen, rejected = (prompts.render_answer(one["instruction"], one["input"] or "") for one in (best, worst))
    if worst_value - best_value >= min_margin and chosen != rejected:
        prompt = generate.render(row["output"], best["style"], row["language"])
        yield {"prompt": prompt, "chosen": chosen, "rejected": rejected, "margin": worst_value - best_value}


def _by_person(
    row: dict[str, Any], state: RowState, select: SelectInstruction, generate: GenerateInstructions
) -> Iterator[dict[str, Any]]:
    """Yield the preference of a person: what they chose or wrote to what the selection would have taken.

    Both answer the same prompt, so the other one is of the style of the candidate that was chosen or edited.
    """
    one = chosen_candidate(row, state, select)
    if one is None:
        return
    values = {id(candidate): value for value, candidate in select.rank(row)}
    others = (found for _, found in select.rank(row) if found["style"] == one["style"])
    other = next((found for found in others if state.instruction is not None or found is not one), None)
    if other is None:
        return
    instruction = one["instruction"] if state.instruction is None else state.instruction
    chosen = prompts.render_answer(instruction, one["input"] or "")
    rejected = prompts.render_answer(other["instruction"], other["input"] or "")
    scored = state.instruction is None and id(one) in values
    if chosen != rejected:
        yield {
            "prompt": generate.render(row["output"], one["style"], row["language"]),
            "chosen": chosen,
            "rejected": rejected,
            "margin": values[id(other)] - values[id(one)] if scored else None,
            "chosen_by": PERSON,
        }


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
