"""The tables that people edit: every entry is complete, and a mistake in one is named."""

import hashlib
import subprocess
import sys
from datetime import date

import pytest
from pydantic import ValidationError

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance import compose_licenses, judge_dataset, judge_file, judge_model
from davidgen_hf.provenance.closed_models import closed_model
from davidgen_hf.provenance.tables import (
    KnownDataset,
    KnownFile,
    KnownModel,
    LicenseTable,
    Table,
    closed_hosts,
    datasets,
    licenses,
    models,
)

ENTRIES = [*datasets().entries, *models().entries]
DATASET = {
    "name": "Poems",
    "ids": ["org/poems"],
    "written_by": "a poet wrote it",
    "use": "clean",
    "license_declared": "mit",
    "license_concluded": "mit",
    "source": "https://example.org/poems",
    "verified_by": "a reader",
    "verified_on": date(2026, 1, 2),
}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_who_read_its_source_and_when(entry):
    assert (entry.verified_on is None) or (date(2026, 1, 1) <= entry.verified_on <= date.today())
    known = {one for group in licenses().classes.values() for one in group.licenses}
    assert entry.license_concluded is None or entry.license_concluded in known | {"llama1"}


def test_no_id_is_in_two_entries():
    for table in (datasets(), models()):
        ids = [one.lower() for entry in table.entries for one in entry.ids]
        assert sorted(ids) == sorted(set(ids))


def test_names_of_closed_models_are_in_no_table_of_models():
    assert [entry.name for entry in models().entries if closed_model(entry.name)] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"licence_declared": "mit"}, "licence_declared"),
        ({"use": "free"}, "use"),
        ({"use": "restricted"}, "because is for restricted data sets, and required of them"),
        ({"ids": []}, "ids"),
        ({"source": "example.org"}, "source"),
        ({"verified_by": None, "verified_on": None}, "nothing is clean before someone has read its source"),
        ({"verified_by": None}, "verified_by and verified_on belong together"),
        ({"written_by": ""}, "written_by"),
    ],
)
def test_a_mistake_in_an_entry_is_named(change, words):
    KnownDataset(**DATASET)
    with pytest.raises(ValidationError, match=words):
        KnownDataset(**DATASET | change)


def test_a_model_says_what_it_was_trained_on():
    entry = {name: value for name, value in DATASET.items() if name not in ("use", "written_by")}
    KnownModel(**entry, gap="nothing is published")
    with pytest.raises(ValidationError, match="base, data, text or gap must say what it was trained on"):
        KnownModel(**entry)


def test_a_file_is_known_by_one_hash():
    with pytest.raises(ValidationError, match="a file needs sha256 and bytes, or git_sha1"):
        KnownFile(sha256="0" * 64)


def test_classes_of_licences_that_are_nowhere_are_named():
    content = licenses().model_dump() | {"yielding": ["free"]}
    with pytest.raises(ValidationError, match=r"\['free'\] are not among the classes"):
        LicenseTable(**content)


def test_an_id_comes_before_a_pattern_and_patterns_in_their_order():
    made = [KnownDataset(**DATASET | {"name": name, "ids": [name]}) for name in ("a/*", "a/b*", "a/bc")]
    table = Table(made)
    assert [table.find(one).name for one in ("A/BC", "a/bcd", "a/x")] == ["a/bc", "a/*", "a/*"]
    assert table.find("b/x") is None
    assert table.find_copy("bc.jsonl").name == "a/*"


def test_a_copy_of_a_known_file_is_known_whatever_its_name(tmp_path, monkeypatch):
    content = b'[{"instruction": "Name a river."}]'
    name = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    known = DATASET | {"use": "restricted", "because": "a term", "files": [{"git_sha1": name}]}
    monkeypatch.setattr("davidgen_hf.provenance.evidence.datasets", lambda: Table([KnownDataset(**known)]))
    (tmp_path / "mine.json").write_bytes(content)
    assert judge_file(tmp_path / "mine.json").reason == "Poems: a poet wrote it, and a term."
    assert judge_file(tmp_path).answer == "restricted"
    (tmp_path / "mine.json").write_bytes(content + b" ")
    assert judge_file(tmp_path / "mine.json").answer == "unknown"


