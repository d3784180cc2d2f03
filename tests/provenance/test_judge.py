import json

import pytest
from huggingface_hub import DatasetCardData, ModelCardData

from davidgen_hf.provenance import compose, judge_dataset, judge_file, judge_model, judge_source
from davidgen_hf.provenance.tables import datasets, models

SEEDS = ("yizhongw/self-instruct", "seed_tasks")
TEXTS = (("wikimedia/wikipedia", None), ("allenai/c4", None))
SUPERNI = ("Muennighoff/natural-instructions", None)
# Table 2 of the paper, column "Potential Risks": what LLaMA-7B was tuned on, and whether the paper sees a risk.
TABLE_2 = {
    "LLaMA-7B": ((), False),
    "Self-Instruct": ((("yizhongw/self_instruct", None),), True),
    "Alpaca": ((("tatsu-lab/alpaca", None),), True),
    "LLaMA-GPT4": ((("Instruction-Tuning-with-GPT-4/GPT-4-LLM", None),), True),
    "Evol-Instruct": ((("WizardLMTeam/WizardLM_evol_instruct_70k", None),), True),
    "Dynosaur": ((("WadeYin9712/Dynosaur", None),), True),
    "LongForm": ((("akoksal/LongForm", None),), True),
    "Dolly": ((("databricks/databricks-dolly-15k", None),), False),
    "Dromedary": ((("zhiqings/dromedary-65b-verbose-clone-v0", None),), False),
    "SuperNI": ((SUPERNI,), False),
    "SuperNI + LongForm": ((SUPERNI, ("akoksal/LongForm", None)), True),
    "Ours, unsupervised": ((SEEDS, *TEXTS), False),
    "Ours, supervised": ((SUPERNI,), False),
    "Ours, both": ((SEEDS, *TEXTS, SUPERNI), False),
}


@pytest.mark.parametrize("row", TABLE_2)
def test_table_2_of_the_paper(row):
    data, risk = TABLE_2[row]
    parts = [judge_model("huggyllama/llama-7b"), *(judge_dataset(name, config=config) for name, config in data)]
    assert compose(row, parts).answer == ("restricted" if risk else "clean")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("yahma/alpaca-cleaned", "restricted"),
        ("vicgalle/alpaca-gpt4", "restricted"),
        ("WizardLMTeam/WizardLM_evol_instruct_V2_196k", "restricted"),
        ("RyokoAI/ShareGPT52K", "restricted"),
        ("HuggingFaceH4/ultrachat_200k", "restricted"),
        ("openbmb/UltraFeedback", "restricted"),
        ("teknium/OpenHermes-2.5", "restricted"),
        ("Open-Orca/SlimOrca-Dedup", "restricted"),
        ("nomic-ai/gpt4all-j-prompt-generations", "restricted"),
        ("HuggingFaceTB/smoltalk", "restricted"),
        ("jondurbin/airoboros-gpt4-1.3", "restricted"),
        ("someone/answers-of-gpt-4o", "restricted"),
        ("someone/answers-of-gpt-5.1", "restricted"),
        ("someone/traces-of-o3-mini", "restricted"),
        ("someone/o3-air-quality", "unknown"),
        ("OpenAssistant/oasst1", "clean"),
        ("HuggingFaceH4/no_robots", "clean"),
        ("CohereForAI/aya_dataset", "clean"),
        ("bigscience/P3", "clean"),
        ("google/xquad", "clean"),
        ("chatterbot-corpus", "clean"),
        ("pydoc_data.topics", "clean"),
        ("python-standard-library", "clean"),
        ("someone/recipes", "unknown"),
        ("c-s-ale/dolly-15k-instruction-alpaca-format", "unknown"),
        ("EleutherAI/gpt-j-samples", "unknown"),
    ],
)
def test_a_dataset_by_its_id(name, answer):
    assert judge_dataset(name).answer == answer
    assert judge_dataset(name.upper()).answer == answer


