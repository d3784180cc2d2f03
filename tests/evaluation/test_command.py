import json
import shutil

import pytest

import davidgen_hf.evaluation.tasks
from davidgen_hf.errors import RunFolderError, SettingError
from davidgen_hf.evaluation import meteor_scores, superni_scores
from davidgen_hf.evaluation.command import Evaluation, evaluate_all
from davidgen_hf.evaluation.harness import HarnessSettings
from davidgen_hf.evaluation.results import read_results
from davidgen_hf.provenance import Part, Provenance, Verdict

GROUP = "davidgen_superni_overlap_extraction"
SETTINGS = HarnessSettings(device="cpu", max_gen_toks=6)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(davidgen_hf.evaluation.tasks, "HF_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data(superni_folder, longform_file):
    return {"superni": superni_folder, "longform": longform_file}


@pytest.fixture
def run_folder(tmp_path, tiny_llama):
    """A finished run's folder, as far as an evaluation looks at it."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_llama, folder / "follower")
    corpus = {"counts": {"corpus": {"pairs": 120}}, "stage_seconds": {}, "skipped": {"counts": {}, "places": {}}}
    content = {"name": "my_recipe", "recipe": {}, "steps": {"corpus": corpus}}
    (folder / "run.json").write_text(json.dumps(content), "utf-8")
    return folder


def answers(folder, benchmark):
    lines = (folder / "evaluation" / f"{benchmark}.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["answer"] for row in rows], [row["references"] for row in rows]


def test_a_run_gets_the_figures_that_the_functions_give(run_folder, data, nltk_data):
    asked = Evaluation((GROUP, "davidgen_longform"), data)
    assert list(evaluate_all([str(run_folder)], None, asked, SETTINGS)) == [run_folder / "evaluation" / "results.json"]
    results = read_results(run_folder)
    assert (results["method"], results["size"], results["model"]["name"]) == ("my_recipe", 120, "run")
    superni = results["benchmarks"]["superni_overlap_extraction"]
    outside = superni_scores(*answers(run_folder, "superni_overlap_extraction"))
    assert {name: round(score["value"], 4) for name, score in superni["scores"].items()} == outside
    predictions, references = answers(run_folder, "longform")
    outside = meteor_scores(predictions, [one for (one,) in references])
    assert results["benchmarks"]["longform"]["scores"]["meteor"]["value"] == pytest.approx(outside["meteor"], abs=1e-6)
    assert results["benchmarks"]["longform"]["versions"]["wordnet"] == "3.0"


@pytest.mark.parametrize(
    ("answer", "asked", "shown"),
    [("restricted", None, True), ("unknown", None, None), ("clean", None, False), ("restricted", False, False)],
)
def test_a_run_bears_the_risk_of_what_it_was_made_with(run_folder, data, answer, asked, shown):
    record = json.loads((run_folder / "run.json").read_text("utf-8"))
    provenance = Provenance((Part("scorer", Verdict("org/model", answer, "It is.")),))
    (run_folder / "run.json").write_text(json.dumps(record | {"provenance": provenance.record()}), "utf-8")
    list(evaluate_all([str(run_folder)], None, Evaluation((GROUP,), data, restricted=asked), SETTINGS))
    assert read_results(run_folder)["restricted"] is shown


def test_no_path_of_this_machine_is_recorded(run_folder, data, tmp_path):
    list(evaluate_all([str(run_folder)], None, Evaluation((GROUP,), data), SETTINGS))
    assert str(tmp_path) not in (run_folder / "evaluation" / "results.json").read_text("utf-8")


def test_a_partial_folder_is_recorded_as_such(tiny_llama, data, tmp_path):
    asked = Evaluation(("davidgen_superni",), data, partial=True, output=tmp_path / "out", method="tiny")
    settings = HarnessSettings(device="cpu", max_gen_toks=1, limit=1)
    list(evaluate_all([str(tiny_llama)], None, asked, settings))
    superni = read_results(tmp_path / "out")["benchmarks"]["superni"]
    assert (superni["n"], len(superni["tasks"]), len(superni["left_out"])) == (2, 2, 117)
    assert superni["settings"]["limit"] == 1


def test_predictions_are_scored_without_a_model(data, tmp_path, nltk_data):
    path = tmp_path / "made_elsewhere.jsonl"
    rows = [{"id": f"longform.jsonl:{n}", "prediction": f"The number {n} is odd."} for n in (1, 2, 3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    asked = Evaluation(("davidgen_longform",), data, output=tmp_path / "out")
    list(evaluate_all([], path, asked, SETTINGS))
    results = read_results(tmp_path / "out")
    assert results["method"] == "made_elsewhere"
    assert results["benchmarks"]["longform"]["ids"] == {"missing": 0, "doubled": 0, "foreign": 0}
    assert 0 < results["benchmarks"]["longform"]["scores"]["meteor"]["value"] < 1


@pytest.mark.parametrize(
    ("targets", "predictions", "asked", "text"),
    [
        ([], None, Evaluation(), "Name what to evaluate: run folders or models"),
        (["a"], "p", Evaluation(), "Name what to evaluate"),
        (["a", "b"], None, Evaluation(output="out"), "--output is one folder"),
        ([], "p", Evaluation(), "scored on one task or group, into a folder: give --tasks and --output"),
    ],
)
def test_a_wrong_query_is_named(targets, predictions, asked, text):
    with pytest.raises(SettingError, match=text):
        list(evaluate_all(targets, predictions, asked, SETTINGS))


def test_an_unfinished_run_and_a_bare_model_say_what_to_do(run_folder, tiny_llama):
    with pytest.raises(RunFolderError, match=r"is not a run folder\. Say with --output where"):
        list(evaluate_all([str(tiny_llama)], None, Evaluation(), SETTINGS))
    shutil.rmtree(run_folder / "follower")
    with pytest.raises(RunFolderError, match=r"has no follower yet\. Finish it with `davidgen run`"):
        list(evaluate_all([str(run_folder)], None, Evaluation(), SETTINGS))


def test_a_trained_model_is_evaluated_as_a_model(tiny_llama, data, tmp_path):
    shutil.copytree(tiny_llama, tmp_path / "trained")
    (tmp_path / "trained" / "run.json").write_text('{"finished": true}')
    asked = Evaluation((GROUP,), data, output=tmp_path / "out")
    list(
        evaluate_all([str(tmp_path / "trained")], None, asked, HarnessSettings(device="cpu", max_gen_toks=1, limit=1))
    )
    assert read_results(tmp_path / "out")["model"]["name"] == "trained"


def test_a_damaged_record_is_named(run_folder, data):
    content = json.loads((run_folder / "run.json").read_text("utf-8"))
    content["steps"]["corpus"]["counts"]["corpus"]["pairs"] = "many"
    (run_folder / "run.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(
        RunFolderError, match=r"run\.json: steps\.corpus\.counts\.corpus\.pairs: Input should be a valid"
    ):
        list(evaluate_all([str(run_folder)], None, Evaluation((GROUP,), data), SETTINGS))
