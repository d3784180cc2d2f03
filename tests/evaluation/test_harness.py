import shutil
from collections import Counter
from importlib.util import find_spec

import pytest

import davidgen_hf.evaluation.tasks
from davidgen_hf.errors import ModelError, SettingError
from davidgen_hf.evaluation import meteor_scores, superni_scores
from davidgen_hf.evaluation.answers import answer_task, task_manager
from davidgen_hf.evaluation.harness import (
    HarnessSettings,
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
def manager(superni_folder, longform_file):
    return task_manager(
        local_tasks({"superni": superni_folder, "longform": longform_file}, [GROUP, "davidgen_longform"])[0]
    )


def superni_of(rows):
    return superni_scores([row["answer"] for row in rows], [row["references"] for row in rows])


@pytest.mark.parametrize("model", ["tiny_llama", "tiny_t5"])
def test_answers_of_decoder_and_t5_score_outside_as_inside(model, manager, nltk_data, request):
    lm, facts = open_model(str(request.getfixturevalue(model)), SETTINGS)
    rows = answer_task(lm, GROUP, manager, SETTINGS).rows
    assert len(rows) == 10
    assert rows[0]["prompt"].endswith("### Response:")
    assert superni_of(rows) == {
        metric: round(sum(row[metric] for row in rows) / len(rows), 4) for metric in ("exact_match", "rougeL")
    }
    long = answer_task(lm, "davidgen_longform", manager, SETTINGS).rows
    outside = meteor_scores([row["answer"] for row in long], [row["references"][0] for row in long])
    assert outside["meteor"] == pytest.approx(sum(row["meteor"] for row in long) / len(long))
    assert facts["parameters"] > 0


def test_a_lora_adapter_runs_on_its_base_model(tiny_llama, manager, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    adapted = get_peft_model(base, LoraConfig(r=2, init_lora_weights=False, target_modules=["q_proj", "v_proj"]))
    adapted.save_pretrained(tmp_path / "adapter")
    settings = HarnessSettings(device="cpu", max_gen_toks=6, limit=2)
    models = [str(tiny_llama), str(tmp_path / "adapter")]
    answers = [
        [row["answer"] for row in answer_task(open_model(model, settings)[0], GROUP, manager, settings).rows]
        for model in models
    ]
    assert answers[0] != answers[1]


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_a_backend_that_is_not_installed_is_named(tiny_llama):
    with pytest.raises(ModelError, match="The backend vllm cannot be used here: "):
        open_model(str(tiny_llama), HarnessSettings(backend="vllm"))


@pytest.mark.parametrize(("limit", "counts"), [(3, (3, 3)), (0.5, (2, 3)), (None, (4, 6))])
def test_limit_takes_the_same_share_of_every_task(tiny_llama, manager, limit, counts):
    settings = HarnessSettings(device="cpu", max_gen_toks=1, limit=limit)
    rows = answer_task(open_model(str(tiny_llama), settings)[0], GROUP, manager, settings).rows
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


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"limit": float("nan")}, "limit must be above 0, got nan"),
        ({"limit": float("inf")}, "limit must be above 0, got inf"),
        ({"limit": -0.5}, "limit must be above 0, got -0.5"),
        ({"limit": 2.5}, "limit must be above 0, got 2.5: a share below 1, or a whole number"),
        ({"batch_size": "many"}, "batch_size must be a number from 1 to 999999, or auto, got 'many'"),
        ({"batch_size": "0"}, "batch_size must be .*, got '0'"),
        ({"batch_size": "-1"}, "batch_size must be .*, got '-1'"),
        ({"dtype": "float8"}, "dtype must be one of .*, got 'float8'"),
        ({"model_args": {"max_length": -3}}, "model_args: max_length: .*greater than or equal to 2, got -3"),
        (
            {"model_args": {"max_length": "long"}},
            "max_length: Input should be a valid integer, got 'long'",
        ),
        ({"model_args": {"max_batch_size": True}}, "model_args: max_batch_size: Input should be a valid integer"),
        ({"model_args": {"parallelize": "perhaps"}}, "model_args: parallelize: Input should be a valid boolean"),
        (
            {"model_args": {"gpu_memory_utilization": 1.5}},
            "utilization: .*less than or equal to 1, got 1.5",
        ),
        ({"model_args": {"device": "cpu"}}, r"must not set device, which has its own place: use --device\."),
        (
            {"model_args": {"pretrained": "x"}},
            "must not set pretrained, .*: use the model's name",
        ),
        ({"model_args": {"trust_remote_code": True}}, "never runs code from a model's folder"),
    ],
)
def test_a_value_that_lm_eval_would_stumble_over_is_named_beforehand(wrong, text):
    with pytest.raises(SettingError, match=text):
        HarnessSettings(**wrong)


