import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from datasets import Dataset
from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

from davidgen_hf.errors import InputError, MissingColumnsError, RunFolderError, SettingError
from davidgen_hf.prompts import render_follower
from davidgen_hf.training.script import load_splits, parse_arguments, train_from_command_line
from davidgen_hf.training.sections import SECTIONS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path, recipe) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.fixture
def data(tmp_path, rows) -> Path:
    path = tmp_path / "rows.jsonl"
    rows.to_json(path)
    return path


def run_sft(*options: object, launcher: tuple[str, ...] = (), script: str = "sft.py") -> subprocess.CompletedProcess:
    command = [sys.executable, *launcher, ROOT / "recipes" / script, *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, check=False
    )


def test_the_command_line_overrides_the_config(config):
    values = parse_arguments(SECTIONS, "", ["--config", str(config), "--max_length", "48", "--use_peft"])
    assert (values["max_length"], values["use_peft"], values["num_train_epochs"]) == (48, True, 2)


def test_what_neither_names_is_left_to_the_defaults(config):
    assert "lora_r" not in parse_arguments(SECTIONS, "", ["--config", str(config)])


def test_problems_of_config_and_command_line_are_shown_together(config):
    config.write_text(config.read_text() + "learning_rat: 1\n")
    with pytest.raises(SettingError, match="2 problem") as error:
        parse_arguments(SECTIONS, "", ["--config", str(config), "--lora_r", "0"])
    assert str(config) in str(error.value)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "csv"])
def test_rows_come_from_a_file(tmp_path, rows, suffix):
    path = tmp_path / f"rows.{suffix}"
    {"jsonl": rows.to_json, "parquet": rows.to_parquet, "csv": rows.to_csv}[suffix](path)
    splits = load_splits({"dataset_name": str(path)})
    assert list(splits) == ["train"]
    assert splits["train"][:] == rows[:]


def test_a_csv_file_holds_text_even_where_it_looks_like_numbers_or_nothing(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("id,prompt,completion\n1,Is it cold?,007\n2,Is it hot?,0\n3,Is it old?,None\n4,5,NA\n")
    train_rows = load_splits({"dataset_name": str(path)})["train"]
    assert train_rows["completion"][:] == ["007", "0", "None", "NA"]
    assert train_rows["prompt"][3] == "5"


@pytest.mark.parametrize("folder", ["exp[lr=1e-5]", "[l]", "a*", "what?", "**", "my#run", "two words", "{a,b}"])
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_path_is_not_a_pattern(tmp_path, rows, folder, suffix):
    for name in (folder, "l", "ab"):  # others that the pattern would fit
        (tmp_path / name).mkdir()
        {"jsonl": rows.to_json, "parquet": rows.to_parquet}[suffix](tmp_path / name / f"rows[0].{suffix}")
    path = str(tmp_path / folder / f"rows[0].{suffix}")
    assert len(load_splits({"dataset_name": path})["train"]) == 24
    one = {"path": "json" if suffix == "jsonl" else "parquet", "data_files": path}
    listed = {"path": one["path"], "data_files": {"train": [path]}, "split": "train"}
    assert len(load_splits({"datasets": [one, listed]})["train"]) == 48


def test_a_folder_that_datasets_takes_for_a_pattern_is_named(tmp_path, rows):
    (tmp_path / "built[1]").mkdir()
    rows.to_parquet(tmp_path / "built[1]" / "train.parquet")
    with pytest.raises(InputError, match=r"built\[1\]: `datasets` takes the name of a folder for a pattern"):
        load_splits({"dataset_name": str(tmp_path / "built[1]")})


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('{"prompt": 1, "completion": 2}', InputError, r"rows\.jsonl: prompt holds int64, and training needs text"),
        (
            '{"prompt": "a", "completion": "b"}\n{"prompt": 5, "completion": {"c": 1}}',
            InputError,
            "prompt holds values of several types",
        ),
        ('{"prompt": "a", "completion": "b"}\n{"prompt": "a", ', InputError, "No rows can be read"),
        ('{"text": "a"}', MissingColumnsError, r"rows\.jsonl lacks the column\(s\) \['prompt', 'completion'\]"),
        ("", InputError, "No rows can be read"),
    ],
    ids=["numbers", "mixed", "cut", "columns", "empty"],
)
def test_rows_that_are_not_text_are_named_with_their_file(tmp_path, text, error, message):
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(error, match=message) as found:
        load_splits({"dataset_name": str(tmp_path / "rows.jsonl")})
    assert "\n" not in str(found.value)


PAIRS = [{"instruction": f"Name {n} rivers.", "input": "", "output": f"The Nile and {n} more."} for n in range(6)]


def turns(speaker: str, text: str, *said: tuple[str, str]) -> list[dict[str, str]]:
    return [{speaker: who, text: what} for who, what in said]