def test_the_parts_of_self_instruct_differ():
    answers = {
        config: judge_dataset("yizhongw/self_instruct", config=config).answer
        for config in ("self_instruct", "super_natural_instructions", "human_eval", "p3", None)
    }
    assert answers == {
        "self_instruct": "restricted",
        "super_natural_instructions": "clean",
        "human_eval": "clean",
        "p3": "clean",
        None: "restricted",
    }


@pytest.mark.parametrize(
    ("card", "answer", "words"),
    [
        ({"tags": ["Text", "GPT-4"]}, "restricted", "The card of org/new has the tag 'gpt-4'."),
        (
            {"source_datasets": ["extended|tatsu-lab/alpaca"]},
            "restricted",
            "The card of org/new names Alpaca as its source, of which it is known that OpenAI's text-davinci-003 "
            "wrote its instructions, inputs and outputs.",
        ),
        (
            {"tags": ["synthetic"]},
            "unknown",
            "org/new is in no table, and its card says that a model wrote it, but not which.",
        ),
        ({"source_datasets": ["original"], "license": "mit"}, "unknown", "org/new is in no table."),
    ],
)
def test_a_dataset_by_its_card(card, answer, words):
    verdict = judge_dataset("org/new", card=DatasetCardData(**card))
    assert (verdict.answer, verdict.reason) == (answer, words)
    assert verdict.license == card.get("license")


def test_a_card_that_names_a_closed_model_outweighs_the_table():
    card = DatasetCardData(tags=["chatgpt"])
    assert judge_dataset("databricks/databricks-dolly-15k", card=card).answer == "restricted"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("embedded", "restricted"),
        ("cache/davidgen/smollm2-135m-instruct", "restricted"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "restricted"),
        ("HuggingFaceTB/SmolLM2-135M", "unknown"),
        ("HuggingFaceH4/zephyr-7b-beta", "restricted"),
        ("lmsys/vicuna-13b-v1.5", "restricted"),
        ("tatsu-lab/alpaca-7b-wdiff", "restricted"),
        ("meta-llama/Llama-2-7b-hf", "restricted"),
        ("gpt-4-turbo", "restricted"),
        ("mistralai/Mistral-7B-v0.1", "unknown"),
        ("allenai/OLMo-2-1124-7B", "unknown"),
        ("google/t5-v1_1-xl", "clean"),
        ("google/flan-t5-xl", "clean"),
        ("databricks/dolly-v2-12b", "clean"),
    ],
)
def test_a_model_by_its_lineage(name, answer):
    assert judge_model(name).answer == answer


def test_the_embedded_model_is_restricted_for_what_it_was_tuned_on():
    verdict = judge_model("embedded")
    assert [part.answer for part in verdict.parts] == ["unknown", "restricted", "restricted"]
    assert "SmolTalk" in verdict.reason
    assert "UltraFeedback" in verdict.reason
    assert verdict.license == "apache-2.0"


def test_a_model_that_is_in_no_table_is_judged_by_the_bases_of_its_bases():
    ancestors = {"org/middle": ModelCardData(base_model="google/t5-v1_1-xl", datasets=["tatsu-lab/alpaca"])}
    card = ModelCardData(base_model="org/middle", datasets=["databricks/databricks-dolly-15k"])
    assert judge_model("org/new", card=card, ancestors=ancestors).answer == "restricted"
    assert judge_model("org/new", card=card).answer == "unknown"
    direct = ModelCardData(base_model="google/t5-v1_1-xl", datasets=["databricks/databricks-dolly-15k"])
    assert judge_model("org/new", card=direct).answer == "clean"


def test_cards_that_name_each_other_as_base_end():
    ancestors = {"org/a": ModelCardData(base_model="org/b"), "org/b": ModelCardData(base_model="org/a")}
    assert judge_model("org/a", ancestors=ancestors).answer == "unknown"


