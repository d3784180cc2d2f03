"""Files and options of evaluation that other programs and people wrote: each call ends well, or in words."""

import json
import math
from contextlib import suppress

import pytest
from fuzzing import CHECKS, ends_in_words
from hypothesis import given, settings
from hypothesis import strategies as st

import davidgen_hf.evaluation.tasks
from davidgen_hf.errors import DavidgenError, SettingError
from davidgen_hf.evaluation.answers import task_manager
from davidgen_hf.evaluation.data import longform_docs, superni_file
from davidgen_hf.evaluation.harness import HarnessSettings, parse_model_args
from davidgen_hf.evaluation.predictions import score_predictions
from davidgen_hf.evaluation.rouge import text_rouge_l
from davidgen_hf.evaluation.tasks import local_tasks

GROUP = "davidgen_superni_overlap_extraction"
SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.sampled_from(
        [0.5, math.nan, math.inf, -math.inf, 1e308, 10**30, "1", "", " 8 9", "8 9\nGood.", "<think>", "</think>"]
    ),
    st.text(st.characters(exclude_categories=()), max_size=8),
)
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
# What is not JSON, not UTF-8, nested deeper or longer than Python reads, or JSON of another kind.
LINE = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [b"[" * 20_000, b'{"question_id": ' + b"9" * 5000 + b"}", b"\xff\xfe{\x00}\x00", b"null", b"", b"[1]", b"{"]
    ),
    VALUE.map(lambda value: json.dumps(value).encode()),
)


def lines(*rows):
    """Lines of a file: rows as they should be, with fields that are exchanged, left out or added, or anything."""
    names = sorted({name for row in rows for name in row} | {"order", "id", "doc", "choices", "turns"})
    changes = st.dictionaries(st.sampled_from(names), VALUE, max_size=2)
    changed = st.builds(lambda row, change: json.dumps(row | change).encode(), st.sampled_from(rows), changes)
    return st.lists(st.one_of(changed, changed, changed, LINE), min_size=1, max_size=4).map(b"\n".join)


REVIEWS = [
    {"question_id": 1, "text": "8 9"},
    {"question_id": 2, "text": "<think>x</think>3 4", "order": "reference_first"},
]
ANSWERS = [
    {"question_id": 1, "text": "So."},
    {"question_id": 1, "choices": [{"index": 0, "turns": ["So."]}]},
    {"id": "1", "answer": "So."},
    {"doc": {"question_id": 1}, "filtered_resps": ["So."]},
]
QUESTIONS = [{"question_id": 1, "text": "Why?"}, {"question_id": 2, "turns": ["How?"]}]


@pytest.fixture
def folder(tmp_path):
    for name, row in (("good", {"question_id": 1, "text": "So."}), ("question", {"question_id": 1, "text": "Why?"})):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    return tmp_path


@settings(suppress_health_check=CHECKS)
@given(lines(*REVIEWS))
def test_reviews(folder, content):
    (folder / "r.jsonl").write_bytes(content)
    ends_in_words("judge", "--outputs", folder / "r.jsonl", "--output", folder / "out")


@settings(suppress_health_check=CHECKS)
@given(lines(*ANSWERS), lines(*QUESTIONS) | st.none())
def test_answers_and_questions(folder, answers, questions):
    (folder / "a.jsonl").write_bytes(answers)
    asked = folder / "question.jsonl"
    if questions is not None:
        asked = folder / "q.jsonl"
        asked.write_bytes(questions)
    named = ("--judge", "echo", "--kind", "echo", "--questions", asked, "--output", folder / "out")
    ends_in_words("judge", folder / "a.jsonl", folder / "good.jsonl", *named)


SCORE = {"value": 1.0, "stderr": 0.1, "interval": [0.5, 1.5]}
BENCHMARK = {"metric": "rougeL", "n": 3, "scores": {"rougeL": SCORE}, "data": "d", "versions": {}, "settings": {}}
FACTS = {"model": {"name": "m", "commit": None}, "method": "x|y\n#", "restricted": None, "size": 3}


