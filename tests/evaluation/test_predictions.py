import json

import pytest

import davidgen_hf.evaluation.tasks
from davidgen_hf.errors import EvaluationError, InputError
from davidgen_hf.evaluation import superni_scores
from davidgen_hf.evaluation.answers import task_manager
from davidgen_hf.evaluation.predictions import score_predictions
from davidgen_hf.evaluation.tasks import local_tasks

GROUP = "davidgen_superni_overlap_extraction"
TASKS = ("task039_qasc_find_overlapping_words", "task281_points_of_correspondence")


@pytest.fixture
def manager(superni_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(davidgen_hf.evaluation.tasks, "HF_HOME", str(tmp_path / "cache"))
    return task_manager(local_tasks({"superni": superni_folder}, [GROUP])[0])


def write_predictions(path, predictions):
    lines = (json.dumps({"id": name, "prediction": text}) + "\n" for name, text in predictions)
    path.write_text("".join(lines), "utf-8")
    return path


def all_predictions(answer="The 1"):
    return [(f"{task}-{n}", answer) for task, count in zip(TASKS, (4, 6), strict=True) for n in range(count)]


def test_predictions_score_as_the_functions_do(tmp_path, manager):
    rows, wrong = score_predictions(write_predictions(tmp_path / "p.jsonl", all_predictions()), GROUP, manager)
    assert wrong == {"missing": 0, "doubled": 0, "foreign": 0}
    assert superni_scores([row["answer"] for row in rows], [row["references"] for row in rows]) == {
        "exact_match": 20.0,
        "rougeL": pytest.approx(60.0),
    }
    assert sum(row["rougeL"] for row in rows) / len(rows) == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda rows: rows[1:], rf"Ids 1 missing: {TASKS[0]}-0\. Fix"),
        (lambda rows: [*rows, (f"{TASKS[0]}-0", "x")], rf"Ids 1 doubled: {TASKS[0]}-0\. Fix"),
        (lambda rows: [*rows, ("task1-1", "x")], r"Ids 1 foreign: task1-1\. Fix"),
        (lambda rows: [("a", "x")], r"Ids 10 missing: .*; 1 foreign: a\. Fix"),
    ],
)
def test_missing_doubled_and_foreign_ids_are_named(tmp_path, manager, change, text):
    path = write_predictions(tmp_path / "p.jsonl", change(all_predictions()))
    with pytest.raises(EvaluationError, match=text):
        score_predictions(path, GROUP, manager)


def test_the_rest_continues_where_the_user_allows_it(tmp_path, manager):
    rows = [*all_predictions("0")[1:], (f"{TASKS[1]}-0", "the 0!"), ("task1-1", "x")]
    scored, wrong = score_predictions(write_predictions(tmp_path / "p.jsonl", rows), GROUP, manager, partial=True)
    assert wrong == {"missing": 1, "doubled": 1, "foreign": 1}
    assert {row["id"]: row["exact_match"] for row in scored if row["id"].endswith("-0")} == {
        f"{TASKS[0]}-0": 0.0,
        f"{TASKS[1]}-0": 100.0,
    }


@pytest.mark.parametrize("text", ['{"id": "a"}', '{"prediction": "a"}', '{"id": "a", "prediction": null}'])
def test_a_row_without_id_or_prediction_is_named(tmp_path, manager, text):
    path = tmp_path / "p.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"p.jsonl:1 has the fields .* it needs id, and prediction with a text"):
        score_predictions(path, GROUP, manager)


def test_an_empty_file_of_predictions_is_an_error(tmp_path, manager):
    path = tmp_path / "p.jsonl"
    path.touch()
    with pytest.raises(InputError, match="holds no rows"):
        score_predictions(path, GROUP, manager)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"id": [1], "prediction": "x"}, r"id: Input should be a valid string, got \[1\]"),
        ({"id": None, "prediction": "x"}, "id: Input should be a valid string, got None"),
        ({"id": "1", "prediction": "half \ud800"}, "prediction: character 6 is half of a surrogate pair"),
    ],
)
def test_the_line_and_the_field_of_an_odd_prediction_are_named(manager, tmp_path, row, problem):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(row), "utf-8")
    with pytest.raises(InputError, match=rf"^p\.jsonl:1: {problem}\. .* Fix that line\."):
        score_predictions(path, GROUP, manager)