def test_hosts_are_names_and_not_addresses():
    assert all("/" not in host and ":" not in host for host in closed_hosts())


def test_the_tables_are_read_when_they_are_first_needed():
    program = (
        "import davidgen_hf.provenance as p; from davidgen_hf.provenance import tables as t;"
        "n = lambda: t.datasets.cache_info().currsize; before = n(); p.judge_dataset('a/b'); print(before, n())"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "1"]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("allenai/WildChat-1M", "restricted"),
        ("lmsys/lmsys-chat-1m", "restricted"),
        ("berkeley-nest/Nectar", "restricted"),
        ("allenai/tulu-3-sft-mixture", "restricted"),
        ("allenai/tulu-v2-sft-mixture", "restricted"),
        ("nvidia/HelpSteer2", "unknown"),
        ("nvidia/HelpSteer3", "unknown"),
        ("GAIR/lima", "unknown"),
        ("HuggingFaceFW/finetranslations", "unknown"),
        ("HuggingFaceFW/fineweb-edu", "clean"),
        ("HuggingFaceFW/fineweb-edu-llama3-annotations", "restricted"),
        ("tiiuae/falcon-refinedweb", "clean"),
        ("bigcode/the-stack-v2-train-smol-ids", "unknown"),
        ("bigcode/the-stack-dedup", "clean"),
        ("common-pile/comma_v0.1_training_dataset", "clean"),
        ("common-pile/wikimedia", "clean"),
        ("allenai/dolma", "clean"),
        ("google-research-datasets/natural_questions", "clean"),
    ],
)
def test_data_sets_of_today(name, answer):
    assert judge_dataset(name).answer == answer


@pytest.mark.parametrize(
    ("name", "answer", "license"),
    [
        ("common-pile/comma-v0.1-2t", "clean", "apache-2.0"),
        ("HuggingFaceTB/SmolLM3-3B", "unknown", "apache-2.0"),
        ("HuggingFaceTB/SmolLM-135M-Instruct", "restricted", "apache-2.0"),
        ("allenai/OLMo-2-1124-7B-Instruct", "restricted", "apache-2.0"),
        ("allenai/Llama-3.1-Tulu-3-8B", "restricted", "llama3.1"),
        ("swiss-ai/Apertus-8B-2509", "unknown", "apache-2.0"),
        ("Qwen/Qwen3-8B", "unknown", "apache-2.0"),
        ("google/gemma-3-4b-it", "unknown", "gemma"),
        ("meta-llama/Llama-4-Scout-17B-16E", "unknown", "llama4"),
        ("microsoft/phi-1", "restricted", "mit"),
        ("microsoft/Phi-4-reasoning-plus", "restricted", "mit"),
        ("microsoft/phi-4", "unknown", "mit"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "unknown", "llama3.1"),
        ("tiiuae/falcon-7b", "unknown", "apache-2.0"),
        ("ibm-granite/granite-7b-base", "clean", "apache-2.0"),
        ("EleutherAI/gpt-neox-20b", "clean", "apache-2.0"),
    ],
)
def test_models_of_today(name, answer, license):
    verdict = judge_model(name)
    assert (verdict.answer, verdict.license) == (answer, license)


@pytest.mark.parametrize(
    ("texts", "models", "whole"),
    [
        (["odbl", "mit"], [], "odbl"),
        (["cc-by-4.0"], ["openrail"], "openrail"),
        (["mit"], ["openmdw-1.1"], "mit"),
        (["pddl"], ["llama4"], "llama4"),
        (["odc-by"], ["apache-2.0"], "odc-by"),
    ],
)
def test_licences_of_today_are_composed(texts, models, whole):
    assert compose_licenses(texts, models).license == whole


@pytest.mark.parametrize(("texts", "models"), [(["odbl", "cc-by-sa-4.0"], []), (["cc-by-sa-4.0"], ["gemma"])])
def test_licences_that_exclude_each_other(texts, models):
    with pytest.raises(ProvenanceError, match=r"No licen[cs]e fits"):
        compose_licenses(texts, models)


