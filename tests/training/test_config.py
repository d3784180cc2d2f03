import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from trl import SFTConfig

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.storage.yaml_files import read_config
from davidgen_hf.training import fields
from davidgen_hf.training.config import check_config, known_fields
from davidgen_hf.training.sections import SECTIONS, fields_of
from davidgen_hf.training.seq2seq import SECTIONS as SEQ2SEQ_SECTIONS
from davidgen_hf.training.write_fields import field_lines


def test_values_come_back_in_the_types_of_their_fields():
    checked = check_config({"learning_rate": "2e-5", "num_train_epochs": 3, "max_length": None}, "x.yaml")
    assert checked == {"learning_rate": 2e-5, "num_train_epochs": 3.0, "max_length": None}


def test_all_problems_are_shown_at_once():
    values = {"learning_rat": 1e-5, "max_length": "lots", "lora_r": 0, "seed": 1}
    with pytest.raises(SettingError) as error:
        check_config(values, "x.yaml")
    assert str(error.value).splitlines() == [
        "x.yaml: 3 problem(s).",
        "  learning_rat: unknown key; did you mean learning_rate?",
        "  lora_r: input should be greater than or equal to 1, got 0",
        "  max_length: input should be a valid integer, unable to parse string as an integer, got 'lots'",
    ]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("eval_strategy", "stpes", "'no', 'steps' or 'epoch', got 'stpes'"),
        ("dtype", "bfloat", "'auto', 'bfloat16', 'float16' or 'float32', got 'bfloat'"),
        ("per_device_train_batch_size", 1.5, "got a number with a fractional part, got 1.5"),
        ("learning_rate", 0, "greater than 0, got 0"),
        ("warmup_ratio", 0.03, "did you mean warmup_steps, where a number below 1 is a share of all steps?"),
        ("max_seq_length", 512, "did you mean max_length?"),
        ("packing", "maybe", "unable to interpret input, got 'maybe'"),
        ("test_split_size", -1, "greater than 0, got -1"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_should_be(key, value, text):
    with pytest.raises(SettingError, match="1 problem") as error:
        check_config({key: value}, "x.yaml")
    assert f"{key}: " in str(error.value)
    assert text in str(error.value)


PUBLISHING = {
    "push_to_hub": True,
    "hub_token": "mine",
    "hub_private_repo": True,
    "hub_model_id": "org/mine",
    "hub_strategy": "end",
    "hub_always_push": True,
    "hub_revision": "v1",
    "trackio_space_id": "org/space",
    "trackio_bucket_id": "org/bucket",
    "trackio_static_space_id": "org/space",
}


def test_every_setting_of_transformers_that_publishes_is_refused():
    fields = (field.name for field in dataclasses.fields(SFTConfig))
    publishing = {name for name in fields if name.startswith(("push_to", "hub_", "trackio_"))}
    assert publishing == set(PUBLISHING)


@pytest.mark.parametrize("sections", [SECTIONS, SEQ2SEQ_SECTIONS], ids=["sft", "seq2seq"])
@pytest.mark.parametrize(("key", "value"), PUBLISHING.items())
def test_a_setting_that_publishes_is_refused(key, value, sections):
    with pytest.raises(SettingError, match=f"1 problem.*\n  {key}: would publish .*remove it"):
        check_config({key: value}, "x.yaml", sections)


def test_settings_that_are_switched_off_are_fine():
    off = {
        "push_to_hub": "false",
        "hub_model_id": None,
        "hub_strategy": "every_save",
        "trackio_static_space_id": False,
    }
    assert check_config(off, "x.yaml")["push_to_hub"] is False


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("trust_remote_code", True, "would run code from the model's repository"),
        ("metric_for_best_model", "rougeL", "only the held-out loss is computed; .*got 'rougeL'"),
        ("greater_is_better", True, "a lower loss is better, so the worst checkpoint"),
        ("learning_rate", float("inf"), "should be a finite number, got inf"),
        ("learning_rate", float("nan"), "got nan"),
        ("learning_rate", "2e5", "less than or equal to 10, got '2e5'"),
        ("warmup_steps", "-inf", "should be a finite number"),
        ("lora_dropout", float("nan"), "should be a finite number"),
        ("seed", 2**32, "less than 4294967296"),
    ],
)
def test_a_value_that_no_training_survives_is_refused(key, value, text):
    with pytest.raises(SettingError, match=f"1 problem.*\n  {key}: .*{text}"):
        check_config({key: value}, "x.yaml")


def test_a_config_that_is_absent_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.yaml cannot be read as YAML"):
        read_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("text", "message"), [("a: [1", "line 1, column 6: expected ',' or ']'"), ("- a\n- b", "its top level is a list")]
)
def test_a_file_that_is_not_a_mapping_is_refused(tmp_path, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(SettingError, match=message):
        read_config(path)


def test_the_known_fields_are_those_of_the_installed_versions():
    # If this fails after an update of TRL or transformers: make fields
    assert field_lines() == Path(fields.__file__).read_text("utf-8")
    assert known_fields() is not None
    assert known_fields().keys() == fields_of(SECTIONS).keys()


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": "2e-5", "optim": "adafactor", "report_to": ["none"], "max_steps": 3},
        {"learning_rate": "fast", "optim": "adam", "eval_strategy": "epoch", "push_to_hub": True},
        {"lr_scheduler_kwargs": {"a": 1}, "num_train_epochs": 0, "use_peft": "maybe", "learning_rte": 1},
    ],
)
def test_known_fields_and_those_of_trl_accept_and_refuse_the_same(values):
    def outcome(sections):
        try:
            return check_config(values, "r.yaml", sections)
        except SettingError as error:
            return str(error)

    assert outcome(None) == outcome(SECTIONS)


def test_a_mistake_in_a_recipe_shows_without_an_import_of_torch():
    code = (
        "import sys\nfrom davidgen_hf.errors import SettingError\nfrom davidgen_hf.recipe import load_recipe\n"
        "load_recipe('demo')\n"
        "try:\n    load_recipe('demo', ['corpus.generate.m=1', 'generator.learning_rte=1', 'follower.seed=x'])\n"
        "except SettingError as error:\n    print(error)\n"
        "print({'torch', 'transformers', 'trl', 'peft', 'scipy'} & sys.modules.keys())"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    for message in ("generate.m: unknown key", "did you mean learning_rate?", "seed: input should be a valid integer"):
        assert message in printed
    assert printed.splitlines()[-1] == "set()"
