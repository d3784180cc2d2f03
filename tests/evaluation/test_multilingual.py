"""Metrics in any language, and METEOR, which refuses all but English."""

import json

import pytest
from sacrebleu.metrics import CHRF

import davidgen_hf.evaluation.tasks
from davidgen_hf.errors import EvaluationError
from davidgen_hf.evaluation import meteor_scores, multilingual_scores, superni_scores
from davidgen_hf.evaluation.command import Evaluation, evaluate_all
from davidgen_hf.evaluation.harness import HarnessSettings
from davidgen_hf.evaluation.results import read_results
from davidgen_hf.evaluation.rouge import GPT2_BPE_VARIABLE
from davidgen_hf.evaluation.table import write_comparison

RIVERS = ["黄河流入渤海。", "Волга впадает в Каспийское море.", "แม่น้ำเจ้าพระยา", "Die Elbe mündet in die Nordsee."]
OTHERS = ["长江很长。", "Волга длинная.", "แม่น้ำโขง", "Die Elbe ist lang."]


@pytest.fixture(autouse=True)
def gpt2(shared_data, tmp_path, monkeypatch):
    pytest.importorskip("tiktoken", reason="pip install 'davidgen-hf[xlingual]'")
    monkeypatch.setenv(GPT2_BPE_VARIABLE, str(shared_data / "gpt2_bpe" / "gpt2.tiktoken"))
    monkeypatch.setattr(davidgen_hf.evaluation.tasks, "HF_HOME", str(tmp_path / "cache"))


def test_equal_answers_are_a_full_match_by_every_metric():
    assert multilingual_scores(RIVERS, RIVERS) == {"chrf": pytest.approx(1.0), "rougeL": 1.0, "exact_match": 1.0}


def test_other_answers_have_the_figures_of_sacrebleu_and_of_the_cross_lingual_track():
    scores = multilingual_scores(OTHERS, RIVERS)
    chrf = [CHRF().sentence_score(*pair).score for pair in zip(OTHERS, [[one] for one in RIVERS], strict=True)]
    assert scores["chrf"] == pytest.approx(sum(chrf) / 400)
    track = superni_scores(OTHERS, [[one] for one in RIVERS], track="xlingual", metrics=["rougeL"])
    assert 100 * scores["rougeL"] == pytest.approx(track["rougeL"], abs=1e-4)
    assert scores["exact_match"] == 0.0


@pytest.mark.parametrize(
    ("answer", "reference", "match"),
    [
        ("ПАРИЖ!", "Париж", 1.0),
        ("「東京」", "東京。", 1.0),
        ("Straße", "STRASSE", 1.0),
        ("大阪", "東京", 0.0),
        ("🙂", "🙂", 1.0),
    ],
)
def test_short_answers_match_without_case_and_punctuation(answer, reference, match):
    assert multilingual_scores([answer], [reference])["exact_match"] == match


@pytest.mark.parametrize(
    ("reference", "language", "found"),
    [
        ("黄河流入渤海。", None, "mostly not in Latin script"),
        ("Волга впадает в море.", None, "mostly not in Latin script"),
        ("Die Elbe mündet in die Nordsee.", "de", "in de"),
        ("Le Rhône", "French", "in French"),
    ],
)
def test_meteor_refuses_other_languages_and_names_the_alternative(nltk_data, reference, language, found):
    with pytest.raises(EvaluationError, match=rf"the references are {found}\. .*multilingual_scores .*_multilingual"):
        meteor_scores(["x"], [reference], language)


@pytest.mark.parametrize("language", ["en", "eng", "English", None])
def test_meteor_takes_english(nltk_data, language):
    assert meteor_scores(["a river"], ["a river"], language)["meteor"] > 0.9


def test_the_task_for_any_language_scores_what_longform_refuses(tmp_path, nltk_data):
    data, path = tmp_path / "d.jsonl", tmp_path / "p.jsonl"
    data.write_text("".join(json.dumps({"input": "Schreib.", "output": one}) + "\n" for one in RIVERS[:3]))
    rows = [{"id": f"d.jsonl:{n}", "prediction": one} for n, one in enumerate(RIVERS[:3], start=1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, expected in (("davidgen_longform", None), ("davidgen_longform_multilingual", 1.0)):
        asked = Evaluation((name,), {"longform": data}, output=tmp_path / "out")
        if expected is None:
            with pytest.raises(EvaluationError, match="METEOR has stems and synonyms for English only"):
                list(evaluate_all([], path, asked, HarnessSettings()))
        else:
            list(evaluate_all([], path, asked, HarnessSettings()))
    result = read_results(tmp_path / "out")["benchmarks"]["longform_multilingual"]
    assert (result["metric"], result["scores"]["chrf"]["value"]) == ("chrf", pytest.approx(1.0))
    assert "sacrebleu" in result["versions"]
    assert "| LongForm (chrF) |" in write_comparison([tmp_path / "out"])
