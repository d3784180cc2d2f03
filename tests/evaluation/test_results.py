import json

import numpy as np
import pytest

from davidgen_hf.errors import RunFolderError
from davidgen_hf.evaluation.benchmark import benchmarks
from davidgen_hf.evaluation.results import bootstrap, read_results, summarize, write_results

SUPERNI, LONGFORM = benchmarks()["superni"], benchmarks()["longform"]
FACTS = {"model": {"name": "follower"}, "method": "demo", "restricted": None, "size": 3}


def row(task, category, rouge, exact=0.0, answer="x"):
    return {
        "task": task,
        "category": category,
        "id": f"{task}-{rouge}",
        "answer": answer,
        "references": ["y"],
        "exact_match": exact,
        "rougeL": rouge,
    }


ROWS = [
    row("task1", "Title Generation", 10.0),
    row("task1", "Title Generation", 20.0, answer=""),
    row("task2", "Word Analogy", 60.0, exact=100.0),
]


def test_figures_are_micro_means_overall_by_category_and_by_task():
    summary = summarize(ROWS, SUPERNI)
    assert (summary["metric"], summary["n"], summary["empty_answers"]) == ("rougeL", 3, 1)
    assert summary["scores"]["rougeL"]["value"] == 30.0
    assert summary["scores"]["exact_match"]["value"] == pytest.approx(100 / 3, abs=1e-6)
    assert summary["categories"]["Title Generation"]["scores"]["rougeL"]["value"] == 15.0
    assert summary["tasks"]["task1"] == {"n": 2, "exact_match": 0.0, "rougeL": 15.0}


def test_a_category_is_reported_by_its_official_metric():
    categories = summarize(ROWS, SUPERNI)["categories"]
    assert {name: one["metric"] for name, one in categories.items()} == {
        "Title Generation": "rougeL",
        "Word Analogy": "exact_match",
    }


def test_without_categories_there_is_one_figure():
    rows = [
        {"task": "davidgen_longform", "category": None, "id": "a", "answer": "x", "references": [], "meteor": 0.25}
    ]
    summary = summarize(rows, LONGFORM)
    assert (summary["metric"], summary["scores"]["meteor"]["value"]) == ("meteor", 0.25)
    assert "categories" not in summary


def test_bootstrapped_error_is_near_the_closed_form_and_repeats():
    values = np.random.default_rng(1).normal(50, 10, 400)
    score = bootstrap(values)
    assert score["stderr"] == pytest.approx(values.std(ddof=1) / 20, rel=0.1)
    assert score["interval"][0] < score["value"] < score["interval"][1]
    assert bootstrap(values) == score


def test_results_are_written_next_to_the_answers(tmp_path):
    path = write_results(tmp_path, FACTS, {"superni": summarize(ROWS, SUPERNI)}, {"superni": ROWS})
    assert path == tmp_path / "evaluation" / "results.json"
    lines = (tmp_path / "evaluation" / "superni.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    assert read_results(tmp_path)["benchmarks"]["superni"]["n"] == 3


def test_results_of_version_0_1_say_whether_they_are_restricted(tmp_path):
    earlier = {name: value for name, value in FACTS.items() if name != "restricted"} | {"potential_risks": True}
    path = write_results(tmp_path, earlier, {}, {})
    assert "potential_risks" in path.read_text()
    assert read_results(tmp_path)["restricted"] is True


def test_another_benchmark_of_the_same_model_is_added(tmp_path):
    superni, longform = summarize(ROWS, SUPERNI), summarize([row("task3", None, 5.0)])
    write_results(tmp_path, FACTS, {"superni": superni}, {})
    write_results(tmp_path, FACTS, {"longform": longform}, {})
    assert read_results(tmp_path)["benchmarks"] == {"superni": superni, "longform": longform}


def test_results_of_another_model_are_not_overwritten(tmp_path):
    write_results(tmp_path, FACTS, {}, {})
    with pytest.raises(RunFolderError, match=r"holds the results of another model: .*follower.*, not .*other"):
        write_results(tmp_path, FACTS | {"model": {"name": "other"}}, {}, {})


def test_absent_and_damaged_results_say_what_to_run(tmp_path):
    with pytest.raises(RunFolderError, match=r"holds no evaluation/results.json\. Run `davidgen eval "):
        read_results(tmp_path)
    path = write_results(tmp_path, FACTS, {}, {})
    path.write_text("{", "utf-8")
    with pytest.raises(RunFolderError, match="is damaged"):
        read_results(tmp_path)


GOOD = {"metric": "rougeL", "n": 3, "scores": {"rougeL": {"value": 1.0, "stderr": 0.1, "interval": [0.5, 1.5]}}}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"method": 5}, "method: Input should be a valid string, got 5"),
        ({"size": "many"}, "size: Input should be a valid integer, got 'many'"),
        ({"restricted": "no"}, "restricted: Input should be a valid boolean, got 'no'"),
        ({"model": ["m"]}, r"model: .*got \['m'\]"),
        ({"benchmarks": {"superni": {}}}, r"benchmarks\.superni\.metric: Field required"),
        (
            {"benchmarks": {"superni": GOOD | {"metric": "bleu"}}},
            r"scores: must have the metric 'bleu', got \['rougeL'\]",
        ),
        ({"benchmarks": {"superni": GOOD | {"n": 2.5}}}, r"benchmarks\.superni\.n: Input should be a valid integer"),
        (
            {"benchmarks": {"superni": GOOD | {"scores": {"rougeL": {"value": 1, "stderr": 0, "interval": [1]}}}}},
            r"interval: must have two ends, got \[1",
        ),
        (
            {
                "benchmarks": {
                    "superni": GOOD | {"scores": {"rougeL": GOOD["scores"]["rougeL"] | {"value": float("nan")}}}
                }
            },
            "value: Input should be a finite number, got nan",
        ),
    ],
)
def test_the_damaged_field_is_named_and_what_to_do(tmp_path, change, problem):
    path = tmp_path / "evaluation" / "results.json"
    path.parent.mkdir()
    path.write_text(json.dumps(FACTS | {"benchmarks": {"superni": GOOD}} | change), "utf-8")
    with pytest.raises(
        RunFolderError, match=rf"results\.json: .*{problem}.* Delete it and run `davidgen eval` again\."
    ):
        read_results(tmp_path)