def test_what_a_closed_model_answered_is_refused_by_its_file_name(shared_data):
    path = next((shared_data / "self_instruct" / "predictions_closed_source").iterdir())
    verdict = judge_file(path)
    assert verdict.answer == "restricted"
    assert verdict.reason == f"The name of {path.name} has 'text-davinci-003' in it."


def test_alpaca_is_refused_by_what_its_rows_say(shared_data):
    path = shared_data / "alpaca_sample" / "alpaca_50.json"
    verdict = judge_file(path, json.loads(path.read_text("utf-8")))
    assert verdict.answer == "restricted"
    assert verdict.reason.startswith("In alpaca_50.json, column 'source' says 'alpaca': OpenAI's text-davinci-003")
    assert judge_file(path).answer == "unknown"
    assert "its name has 'alpaca' in it" in judge_file(path).reason


def test_the_seed_tasks_are_known_by_their_content(shared_data, tmp_path):
    content = (shared_data / "self_instruct" / "seed_tasks.jsonl").read_bytes()
    copy = tmp_path / "mine.jsonl"
    copy.write_bytes(content)
    assert (judge_file(copy).answer, judge_file(copy).license) == ("clean", "apache-2.0")
    copy.write_bytes(content + b"\n")
    assert judge_file(copy).answer == "unknown"


def test_a_folder_is_refused_by_the_name_of_a_file_in_it(shared_data):
    folder = shared_data / "self_instruct" / "predictions_closed_source"
    assert judge_file(folder).answer == "restricted"


def test_a_source_is_a_file_where_there_is_one(shared_data, tmp_path):
    assert judge_source(str(shared_data / "self_instruct" / "seed_tasks.jsonl")).answer == "clean"
    assert judge_source(str(tmp_path)).reason.startswith(f"{tmp_path.name} is a file that does not say who wrote it")
    assert judge_source("yizhongw/self_instruct", config="human_eval").answer == "clean"


def test_the_owner_of_an_id_or_folder_does_not_decide_what_is_in_it():
    assert judge_dataset("claude/poems").answer == "unknown"
    assert judge_model("/home/claude/models/mine/").answer == "unknown"


def test_a_file_of_ones_own_is_unknown(tmp_path):
    path = tmp_path / "manuals.jsonl"
    path.write_text('{"text": "Turn it on."}\n', "utf-8")
    verdict = judge_file(path, [{"text": "Turn it on.", "source": "https://example.org", "model": None}])
    assert (verdict.answer, verdict.reason) == ("unknown", "manuals.jsonl is a file that does not say who wrote it.")


@pytest.mark.parametrize(
    ("column", "value"), [("model", "gpt-3.5-turbo"), ("generator", "Claude"), ("source", "sharegpt")]
)
def test_a_row_that_names_its_closed_writer(column, value, tmp_path):
    assert judge_file(tmp_path / "rows.jsonl", [{"text": "a"}, {column: value}]).answer == "restricted"


@pytest.mark.parametrize("entry", [*datasets().entries, *models().entries], ids=lambda entry: entry.name)
def test_every_entry_has_a_source_and_finds_itself(entry):
    assert entry.source.startswith("https://")
    for pattern in entry.ids:
        name, _, config = pattern.replace("*", "x").partition(":")
        if entry in models().entries:
            assert entry.license_concluded == judge_model(name).license
        else:
            assert judge_dataset(name, config=config or None).answer == entry.use


@pytest.mark.parametrize("entry", models().entries, ids=lambda entry: entry.name)
def test_what_a_known_model_was_trained_on_is_known(entry):
    assert entry.data or entry.text or entry.gap or entry.base
    for name in entry.data:
        assert judge_dataset(name).answer != "unknown" or datasets().find(name)
    if entry.base:
        assert models().find(entry.base)


def test_a_whole_has_parts():
    with pytest.raises(ValueError, match="nothing has no parts to compose a verdict of"):
        compose("nothing", [])