def test_exported_rows_train_a_follower(tmp_path, config):
    def written(name: str, rows: list[dict]) -> str:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(tmp_path / name)

    asked = [(one["instruction"], one["output"]) for one in PAIRS]
    chats = [turns("role", "content", ("user", asks), ("assistant", answer)) for asks, answer in asked]
    shared = [turns("from", "value", ("human", asks), ("gpt", answer)) for asks, answer in asked]
    expected = {
        "prompt": [render_follower(asks) for asks, _ in asked],
        "completion": [answer for _, answer in asked],
    }
    for name, rows in (
        ("pairs.jsonl", [one | {"instruction_written_by": None} for one in PAIRS]),
        ("messages.jsonl", [{"messages": one, "restricted": True} for one in chats]),
        ("shared.jsonl", [{"id": n, "conversations": one} for n, one in enumerate(shared)]),
    ):
        assert load_splits({"dataset_name": written(name, rows)})["train"][:] == expected
    Dataset.from_list(PAIRS).to_csv(tmp_path / "alpaca.csv")
    assert load_splits({"dataset_name": str(tmp_path / "alpaca.csv")})["train"][:] == expected
    with_input = load_splits({"dataset_name": written("input.jsonl", [PAIRS[0] | {"input": "in Africa"}])})["train"]
    assert with_input["prompt"][0] == render_follower("Name 0 rivers.", "in Africa")

    options = ["--config", str(config), "--max_steps", "1", "--max_length", "128"]
    train_from_command_line(
        [*options, "--dataset_name", str(tmp_path / "shared.jsonl"), "--output_dir", str(tmp_path / "model")]
    )
    template = AutoTokenizer.from_pretrained(tmp_path / "model")
    chat = template.apply_chat_template([{"role": "user", "content": "Why?"}], tokenize=False)
    assert chat.endswith(render_follower("Why?"))

    for rows, error, message in (
        ([{"messages": [*chats[0], *chats[0]]}], InputError, r"row 0 has the turns \['user', 'assistant', 'user', 'a"),
        ([{"messages": [{"role": "user", "content": None}]}], InputError, r"row 0 has the turns \['user'\]"),
        ([{"messages": "Hello"}], InputError, r"row 0 has the turns \['str'\] in messages\. Training takes"),
        ([{"instruction": 1, "output": "b"}], InputError, "instruction holds int64, and training needs text"),
        ([{"prompt": "a", "chosen": "b", "rejected": "c"}], InputError, r"preferences.*with recipes/dpo.py"),
        ([{"prompt": "a", "completion": "b", "label": True}], InputError, r"preferences.*with TRL's KTOTrainer"),
        ([{"text": "a"}], MissingColumnsError, r"it has \['text'\]\. Training needs prompt and completion; instr"),
    ):
        with pytest.raises(error, match=message) as found:
            load_splits({"dataset_name": written("other.jsonl", rows)})
        assert str(found.value).count(". ") == 2


def test_a_folder_of_a_dataset_with_a_script_is_refused(tmp_path):
    (tmp_path / "ds").mkdir()
    (tmp_path / "ds" / "ds.py").write_text("raise SystemExit(3)")
    with pytest.raises(InputError, match="scripts are no longer supported"):
        load_splits({"dataset_name": str(tmp_path / "ds")})


def test_a_setting_that_publishes_is_refused_before_anything_is_read_or_written(config, tmp_path):
    options = ["--dataset_name", "absent.jsonl", "--output_dir", str(tmp_path / "m"), "--push_to_hub", "true"]
    with pytest.raises(SettingError, match='push_to_hub: would publish without the checks of "davidgen push"'):
        train_from_command_line(["--config", str(config), *options, "--hub_model_id", "org/mine"])
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("name", ["m" * 300, "a/" + "b" * 300, "rows.jsonl", "rows.jsonl/m", "a\0b"])
def test_a_folder_that_cannot_be_made_is_an_error(config, data, tmp_path, name):
    argv = ["--config", str(config), "--dataset_name", str(data), "--output_dir", str(tmp_path / name)]
    with pytest.raises(RunFolderError, match="cannot be the model's folder: "):
        train_from_command_line(argv)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.yaml", "rows.jsonl"]


def test_the_same_rows_are_held_out_for_the_same_seed(data):
    values = {"dataset_name": str(data), "test_split_size": 4, "seed": 7}
    first, second = load_splits(values), load_splits(values)
    assert first["test"][:] == second["test"][:]
    assert (len(first["train"]), len(first["test"])) == (20, 4)


@pytest.mark.parametrize(("size", "held_out"), [("0.25", 6), ("4", 4)])
def test_held_out_rows_are_a_share_or_a_number(data, size, held_out):
    values = parse_arguments(SECTIONS, "", ["--dataset_name", str(data), "--test_split_size", size])
    assert len(load_splits(values)["test"]) == held_out


def test_holding_out_all_rows_is_an_error(data):
    with pytest.raises(SettingError, match="test_split_size=24 leaves nothing to train on: there are 24 rows"):
        load_splits({"dataset_name": str(data), "test_split_size": 24.0})


def test_a_mixture_is_read_as_trl_reads_it(data):
    one = {"path": "json", "data_files": str(data)}
    assert len(load_splits({"datasets": [one, one]})["train"]) == 48


