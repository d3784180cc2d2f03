from collections import Counter
from importlib.util import find_spec

import pytest

import davidgen_hf.evaluation.tasks
from davidgen_hf.errors import ModelError, SettingError
from davidgen_hf.evaluation import meteor_scores, superni_scores
from davidgen_hf.evaluation.harness import (
    HarnessSettings,
    answer_task,
    open_model,
    parse_model_args,
)
from davidgen_hf.evaluation.tasks import local_tasks

GROUP = "davidgen_superni_overlap_extraction"
TASKS = ("task039_qasc_find_overlapping_words", "task281_points_of_correspondence")
SETTINGS = HarnessSettings(device="cpu", max_gen_toks=6)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(davidgen_hf.evaluation.tasks, "HF_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(superni_folder, longform_file):
    return local_tasks({"superni": superni_folder, "longform": longform_file}, [GROUP, "davidgen_longform"])[0]


def superni_of(rows):
    return superni_scores([row["answer"] for row in rows], [row["references"] for row in rows])


@pytest.mark.parametrize("model", ["tiny_llama", "tiny_t5"])
def test_answers_of_decoder_and_t5_score_outside_as_inside(model, folder, nltk_data, request):
    lm, facts = open_model(str(request.getfixturevalue(model)), SETTINGS)
    rows = answer_task(lm, GROUP, folder, SETTINGS)
    assert len(rows) == 10
    assert rows[0]["prompt"].endswith("### Response:")
    assert superni_of(rows) == {
        metric: round(sum(row[metric] for row in rows) / len(rows), 4) for metric in ("exact_match", "rougeL")
    }
    long = answer_task(lm, "davidgen_longform", folder, SETTINGS)
    outside = meteor_scores([row["answer"] for row in long], [row["references"][0] for row in long])
    assert outside["meteor"] == pytest.approx(sum(row["meteor"] for row in long) / len(long))
    assert facts["parameters"] > 0


def test_a_lora_adapter_runs_on_its_base_model(tiny_llama, folder, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    adapted = get_peft_model(base, LoraConfig(r=2, init_lora_weights=False, target_modules=["q_proj", "v_proj"]))
    adapted.save_pretrained(tmp_path / "adapter")
    settings = HarnessSettings(device="cpu", max_gen_toks=6, limit=2)
    models = [str(tiny_llama), str(tmp_path / "adapter")]
    answers = [
        [row["answer"] for row in answer_task(open_model(model, settings)[0], GROUP, folder, settings)]
        for model in models
    ]
    assert answers[0] != answers[1]


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_a_backend_that_is_not_installed_is_named(tiny_llama):
    with pytest.raises(ModelError, match="The backend vllm cannot be used here: "):
        open_model(str(tiny_llama), HarnessSettings(backend="vllm"))


@pytest.mark.parametrize(("limit", "counts"), [(3, (3, 3)), (0.5, (2, 3)), (None, (4, 6))])
def test_limit_takes_the_same_share_of_every_task(tiny_llama, folder, limit, counts):
    settings = HarnessSettings(device="cpu", max_gen_toks=1, limit=limit)
    rows = answer_task(open_model(str(tiny_llama), settings)[0], GROUP, folder, settings)
    assert Counter(row["task"] for row in rows) == dict(zip(TASKS, counts, strict=True))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"backend": "jax"}, r"backend must be one of \('hf', 'vllm'\), got 'jax'"),
        ({"limit": 0}, "limit must be above 0, got 0"),
        ({"max_gen_toks": 0}, "max_gen_toks must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_named(wrong, text):
    with pytest.raises(SettingError, match=text):
        HarnessSettings(**wrong)


def test_model_arguments_are_read_as_lm_eval_does():
    assert parse_model_args("max_model_len=512,enforce_eager=True") == {"max_model_len": 512, "enforce_eager": True}
    assert parse_model_args("") == {}
    with pytest.raises(SettingError, match="model_args must be key=value,key=value, got 'eager'"):
        parse_model_args("eager")


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match="absent"):
        open_model(str(tmp_path / "absent"), SETTINGS)
