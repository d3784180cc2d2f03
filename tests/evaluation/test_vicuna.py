import json

import pytest

from davidgen_hf.errors import EvaluationError, InputError
from davidgen_hf.evaluation.vicuna import describe_questions, load_answers, load_questions, write_answers

QUESTIONS = {1: "Why?", 2: "How?"}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["question.jsonl", "eval_table/question.jsonl"])
def test_the_ten_on_code_and_mathematics_are_left_out(shared_data, name):
    path = shared_data / "vicuna80" / name
    rows = [json.loads(line) for line in path.open()]

    questions = load_questions(path)

    assert list(questions) == [row["question_id"] for row in rows if row["category"] not in ("coding", "math")]
    assert len(questions) == 70
    assert len(load_questions(path, keep_code_and_math=True)) == 80


def test_both_forms_of_the_questions_say_the_same(shared_data):
    folder = shared_data / "vicuna80"

    assert load_questions(folder / "question.jsonl") == load_questions(folder / "eval_table" / "question.jsonl")


def test_without_the_hub_the_message_says_what_to_name(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(InputError, match=r"could not be read from tatsu-lab/alpaca_eval.*question.jsonl"):
        load_questions()


def test_a_file_of_questions_is_described_by_its_name():
    assert describe_questions("folder/question.jsonl") == "question.jsonl"


def test_the_hubs_questions_are_numbered_and_described_by_their_commit(monkeypatch, tmp_path):
    path = tmp_path / "abc123" / "alpaca_eval.json"
    path.parent.mkdir()
    rows = [
        {"instruction": f"{part} {number}?", "dataset": part} for part in ("koala", "vicuna") for number in range(80)
    ]
    path.write_text(json.dumps(rows))
    monkeypatch.setattr("davidgen_hf.evaluation.vicuna.hf_hub_download", lambda *_, **__: str(path))

    questions = load_questions()

    assert (len(questions), questions[1], questions[80]) == (70, "vicuna 0?", "vicuna 79?")
    assert describe_questions() == "tatsu-lab/alpaca_eval@abc123"

    path.write_text(json.dumps(rows[:-1]))
    with pytest.raises(InputError, match=r"holds 79 Vicuna questions instead of 80. Name a local copy"):
        load_questions()


@pytest.mark.network
def test_the_hub_numbers_numbers_the_questions_as_fastchat_does(shared_data):
    assert load_questions() == load_questions(shared_data / "vicuna80" / "question.jsonl")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question_id": 1}], r"q.jsonl:1 needs question_id and text \(or turns\); it has \['question_id'\]"),
        ([{"question_id": 1, "turns": []}], r"q.jsonl:1 needs question_id and text"),
        ([{"question_id": 1, "text": "a"}] * 2, r"q.jsonl:2 is the second question 1"),
    ],
)
def test_unusable_questions_are_named(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        load_questions(write(tmp_path / "q.jsonl", rows))


@pytest.mark.parametrize(
    "model",
    [
        *("alpaca-13b", "bard", "gpt35", "llama-13b", "vicuna-13b", "vicuna-13b-20230322-new-hp-fp16"),
        "vicuna-7b-20230322-fp16",
    ],
)
def test_stored_answers_are_read(shared_data, model):
    folder = shared_data / "vicuna80"
    path = folder / "eval_table" / "answer" / f"answer_{model}.jsonl"
    stored = {row["question_id"]: row["text"] for row in map(json.loads, path.open())}
    questions = load_questions(folder / "question.jsonl")

    assert load_answers(path, questions) == {number: stored[number] for number in questions}


@pytest.mark.parametrize(
    "row",
    [
        {"question_id": 1, "text": "So."},
        {"question_id": 1, "choices": [{"index": 0, "turns": ["So.", "Later."]}]},
        {"doc_id": 0, "doc": {"question_id": 1}, "resps": [[" So."]], "filtered_resps": ["So."]},
        {"task": "davidgen_vicuna", "id": "1", "answer": "So."},
    ],
)
def test_four_forms_of_an_answer_are_read(tmp_path, row):
    assert load_answers(write(tmp_path / "a.jsonl", [row]), {1: "Why?"}) == {1: "So."}


def test_written_answers_are_read_back(tmp_path):
    write_answers(tmp_path / "a.jsonl", {1: "Größe", 2: ""})

    assert load_answers(tmp_path / "a.jsonl", QUESTIONS) == {1: "Größe", 2: ""}
    assert load_answers(tmp_path / "a.jsonl", QUESTIONS, limit=1) == {1: "Größe"}


def test_missing_doubled_and_foreign_answers_are_named(tmp_path):
    rows = [{"question_id": number, "text": "x"} for number in (1, 1, 99, 61)]

    with pytest.raises(EvaluationError, match=r"Missing: \[2\]; more than once: \[1\]; of no question: \[99\]"):
        load_answers(write(tmp_path / "a.jsonl", rows), QUESTIONS)


def test_a_line_of_another_form_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a.jsonl:1 needs question_id with text .*it has \['answer'\]"):
        load_answers(write(tmp_path / "a.jsonl", [{"answer": "x"}]), QUESTIONS)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"question_id": 1, "text": None}, "text: Input should be a valid string, got None"),
        ({"question_id": 1, "text": "half \ud83d"}, "text: character 6 is half of a surrogate pair"),
        ({"question_id": 1, "choices": []}, "choices: List should have at least 1 item"),
        ({"question_id": 1, "choices": [{"turns": 3}]}, r"choices\.0\.turns: Input should be a valid list, got 3"),
        ({"question_id": 1, "choices": [{"turns": [None]}]}, r"choices\.0\.turns\.0: Input should be a valid string"),
        ({"question_id": [1], "text": "x"}, r"question_id: Input should be a valid integer, got \[1\]"),
        ({"question_id": True, "text": "x"}, "question_id: must be a number, got True"),
        ({"id": "first", "answer": "x"}, "id: Input should be a valid integer, .* got 'first'"),
        ({"id": None, "answer": "x"}, "id: Input should be a valid integer, got None"),
        ({"doc": {"id": 1}, "filtered_resps": ["x"]}, r"doc\.question_id: Field required"),
        ({"doc": {"question_id": 1}, "filtered_resps": []}, "filtered_resps: List should have at least 1 item"),
    ],
)
def test_the_line_and_the_field_of_an_odd_answer_are_named(tmp_path, row, problem):
    with pytest.raises(InputError, match=rf"^a\.jsonl:1: {problem}.* Fix that line\.$"):
        load_answers(write(tmp_path / "a.jsonl", [row]), {1: "Why?"})


