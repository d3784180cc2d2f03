"""Tasks that are not our benchmarks: a user's own, in a folder, as lm-eval takes them."""

import json

import pytest
import yaml

from davidgen_hf.errors import InputError, ModelError, SettingError
from davidgen_hf.evaluation.answers import answer_task, id_of
from davidgen_hf.evaluation.command import Evaluation, evaluate_all
from davidgen_hf.evaluation.harness import HarnessSettings, open_model
from davidgen_hf.evaluation.results import read_results
from davidgen_hf.evaluation.table import write_comparison
from davidgen_hf.evaluation.tasks import other_tasks

SETTINGS = HarnessSettings(device="cpu", max_gen_toks=4)
DOCS = [{"question": f"What is {n} + {n}?", "answer": str(2 * n), "choices": ["1", str(2 * n)]} for n in range(1, 6)]
SHARED = {"dataset_path": "json", "test_split": "test", "doc_to_text": "Q: {{question}}\nA:"}
WRITTEN = SHARED | {
    "task": "sums_written",
    "output_type": "generate_until",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4, "do_sample": False},
    "filter_list": [
        {"name": "strict", "filter": [{"function": "take_first"}]},
        {"name": "loose", "filter": [{"function": "regex", "regex_pattern": "([0-9]+)"}, {"function": "take_first"}]},
    ],
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}, {"metric": "chrf"}],
}
CHOSEN = SHARED | {
    "task": "sums_chosen",
    "output_type": "multiple_choice",
    "doc_to_target": 1,
    "doc_to_choice": "choices",
    "metric_list": [
        {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
    ],
}
PERPLEXITY = SHARED | {
    "task": "sums_perplexity",
    "output_type": "loglikelihood_rolling",
    "doc_to_text": "",
    "doc_to_target": "{{question}}",
    "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
}
GROUP = {"group": "sums", "task": ["sums_written", "sums_chosen"]}


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "docs.jsonl"
    data.write_text("".join(json.dumps(doc) + "\n" for doc in DOCS))
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    for content in (WRITTEN, CHOSEN, PERPLEXITY):
        content = content | {"dataset_kwargs": {"data_files": {"test": str(data)}}}
        (tasks / f"{content['task']}.yaml").write_text(yaml.safe_dump(content))
    (tasks / "sums.yaml").write_text(yaml.safe_dump(GROUP))
    return tasks


def evaluated(model, tasks, folder, output):
    asked = Evaluation(tasks, include=folder, output=output, method="tiny")
    list(evaluate_all([str(model)], None, asked, SETTINGS))
    return read_results(output)["benchmarks"]


def test_tasks_of_the_user_run_by_name_and_stand_in_the_table(tiny_llama, folder, tmp_path):
    results = evaluated(tiny_llama, ("sums_written", "sums_chosen"), folder, tmp_path / "out")
    written, chosen = results["sums_written"], results["sums_chosen"]
    assert (written["metric"], written["n"], written["data"]) == ("exact_match", 5, "json")
    assert {"exact_match", "chrf", "exact_match,loose", "chrf,loose"} == set(written["scores"])
    assert written["scores"]["chrf"]["interval"] is None  # one figure over all answers
    assert chosen["metric"] == "acc"
    answers = [json.loads(line) for line in (tmp_path / "out" / "evaluation" / "sums_chosen.jsonl").open()]
    assert [row["id"] for row in answers] == [f"sums_chosen:{n}" for n in range(5)]
    assert chosen["scores"]["acc"]["value"] == sum(row["acc"] for row in answers) / 5
    assert chosen["scores"]["acc"]["interval"] is not None
    assert [len(json.loads(row["answer"])) for row in answers] == [2] * 5  # the choices' log-likelihoods
    assert "| Method | Potential risks | Size | sums_written | sums_chosen |" in write_comparison([tmp_path / "out"])


def test_the_figures_are_those_of_lm_eval(tiny_llama, folder):
    from lm_eval import simple_evaluate

    lm, manager = open_model(str(tiny_llama), SETTINGS)[0], other_tasks(["sums"], folder)
    names = ["sums_written", "sums_chosen", "sums_perplexity"]
    golden = simple_evaluate(lm, tasks=names, task_manager=manager, gen_kwargs={"max_gen_toks": 4}, bootstrap_iters=0)
    for name, metric in (
        ("sums_written", "chrf"),
        ("sums_chosen", "acc_norm"),
        ("sums_perplexity", "word_perplexity"),
    ):
        found = answer_task(lm, name, manager, SETTINGS).figures[metric]
        filter_name = "strict" if name == "sums_written" else "none"
        assert found == golden["results"][name][f"{metric},{filter_name}"]


def test_a_group_has_figures_by_task(tiny_llama, folder, tmp_path):
    result = evaluated(tiny_llama, ("sums_perplexity",), folder, tmp_path / "out")["sums_perplexity"]
    assert (result["metric"], result["higher_is_better"]) == ("word_perplexity", False)
    answers = answer_task(open_model(str(tiny_llama), SETTINGS)[0], "sums", other_tasks(["sums"], folder), SETTINGS)
    assert {row["task"] for row in answers.rows} == {"sums_written", "sums_chosen"}


def test_the_least_perplexity_is_the_best_in_the_table(tiny_llama, folder, tmp_path):
    for name in ("a", "b"):
        evaluated(tiny_llama, ("sums_perplexity",), folder, tmp_path / name)
    path = tmp_path / "b" / "evaluation" / "results.json"
    content = json.loads(path.read_text())
    content["benchmarks"]["sums_perplexity"]["scores"]["word_perplexity"]["value"] = 1.5
    path.write_text(json.dumps(content))
    assert "**1.50**" in write_comparison([tmp_path / "a", tmp_path / "b"])


def test_predictions_of_another_system_are_scored(folder, tmp_path):
    path = tmp_path / "p.jsonl"
    rows = [{"id": f"sums_written:{n}", "prediction": doc["answer"]} for n, doc in enumerate(DOCS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = Evaluation(("sums_written",), include=folder, output=tmp_path / "out")
    list(evaluate_all([], path, asked, SETTINGS))
    assert read_results(tmp_path / "out")["benchmarks"]["sums_written"]["scores"]["exact_match"]["value"] == 1.0
    asked = Evaluation(("sums_chosen",), include=folder, output=tmp_path / "out")
    with pytest.raises(SettingError, match=r"sums_chosen compares log-likelihoods \(multiple_choice\)"):
        list(evaluate_all([], path, asked, SETTINGS))


@pytest.mark.slow  # reads the thousands of tasks that lm-eval has
def test_a_task_that_does_not_exist_is_named_with_those_near_it(folder):
    with pytest.raises(SettingError, match=r"no task 'sums_writen' in lm-eval .* Did you mean sums_written or"):
        other_tasks(["sums_writen"], folder)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no folder .*absent\. Pass the folder of your lm-eval tasks"):
        other_tasks(["sums"], tmp_path / "absent")


def test_a_task_without_its_data_is_named(tiny_llama, folder, tmp_path):
    (tmp_path / "docs.jsonl").unlink()
    with pytest.raises(ModelError, match=r"The task 'sums_written' cannot be loaded by lm-eval: .* Its data must be"):
        evaluated(tiny_llama, ("sums_written",), folder, tmp_path / "out")


def test_a_document_has_the_id_that_its_benchmark_names():
    assert id_of("davidgen_vicuna", (3, {"question_id": 7})) == "7"
    assert id_of("mine", (3, {"id": "a"})) == "a"
    assert id_of("mine", (3, {})) == "mine:3"
