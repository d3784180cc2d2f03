"""A file of predictions to scored answers: predictions are matched to instances by id, and no model runs."""

from pathlib import Path
from typing import Any

from lm_eval.tasks import TaskManager
from pydantic import BaseModel, ConfigDict

from davidgen_hf.errors import EvaluationError, InputError, SettingError
from davidgen_hf.evaluation.answers import id_of, load_task, numbers_of, row_of
from davidgen_hf.sources.rows import read_rows
from davidgen_hf.storage.validation import Text, validate


class _Prediction(BaseModel):
    """A row of predictions; an id may be a number."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: Text
    prediction: Text


def score_predictions(
    path: Path, name: str, manager: TaskManager, partial: bool = False
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Score answers that were written elsewhere.

    Args:
        path: Rows of ``id`` and ``prediction``.
        name: Name of the task or group.
        manager: Knows it: ``answers.task_manager`` or ``tasks.other_tasks``.
        partial: Go on if ids are missing (they count as ``""``), doubled (the last counts) or foreign (ignored), as
            the official script does.

    Returns:
        Rows as of ``answer_task`` without the prompt, and how many ids were missing, doubled and foreign.

    Raises:
        EvaluationError: Ids are missing, doubled or foreign, and ``partial`` is not set.
        InputError: A row has no ``id`` or no text for ``prediction``.
        SettingError: A task takes no written answers.
    """
    tasks = load_task(name, manager)
    for one in tasks.values():
        if one.OUTPUT_TYPE != "generate_until":
            raise SettingError(
                f"{name} compares log-likelihoods ({one.OUTPUT_TYPE}), so there are no predictions to score. Only "
                "tasks with written answers (generate_until) take predictions; run a model on the others."
            )
    predictions, doubled = _read_predictions(path)
    docs = [(task, number, doc) for task, one in tasks.items() for number, doc in enumerate(one.eval_docs)]
    expected = {id_of(task, (number, doc)) for task, number, doc in docs}
    wrong = {
        "missing": sorted(expected - predictions.keys()),
        "doubled": sorted(doubled),
        "foreign": sorted(predictions.keys() - expected),
    }
    if any(wrong.values()) and not partial:
        found = "; ".join(f"{len(ids)} {what}: {_shortened(ids)}" for what, ids in wrong.items() if ids)
        raise EvaluationError(
            f"{path.name} does not answer the {len(expected)} instances of {name} once each. Ids {found}. Fix the "
            "file, or continue with --partial: a missing answer counts as empty, the last of doubled ones counts, and "
            "foreign ones do not."
        )
    rows = []
    for task, number, doc in docs:
        answer = predictions.get(id_of(task, (number, doc)), "").strip()
        row = row_of(manager, task, (number, doc), tasks[task].doc_to_target(doc), answer)
        rows.append(row | numbers_of(tasks[task].process_results(doc, [answer])))
    return rows, {what: len(ids) for what, ids in wrong.items()}


def _read_predictions(path: Path) -> tuple[dict[str, str], set[str]]:
    predictions: dict[str, str] = {}
    doubled = set()
    for place, row in read_rows(str(path)):
        if "id" not in row or not isinstance(row.get("prediction"), str):
            raise InputError(f"{place} has the fields {sorted(row)}; it needs id, and prediction with a text.")
        read = validate(_Prediction, row, place, "It needs id, and prediction with a text. Fix that line.")
        if read.id in predictions:
            doubled.add(read.id)
        predictions[read.id] = read.prediction
    return predictions, doubled


def _shortened(ids: list[str], shown: int = 10) -> str:
    return ", ".join(ids[:shown]) + (f" and {len(ids) - shown} more" if len(ids) > shown else "")