def test_ids_are_the_same_as_text_and_as_numbers(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"question_id": "2", "text": "b"}, {"question_id": 1, "text": "a"}])
    questions = load_questions(
        write(tmp_path / "q.jsonl", [{"question_id": "1", "text": "?"}, {"question_id": 2, "text": "!"}])
    )
    assert load_answers(path, questions) == {1: "a", 2: "b"}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"question_id": "one", "text": "Why?"}, "question_id: Input should be a valid integer"),
        ({"question_id": 1, "turns": 5}, "turns: Input should be a valid list, got 5"),
        ({"question_id": 1, "turns": [5]}, r"turns\.0: Input should be a valid string, got 5"),
    ],
)
def test_the_line_and_the_field_of_an_odd_question_are_named(tmp_path, row, problem):
    with pytest.raises(InputError, match=rf"^q\.jsonl:1: {problem}.* Fix that line\.$"):
        load_questions(write(tmp_path / "q.jsonl", [row]))


def test_questions_that_are_all_left_out_are_named(tmp_path):
    path = write(tmp_path / "q.jsonl", [{"question_id": 61, "text": "Sort it."}])
    with pytest.raises(InputError, match=r"q\.jsonl holds only the questions 61 to 61, on code and mathematics"):
        load_questions(path)
    assert load_questions(path, keep_code_and_math=True) == {61: "Sort it."}