def damaged(value):
    """The content as it should be, with one part of it exchanged or left out."""
    if not isinstance(value, dict) or not value:
        return VALUE
    parts = [damaged(value[name]).map(lambda new, name=name: value | {name: new}) for name in value] + [
        st.just({other: value[other] for other in value if other != name}) for name in value
    ]
    return st.one_of(VALUE, *parts)


@settings(suppress_health_check=CHECKS)
@given(
    st.one_of(
        damaged(FACTS | {"benchmarks": {"superni": BENCHMARK, "longform": BENCHMARK}}).map(
            lambda it: json.dumps(it).encode()
        ),
        LINE,
    )
)
def test_results(tmp_path, content):
    path = tmp_path / "evaluation" / "results.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    ends_in_words("eval", tmp_path, "--table", "--output", tmp_path / "table")


@pytest.fixture
def tasks(superni_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(davidgen_hf.evaluation.tasks, "HF_HOME", str(tmp_path / "cache"))
    (superni_folder / "task281_points_of_correspondence.json").unlink()
    return local_tasks({"superni": superni_folder}, [GROUP], partial=True)[0]


@settings(suppress_health_check=CHECKS, max_examples=max(20, settings.default.max_examples // 3))
@given(
    lines(*({"id": f"task039_qasc_find_overlapping_words-{n}", "prediction": "red"} for n in range(4))), st.booleans()
)
def test_predictions(tasks, tmp_path, content, partial):
    (tmp_path / "p.jsonl").write_bytes(content)
    with suppress(DavidgenError):
        rows, _ = score_predictions(tmp_path / "p.jsonl", GROUP, task_manager(tasks), partial)
        json.dumps(rows, ensure_ascii=False).encode()
        assert len(rows) == 4


@settings(suppress_health_check=CHECKS)
@given(
    damaged(
        {
            "Definition": ["Say it."],
            "Positive Examples": [{"input": "a", "output": "b"}],
            "Instances": [{"id": "1", "input": "a", "output": ["b"]}],
        }
    ).map(lambda it: json.dumps(it).encode())
    | LINE,
    lines(
        {"instruction": "Ask", "output": "Answer"},
        {"input": "Ask", "output": "Answer"},
        {"instances": [{"output": "a"}]},
    ),
)
def test_test_data(tmp_path, task, examples):
    (tmp_path / "task1_x.json").write_bytes(task)
    (tmp_path / "x.jsonl").write_bytes(examples)
    for read, name in ((superni_file, "task1_x.json"), (longform_docs, "x.jsonl")):
        with suppress(DavidgenError):
            assert len(read(tmp_path / name)) > 0


OPTION = st.one_of(
    SCALAR.map(str),
    st.sampled_from(["auto", "8", "cpu", "float32", "1e9", "-1", "0x10", "1,2", "a=1", "max_length=1"]),
)


@settings(suppress_health_check=CHECKS)
@given(OPTION, OPTION, OPTION, SCALAR, st.sampled_from([1, 0, None, -5]))
def test_options_of_lm_eval(batch_size, dtype, model_args, limit, max_gen_toks):
    number = limit if isinstance(limit, int | float) and not isinstance(limit, bool) else None
    with suppress(SettingError):
        HarnessSettings(
            batch_size=batch_size,
            dtype=dtype,
            limit=number,
            max_gen_toks=max_gen_toks,
            model_args=parse_model_args(model_args),
        )


@settings(suppress_health_check=CHECKS)
@given(st.text(st.characters(exclude_categories=()), max_size=60), st.text(max_size=60))
def test_rouge_of_any_texts(answer, reference):
    assert 0.0 <= text_rouge_l(answer, reference) <= 1.0
    assert text_rouge_l(answer, answer) == 1.0