def test_a_dataset_of_a_mixture_that_lacks_a_column_is_named(data, tmp_path):
    other = tmp_path / "other.jsonl"
    Dataset.from_dict({"prompt": ["a"], "text": ["b"]}).to_json(other)
    mixture = [{"path": "json", "data_files": str(path)} for path in (data, other)]
    with pytest.raises(MissingColumnsError, match=r"lacks the column\(s\) \['completion'\].*\['prompt', 'text'\]"):
        load_splits({"datasets": mixture})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset_name": "absent.jsonl"}, r"No rows can be read from absent\.jsonl: there is no such file"),
        ({"dataset_name": "{data}", "dataset_train_split": "trian"}, r"has no split 'trian'; it has \['train'\]"),
    ],
)
def test_rows_that_cannot_be_read_are_named(data, values, message):
    with pytest.raises(InputError, match=message):
        load_splits({key: value.format(data=data) for key, value in values.items()})


def test_a_recipe_without_rows_is_an_error():
    with pytest.raises(SettingError, match="No rows are named"):
        load_splits({})


def test_a_training_runs_from_config_and_command_line(config, data, tmp_path):
    argv = ["--config", str(config), "--dataset_name", str(data), "--output_dir", str(tmp_path / "model")]
    assert train_from_command_line(argv).steps == 12
    assert json.loads((tmp_path / "model" / "run.json").read_text())["finished"]


def test_a_missing_folder_for_the_model_is_an_error(config, data):
    with pytest.raises(SettingError, match=r"No folder for the model is named\. Add `--output_dir FOLDER`"):
        train_from_command_line(["--config", str(config), "--dataset_name", str(data)])


@pytest.mark.slow
def test_the_script_shows_an_error_without_a_traceback(config, data):
    done = run_sft("--config", config, "--dataset_name", data)
    assert done.returncode == 2
    assert "No folder for the model is named" in done.stderr
    assert "Traceback" not in done.stderr


def tame(tiny_t5: Path, folder: Path) -> Path:
    """Save a T5 like the tiny one with smaller weights: T5 does not scale its scores, and large ones grow rounding."""
    torch.manual_seed(0)
    T5ForConditionalGeneration(T5Config.from_pretrained(tiny_t5, initializer_factor=0.3)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_t5).save_pretrained(folder)
    return folder


@pytest.fixture(params=["sft.py", "sft_seq2seq.py"])
def script(request, config, recipe) -> str:
    """Either script, with a config for it."""
    if request.param == "sft_seq2seq.py":
        del recipe["max_length"]
        changed = {"model_name_or_path": str(tame(request.getfixturevalue("tiny_t5"), config.parent / "t5"))}
        config.write_text(yaml.safe_dump(recipe | changed))
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["random", "group_by_length"])
def test_two_processes_on_the_cpu_have_the_losses_of_one(script, config, data, tmp_path, sampling):
    launcher = ("-m", "accelerate.commands.launch")
    spread = ("--config_file", str(ROOT / "recipes" / "accelerate" / "cpu.yaml"))
    records = []
    for name, options in (("one", ()), ("two", spread)):
        output = ("--output_dir", tmp_path / name)
        named = ("--config", config, "--dataset_name", data, "--train_sampling_strategy", sampling)
        done = run_sft(*named, *output, launcher=(*launcher, *options), script=script)
        assert done.returncode == 0, done.stderr
        records.append(json.loads((tmp_path / name / "run.json").read_text()))
    one, two = records
    assert one["batch"] == "global batch 4 = 4 rows x 1 process(es) x 1 accumulation step(s)"
    assert two["batch"] == "global batch 4 = 2 rows x 2 process(es) x 1 accumulation step(s)"
    assert dict(two["loss_history"]) == pytest.approx(dict(one["loss_history"]), rel=0.01)


@pytest.mark.slow
def test_a_training_killed_in_mid_epoch_ends_where_an_uninterrupted_one_does(script, config, data, tmp_path):
    longer = ("--num_train_epochs", "60", "--save_strategy", "steps", "--save_steps", "50", "--save_total_limit", "2")
    held_out = ("--test_split_size", "4", "--eval_strategy", "epoch")
    options = ("--config", config, "--dataset_name", data, *longer, *held_out, "--resume_from_checkpoint", "true")
    assert run_sft(*options, "--output_dir", tmp_path / "whole", script=script).returncode == 0
    killed = tmp_path / "killed"
    command = [sys.executable, ROOT / "recipes" / script, *options, "--output_dir", killed]
    with subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL) as process:
        while not list(killed.glob("checkpoint-*/trainer_state.json")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert not json.loads((killed / "run.json").read_text())["finished"]
    done = run_sft(*options, "--output_dir", killed, script=script)
    assert done.returncode == 0, done.stderr
    whole, resumed = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("whole", "killed"))
    assert resumed["eval_history"][-1] == pytest.approx(whole["eval_history"][-1], abs=1e-3)
    assert dict(resumed["loss_history"]) == pytest.approx(dict(whole["loss_history"]), rel=1e-3)
