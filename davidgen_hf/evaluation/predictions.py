"""A file of predictions to scored answers: what the tasks ask is matched by id, and no model runs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from pydantic import BaseModel, ConfigDict

from davidgen_hf.errors import EvaluationError, InputError
from davidgen_hf.evaluation.harness import id_of, row_of, task_manager
from davidgen_hf.sources.rows import read_rows
from davidgen_hf.storage.validation import Text, validate


class _Prediction(BaseModel):
    """A row of predictions; an id may be a number."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: Text
    prediction: Text


def score_predictions(path: Path, name: str, folder: Path, partial: bool = False) -> tuple[list[dict], dict[str, int]]:
    """Score answers that were written elsewhere.

    Args:
        path: Rows of ``id`` and ``prediction``.
        name: Name of the task or group.
        folder: Where its YAML lies.
        partial: Go on where ids are missing (they count as ``""``), doubled (the last counts) or foreign (passed
            over), as the official script does.

    Returns:
        Rows as ``answer_task`` does but for the prompt, and how many ids were missing, doubled and foreign.

    Raises:
        EvaluationError: Ids are missing, doubled or foreign, and ``partial`` is not set.
        InputError: A row has no ``id`` or no text for ``prediction``.
    """
    manager = task_manager(folder)
    tasks = manager.load([name])["tasks"]
    predictions, doubled = _read_predictions(path)
    asked = {id_of(doc) for task in tasks.values() for doc in task.eval_docs}
    wrong = {
        "missing": sorted(asked - predictions.keys()),
        "doubled": sorted(doubled),
        "foreign": sorted(predictions.keys() - asked),
    }
    if any(wrong.values()) and not partial:
        found = "; ".join(f"{len(ids)} {what}: {_shortened(ids)}" for what, ids in wrong.items() if ids)
        raise EvaluationError(
            f"{path.name} does not answer the {len(asked)} instances of {name} once each. Ids {found}. Fix the file, "
            "or go on with --partial: a missing answer counts as empty, of doubled ones the last, a foreign one not."
        )
    rows = [row for task, instance in tasks.items() for row in _score(manager, task, instance, predictions)]
    return rows, {what: len(ids) for what, ids in wrong.items()}


def _score(manager: TaskManager, name: str, task: Task, predictions: Mapping[str, str]) -> Iterator[dict]:
    for doc in task.eval_docs:
        answer = predictions.get(id_of(doc), "").strip()
        yield row_of(manager, name, doc, task.doc_to_target(doc), answer) | task.process_results(doc, [answer])


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
