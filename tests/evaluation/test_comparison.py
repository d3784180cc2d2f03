import io
import json
import re
import shutil

import pytest
from fuzzing import run_command
from rich.console import Console
from typer.testing import CliRunner

from davidgen_hf.cli import app
from davidgen_hf.engines.base import Sampling
from davidgen_hf.engines.settings import EngineSettings
from davidgen_hf.errors import SettingError
from davidgen_hf.evaluation.comparison import Comparison, review_table, summarize_files
from davidgen_hf.evaluation.reviews import read_reviews

ECHO = EngineSettings("echo")


@pytest.fixture
def vicuna(shared_data):
    return shared_data / "vicuna80"


def shown(summary):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(review_table(summary))
    return console.export_text()


def test_stored_reviews_of_the_70_questions_are_summarized(vicuna, tmp_path):
    path = vicuna / "eval_table/review/vicuna-13b_20230322-clean-lang/review_gpt35_vicuna-13b.jsonl"
    rows = [row for row in map(json.loads, path.open()) if not 61 <= row["question_id"] <= 70]

    summary = summarize_files([path], tmp_path)

    assert summary == json.loads((tmp_path / "judge.json").read_text())
    assert (summary["n_questions"], summary["n_failures"]) == (70, 0)
    sums = [sum(row["score"][place] for row in rows) for place in (0, 1)]
    assert summary["relative_quality"] == pytest.approx(sums[0] / sums[1])


def test_the_ten_are_kept_where_that_is_wanted(vicuna, tmp_path):
    path = vicuna / "eval_table/review/others/review_llama_alpaca-13b.jsonl"

    summary = summarize_files([path], tmp_path, keep_code_and_math=True)

    assert (summary["n_questions"], summary["n_failures"]) == (80, 3)
    assert "of them without scores" in shown(summary)


def test_answers_and_expected_answers_are_compared(vicuna, tmp_path, tiny_llama):
    comparison = Comparison(
        model=str(vicuna / "eval_table/answer/answer_bard.jsonl"),
        reference=str(tiny_llama),
        judge=EngineSettings("echo", "echo"),
        questions=str(vicuna / "question.jsonl"),
        limit=3,
        answer_sampling=Sampling(max_new_tokens=4),
    )

    summary = comparison.run(tmp_path)

    answers = [json.loads(line) for line in (tmp_path / "answers_reference.jsonl").open()]
    assert [row["question_id"] for row in answers] == [1, 2, 3]
    assert not (tmp_path / "answers_model.jsonl").exists()
    assert len(read_reviews(tmp_path / "reviews.jsonl")) == summary["n_reviews"] == summary["n_failures"] == 6
    assert summary["settings"]["judge"]["kind"] == "echo"
    assert summary["settings"]["questions"] == "question.jsonl"
    assert summary["settings"]["commits"] == {"model": None, "reference": None, "judge": None}
    assert summary["relative_quality"] is None


def test_evaluated_answers_of_a_run_are_used_else_its_follower_answers(vicuna, tmp_path, tiny_llama):
    evaluated, trained = tmp_path / "evaluated", tmp_path / "trained"
    (evaluated / "evaluation").mkdir(parents=True)
    (evaluated / "evaluation" / "vicuna.jsonl").write_text('{"id": "1", "answer": "So."}\n')
    trained.mkdir()
    (trained / "run.json").write_text("{}")
    (trained / "follower").symlink_to(tiny_llama)

    Comparison(
        model=str(evaluated),
        reference=str(trained),
        judge=EngineSettings("echo", "echo"),
        questions=str(vicuna / "question.jsonl"),
        limit=1,
        answer_sampling=Sampling(max_new_tokens=4),
    ).run(tmp_path / "out")

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "answers_reference.jsonl",
        "judge.json",
        "reviews.jsonl",
    ]


def test_what_is_missing_is_named():
    with pytest.raises(SettingError, match="needs a model, a reference and a judge; reference and judge is not named"):
        Comparison("a.jsonl", None, ECHO)


def test_the_table_shows_failures_and_no_number_in_their_place(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"question_id": 1, "text": "Both are fine."}\n')

    text = shown(summarize_files([tmp_path / "r.jsonl"], tmp_path))

    assert [line.split("│")[2].strip() for line in text.splitlines() if "without scores" in line] == ["1"]
    assert [line.split("│")[2].strip() for line in text.splitlines() if "relative quality" in line] == ["-"]


def test_the_command_reads_reviews_judged_elsewhere(vicuna, tmp_path):
    path = vicuna / "eval_table/review/vicuna-13b_20230322-clean-lang/review_bard_vicuna-13b.jsonl"

    result = CliRunner().invoke(app, ["judge", "--outputs", str(path), "--output", str(tmp_path / "out")])

    assert result.exit_code == 0
    assert "relative quality" in result.output
    assert (tmp_path / "out" / "judge.json").is_file()


@pytest.mark.slow
def test_the_embedded_model_fails_as_a_judge_and_is_shown_to(vicuna, tmp_path, embedded_model):
    answers = vicuna / "eval_table" / "answer"
    comparison = Comparison(
        model=str(answers / "answer_alpaca-13b.jsonl"),
        reference=str(answers / "answer_llama-13b.jsonl"),
        judge=EngineSettings(model=str(embedded_model)),
        questions=str(vicuna / "question.jsonl"),
        limit=2,
        review_sampling=Sampling(max_new_tokens=16, temperature=0.0),
    )

    summary = comparison.run(tmp_path)

    written = [json.loads(line)["text"] for line in (tmp_path / "reviews.jsonl").open()]
    assert all(written)
    assert summary["n_failures"] == sum(review.scores is None for review in read_reviews(tmp_path / "reviews.jsonl"))
    assert summary["n_failures"] > 0


def test_a_trained_model_is_a_model_and_is_prompted(vicuna, tmp_path, tiny_llama):
    shutil.copytree(tiny_llama, tmp_path / "trained")
    (tmp_path / "trained" / "run.json").write_text('{"finished": true}')

    Comparison(
        model=str(tmp_path / "trained"),
        reference=str(tmp_path / "trained"),
        judge=EngineSettings("echo", "echo"),
        questions=str(vicuna / "question.jsonl"),
        limit=1,
        answer_sampling=Sampling(max_new_tokens=4),
    ).run(tmp_path / "out")

    assert (tmp_path / "out" / "answers_model.jsonl").is_file()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"question_id": 1, "text": "<think>Well,"}', r"None of the 1 reviews has scores.*unfinished_thoughts"),
        ('{"question_id": 65, "text": "8 9"}', r"r\.jsonl: all 1 reviews are of questions on code and mathematics"),
    ],
)
def test_the_command_fails_where_no_review_counts(tmp_path, text, words):
    (tmp_path / "r.jsonl").write_text(text + "\n")

    code, printed = run_command("judge", "--outputs", tmp_path / "r.jsonl", "--output", tmp_path / "out")

    assert code == 2
    assert re.search(words, printed, re.DOTALL)
