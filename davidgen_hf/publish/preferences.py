"""Preferences among the candidates of a run: the best to the worst, or what a person chose to what was selected."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow

from davidgen_hf import prompts
from davidgen_hf.corpus.review import RowState, row_key
from davidgen_hf.corpus.review.pairs import KEY, PERSON, ReviewsInUse, chosen_candidate
from davidgen_hf.errors import RunFolderError
from davidgen_hf.methods import Stage
from davidgen_hf.processors import GenerateInstructions, SelectInstruction
from davidgen_hf.publish.export_formats import PAIR, PREFERENCE, formats_of
from davidgen_hf.recipe import SCORED, method_of, selection_of
from davidgen_hf.storage.shards import read_columns

MARGIN = pyarrow.field("margin", pyarrow.float64())
CHOSEN_BY = pyarrow.field("chosen_by", pyarrow.string())
DOCUMENT = ("source", "document", "id")


def read_preferences(
    paths: Iterable[Path],
    stages: Iterable[Stage],
    in_use: ReviewsInUse | None = None,
    min_margin: float = 0.0,
    without: frozenset[tuple[Any, ...]] = frozenset(),
) -> Iterator[pyarrow.Table]:
    """Yield the preferences of each shard of scored candidates; see ``publish.export.export_preferences``.

    Args:
        paths: The shards.
        stages: The stages of the method that wrote them.
        in_use: The decisions of reviewers, where they count.
        min_margin: Minimum difference, in nats per token.
        without: Documents whose rows are left out, as ``document_of`` names them.
    """
    steps = [step for stage in stages for step in stage.steps]
    select = next((step for step in steps[-1:] if isinstance(step, SelectInstruction)), SelectInstruction())
    generate = next((step for step in steps if isinstance(step, GenerateInstructions)), GenerateInstructions())
    extra = (*(KEY if in_use else ()), *(DOCUMENT if without else ()))
    extra = (*extra, "language") if generate.prompt_language == "row" else extra
    columns = dict.fromkeys(("output", "candidates", *select.needs, *extra))
    schema = pyarrow.schema([*PREFERENCE, MARGIN, *([CHOSEN_BY] if in_use else [])])

    def preferences(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        state = in_use.reviews.state(row_key(row)) if in_use else RowState()
        if (in_use and not in_use.counts(state)) or (without and document_of(row) in without):
            return
        if state.is_changed:
            yield from _by_person(row, state, select, generate)
        else:
            yield from _by_scores(row, select, generate, min_margin)

    for path in paths:
        rows = read_columns(path, columns).to_pylist()
        yield pyarrow.Table.from_pylist([found for row in rows for found in preferences(row)], schema=schema)


def document_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return the source and the document of a row; runs of version 0.1 name the passage instead of the document."""
    return row["source"], row["document"] or row["id"]


def require_scores(run: Path, record: dict[str, Any]) -> None:
    """Refuse a run whose candidates are not ranked by scores, with advice that depends on its method.

    Raises:
        RunFolderError: No candidates were scored, or the selection does not prefer the best.
    """
    method = method_of(record)
    if any(stage.name == SCORED for stage in method.stages()):
        choose = selection_of(record).choose
        if choose != "best":
            raise RunFolderError(
                f"{run} was selected with choose: {choose}, so the instruction in its corpus is not the preferred "
                "one. Preferences need a ranking by scores. Run the recipe again with corpus.select.choose=best and "
                "--update, which builds only the last stage."
            )
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
        prompt = generate.render(row["output"], best["style"], row.get("language"))
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
            "prompt": generate.render(row["output"], one["style"], row.get("language")),
            "chosen": chosen,
            "rejected": rejected,
            "margin": values[id(other)] - values[id(one)] if scored else None,
            "chosen_by": PERSON,
        }
