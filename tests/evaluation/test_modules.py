import evaluate
import pytest
from huggingface_hub import RepoCard

from davidgen_hf.errors import SettingError
from davidgen_hf.evaluation import meteor_scores, metric_path, superni_scores, write_metric_space

PREDICTIONS = ["a red cat sat", "blue"]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_superni_loads_by_path_and_gives_the_functions_figures():
    references = [["the red cats sat", "no"], ["red", "green"]]
    metric = evaluate.load(metric_path("superni"))
    assert metric.compute(predictions=PREDICTIONS, references=references) == superni_scores(PREDICTIONS, references)


def test_meteor_loads_by_path_and_gives_the_functions_figure(nltk_data):
    references = ["the red cats sat", "red"]
    metric = evaluate.load(metric_path("meteor"))
    assert metric.compute(predictions=PREDICTIONS, references=references) == meteor_scores(PREDICTIONS, references)


def test_a_metric_is_written_as_a_space_and_loads_from_it(tmp_path):
    folder = write_metric_space("superni", tmp_path / "superni")
    card = RepoCard.load(folder / "README.md")
    assert card.data.sdk == "gradio"
    assert card.data.tags == ["evaluate", "metric"]
    assert "official script computes them" in card.data.description
    assert {path.name for path in folder.iterdir()} == {"README.md", "app.py", "requirements.txt", "superni.py"}
    references = [["the red cats sat", "no"], ["red", "green"]]
    metric = evaluate.load(str(folder))
    assert metric.compute(predictions=PREDICTIONS, references=references) == superni_scores(PREDICTIONS, references)


def test_unknown_metric_names_those_there_are():
    with pytest.raises(SettingError, match="no metric 'bleu'; there are superni, meteor"):
        metric_path("bleu")