@pytest.mark.parametrize("text", ["=5", "a=1,,b=2", "a=1,2b=3", "a b=3", ",", "a.b=1"])
def test_model_arguments_need_names(text):
    with pytest.raises(SettingError, match="model_args must be key=value,key=value, got"):
        parse_model_args(text)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"device": "mps"}, "device must be auto, cpu, cuda or cuda:N, got 'mps'"),
        ({"device": "cpu:x"}, "device must be auto, cpu, cuda or cuda:N, got 'cpu:x'"),
        ({"model_args": {"colour": 1}}, "could not be loaded for lm-eval: .*unexpected keyword argument 'colour'"),
        ({"model_args": {"max_length": 10**6}}, "max_length is 1000000, but .* has .* positions"),
    ],
)
def test_what_the_model_does_not_take_is_named(tiny_llama, settings, text):
    with pytest.raises(ModelError, match=text):
        open_model(str(tiny_llama), HarnessSettings(**{"device": "cpu"} | settings))


def test_answers_longer_than_the_context_are_refused_in_words(tiny_llama, manager):
    settings = HarnessSettings(device="cpu", max_gen_toks=10**6, limit=1)
    with pytest.raises(ModelError, match=r"may be longer than the model's context: .* Lower --max-gen-toks"):
        answer_task(open_model(str(tiny_llama), settings)[0], GROUP, manager, settings)


CHAT = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}[bot] "
TABLE_7 = "{% for m in messages %}### Instruction:\n{{ m.content }}\n\n### Response:{% endfor %}"


@pytest.fixture
def chat_model(tiny_llama, tmp_path):
    def make(template):
        from transformers import AutoTokenizer

        shutil.copytree(tiny_llama, tmp_path / "chat")
        tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
        tokenizer.chat_template = template
        tokenizer.save_pretrained(tmp_path / "chat")
        return str(tmp_path / "chat")

    return make


CHAT_SETTINGS = HarnessSettings(device="cpu", max_gen_toks=1, limit=1, chat_template=True)


def test_the_chat_template_is_put_around_the_benchmarks_prompt(chat_model, manager):
    rows = answer_task(open_model(chat_model(CHAT), CHAT_SETTINGS)[0], GROUP, manager, CHAT_SETTINGS).rows
    assert rows[0]["prompt"].startswith("[user] Below is an instruction")
    assert rows[0]["prompt"].count("### Instruction:") == 1


def test_a_template_that_is_the_benchmarks_prompt_is_refused(chat_model, manager):
    with pytest.raises(SettingError, match=r"writes '### Instruction:' itself: .* Leave --chat-template out"):
        answer_task(open_model(chat_model(TABLE_7), CHAT_SETTINGS)[0], GROUP, manager, CHAT_SETTINGS)


@pytest.mark.parametrize("template", [None, "{{ raise_exception('No users here.') }}"])
def test_a_template_that_cannot_be_used_is_refused(chat_model, manager, template):
    with pytest.raises(ModelError, match=r"chat template cannot be used: .* Leave the option out"):
        answer_task(open_model(chat_model(template), CHAT_SETTINGS)[0], GROUP, manager, CHAT_SETTINGS)