# Forks, quantized versions, other spellings, mixtures and fine-tunes of what a closed model wrote or a term forbids.
NEVER_CLEAN_DATA = (
    *("tatsu-lab/Alpaca", "YAHMA/alpaca-cleaned", "vicgalle/alpaca-gpt4", "FreedomIntelligence/alpaca-gpt4-deutsch"),
    *("QingyiSi/Alpaca-CoT", "tatsu-lab/alpaca_farm", "iamtarun/python_code_instructions_18k_alpaca"),
    *("teknium/OpenHermes-2.5-dedup", "Open-Orca/SlimOrca-Dedup", "Intel/orca_dpo_pairs", "LDJnr/Capybara"),
    *("argilla/distilabel-intel-orca-dpo-pairs", "trl-lib/ultrafeedback_binarized", "philschmid/ultrachat-10k"),
    *("HuggingFaceH4/ultrachat_200k", "Magpie-Align/Magpie-Qwen2-Pro-1M-v0.1", "allenai/WildChat-4.8M"),
    *(
        "lmsys/LMSYS-Chat-1M",
        "allenai/tulu-v1-sft-mixture",
        "HuggingFaceTB/smoltalk2",
        "cognitivecomputations/dolphin",
    ),
    *("HuggingFaceFW/fineweb-edu-llama3-annotations", "me/fineweb-edu-llama3-annotations"),
    *("ise-uiuc/Magicoder-OSS-Instruct-75K", "m-a-p/CodeFeedback-Filtered-Instruction", "meta-math/MetaMathQA"),
    *("nampdn-ai/tiny-textbooks", "roneneldan/TinyStories", "MBZUAI/LaMini-instruction", "mlabonne/FineTome-100k"),
    *("garage-bAInd/Open-Platypus", "jondurbin/airoboros-3.2", "mosaicml/dolly_hhrlhf", "Anthropic/hh-rlhf"),
    *("WizardLMTeam/WizardLM_evol_instruct_V2_196k", "sahil2801/CodeAlpaca-20k", "bigcode/the-stack-v2-dedup"),
)
NEVER_CLEAN_MODELS = (
    *("meta-llama/Meta-Llama-3-8B", "meta-llama/Llama-3-8B", "NousResearch/Llama-2-7b-hf", "TheBloke/Llama-2-7B-GGUF"),
    *("unsloth/llama-3-8b-bnb-4bit", "TheBloke/vicuna-7B-v1.5-GGUF", "lmsys/vicuna-7b-v1.5", "chavinlo/alpaca-native"),
    *("teknium/OpenHermes-2.5-Mistral-7B", "NousResearch/Hermes-3-Llama-3.1-8B", "HuggingFaceH4/zephyr-7b-beta"),
    *("TheBloke/zephyr-7B-beta-GGUF", "openchat/openchat-3.5-0106", "berkeley-nest/Starling-LM-7B-alpha"),
    *("microsoft/Orca-2-7b", "Microsoft/phi-1", "microsoft/Phi-4-mini-reasoning", "allenai/tulu-2-dpo-70b"),
    *("allenai/OLMo-2-1124-13B-SFT", "allenai/OLMo-7B-Instruct", "HuggingFaceTB/SmolLM2-360M-Instruct"),
    *("HuggingFaceTB/SmolLM2-135M-Instruct-GGUF", "ibm-granite/granite-7b-instruct", "WizardLM/WizardMath-7B-V1.1"),
    *("ehartford/WizardLM-7B-Uncensored", "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "Qwen/Qwen3-8B-GGUF"),
    *("nomic-ai/gpt4all-j", "xai-org/grok-2", "project-baize/baize-v2-7b", "EleutherAI/pythia-1.4b-sft-alpaca"),
)


def test_no_spelling_of_what_is_restricted_is_clean():
    assert [name for name in NEVER_CLEAN_DATA if judge_dataset(name).answer == "clean"] == []
    assert [name for name in NEVER_CLEAN_MODELS if judge_model(name).answer == "clean"] == []
    assert len(NEVER_CLEAN_DATA) + len(NEVER_CLEAN_MODELS) >= 60


def test_the_tables_are_long_enough_to_be_of_use():
    entries = [*datasets().entries, *models().entries]
    assert len([entry for entry in entries if entry.verified_on]) >= 120


# Each id as people write it, with what is right; "unknown" is always allowed, "clean" only where it stands.
RIGHT_OR_UNKNOWN = {
    "restricted": (
        *("microsoft/phi-1", "microsoft/phi-1_5", "MICROSOFT/Phi-2", "TheBloke/phi-2-GGUF", "unsloth/phi-2-bnb-4bit"),
        *("lmstudio-community/phi-2-GGUF", "mlx-community/phi-2-4bit", "QuantFactory/phi-2-GGUF", "me/phi-2-sft-awq"),
        *("tiiuae/falcon-40b-instruct", "TheBloke/falcon-40b-instruct-GPTQ", "TheBloke/falcon-40b-instruct-GGML"),
        *("meta-llama/Llama-2-7b", "meta-llama/Llama-2-7b-chat-hf", "meta-llama/Llama-2-70b-hf"),
        *("TheBloke/Llama-2-13B-chat-GPTQ", "TheBloke/Llama-2-7B-Chat-AWQ", "NousResearch/Llama-2-13b-hf"),
        *("unsloth/llama-2-7b-bnb-4bit", "meta-llama/Meta-Llama-3-8B-Instruct", "META-LLAMA/META-LLAMA-3-70B"),
        *("QuantFactory/Meta-Llama-3-8B-Instruct-GGUF", "NousResearch/Meta-Llama-3-8B", "unsloth/Meta-Llama-3-8B"),
        *(
            "lmsys/vicuna-7b-v1.3",
            "lmsys/vicuna-13b-v1.5-16k",
            "TheBloke/vicuna-13B-v1.5-AWQ",
            "lmsys/vicuna-33b-v1.3",
        ),
        *("WizardLMTeam/WizardLM-13B-V1.2", "TheBloke/WizardLM-13B-V1.2-GGUF", "WizardLM/WizardLM-70B-V1.0"),
        *("tatsu-lab/alpaca-7b-wdiff", "project-baize/baize-v2-13b", "HuggingFaceH4/zephyr-7b-alpha"),
        *("TheBloke/zephyr-7B-alpha-GPTQ", "HuggingFaceH4/zephyr-7b-gemma-v0.1", "akoksal/LongForm-OPT-6.7B"),
        *("HuggingFaceTB/SmolLM2-1.7B-Instruct", "bartowski/SmolLM2-1.7B-Instruct-GGUF"),
        *("unsloth/SmolLM2-135M-Instruct", "allenai/OLMo-2-1124-7B-Instruct", "allenai/OLMo-2-0425-1B-SFT"),
        *("bartowski/OLMo-2-1124-13B-Instruct-GGUF", "allenai/Llama-3.1-Tulu-3-8B", "allenai/tulu-2-7b"),
        *("RichardErkhov/microsoft_-_phi-2-4bits", "bartowski/microsoft_phi-2-GGUF"),
    ),
    "unknown": (
        *("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-72B-Instruct", "Qwen/Qwen2-7B-Instruct", "qwen/qwen3-0.6b-base"),
        *("Qwen/Qwen2.5-Coder-7B-Instruct", "bartowski/Qwen_Qwen3-8B-GGUF", "unsloth/Qwen3-4B-Instruct-2507"),
        *("google/gemma-2-2b-it", "google/gemma-3-1b-it", "unsloth/gemma-3-4b-it-GGUF", "google/gemma-7b"),
        *("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.2-1B", "unsloth/Llama-3.3-70B-Instruct-bnb-4bit"),
        *(
            "meta-llama/Llama-4-Scout-17B-16E-Instruct",
            "mistralai/Mistral-7B-Instruct-v0.3",
            "mistralai/Mistral-7B-v0.1",
        ),
        *("mistralai/Mixtral-8x22B-Instruct-v0.1", "mistralai/Mistral-Small-24B-Instruct-2501"),
        *(
            "allenai/Olmo-3-1025-7B",
            "allenai/Olmo-3-7B-Instruct",
            "allenai/OLMo-2-1124-7B",
            "swiss-ai/Apertus-8B-2509",
        ),
        *("deepseek-ai/DeepSeek-R1", "deepseek-ai/DeepSeek-V3-0324", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"),
        *("ibm-granite/granite-3.3-8b-instruct", "ibm-granite/granite-4.0-h-small", "tiiuae/falcon-7b-instruct"),
        *(
            "tiiuae/Falcon3-7B-Base",
            "google-t5/t5-base",
            "google/mt5-small",
            "microsoft/Phi-4",
            "microsoft/phi-3-mini",
        ),
        *("mlx-community/Qwen2.5-7B-Instruct-4bit", "ggml-org/gemma-3-4b-it-GGUF", "google/gemma-3n-E4B-it"),
        *("HuggingFaceTB/SmolLM3-3B", "Qwen/Qwen3-30B-A3B-Instruct-2507", "tiiuae/falcon-180B"),
        *("someone/own-model", "openai-community/gpt2", "bigscience/bloom-7b1", "EleutherAI/gpt-neo-2.7B"),
    ),
    "clean": (
        *("EleutherAI/pythia-1.4b", "eleutherai/Pythia-70M-deduped", "EleutherAI/gpt-neo-125m", "allenai/OLMo-1B-hf"),
        *("allenai/OLMo-7B", "common-pile/comma-v0.1-1t", "google/t5-v1_1-base", "databricks/dolly-v2-3b"),
    ),
}
RIGHT_OR_UNKNOWN_DATA = {
    "restricted": (
        *(
            "sahil2801/CodeAlpaca-20k",
            "theblackcat102/evol-codealpaca-v1",
            "AI-MO/NuminaMath-TIR",
            "anthropic/HH-RLHF",
        ),
        *("AI-MO/NuminaMath-CoT", "lmsys/lmsys-chat-1m", "Open-Orca/SlimOrca", "teknium/OpenHermes-2.5"),
        *(
            "allenai/WildChat-1M",
            "berkeley-nest/Nectar",
            "yizhongw/self_instruct",
            "mrm8488/unnatural-instructions-full",
        ),
    ),
    "unknown": (
        *("HuggingFaceFW/fineweb", "HuggingFaceTB/cosmopedia-v2", "nvidia/HelpSteer3", "GAIR/LIMA"),
        *(
            "togethercomputer/RedPajama-Data-V2",
            "cerebras/SlimPajama-627B",
            "someone/own-texts",
            "HuggingFaceFW/FineWeb-2",
        ),
    ),
    "clean": ("databricks/databricks-dolly-15k", "allenai/c4"),
}


def test_of_120_ids_each_is_right_or_unknown():
    judged = [(RIGHT_OR_UNKNOWN, judge_model), (RIGHT_OR_UNKNOWN_DATA, judge_dataset)]
    wrong = [
        (name, answer)
        for table, judge in judged
        for right, names in table.items()
        for name in names
        if (answer := judge(name).answer) not in {right, "unknown"}
    ]
    assert wrong == []
    assert sum(len(names) for table, _ in judged for names in table.values()) >= 120


def test_a_quantized_copy_is_as_restricted_as_its_original_and_never_clean():
    copies = (
        "TheBloke/phi-2-GGUF",
        "unsloth/phi-2-bnb-4bit",
        "RichardErkhov/microsoft_-_phi-2-4bits",
        "me/phi-2-q4_k_m",
    )
    assert {judge_model(name).answer for name in (*copies, "TheBloke/falcon-40b-instruct-GPTQ")} == {"restricted"}
    assert "TheBloke/phi-2-GGUF is named after Phi-1.5 and Phi-2." in judge_model("TheBloke/phi-2-GGUF").reason
    assert {judge_model(name).answer for name in ("TheBloke/pythia-1.4b-GGUF", "me/phi-2")} == {"unknown"}


def test_no_pattern_makes_clean_what_nobody_has_read():
    """A fine-tuned model is called after its base: org/model-* would fit it too."""
    patterns = [one for entry in models().entries for one in entry.ids if "*" in one]
    assert [one for one in patterns if judge_model(one.replace("*", "x")).answer == "clean"] == []
    assert judge_model("common-pile/comma-v0.1-2t-chat").answer == "unknown"
    assert judge_model("huggyllama/llama-2-7b-chat").answer != "clean"
