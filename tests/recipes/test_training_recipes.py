"""Every training recipe is a plain file of TRL or transformers, its commands are real, and each kind trains."""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
import tracemalloc
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset
from packaging.requirements import Requirement
from transformers import AutoModelForCausalLM
from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, SFTConfig, TrlParser
from trl.scripts import sft as trl_sft

from davidgen_hf.errors import InputError, ProvenanceError
from davidgen_hf.prompts import parse_follower, parse_generator
from davidgen_hf.storage.yaml_files import read_config
from davidgen_hf.training.config import check_config
from davidgen_hf.training.judging import judge_training
from davidgen_hf.training.script import parse_arguments, train_from_command_line, write_trl_config
from davidgen_hf.training.sections import SECTIONS
from davidgen_hf.training.seq2seq import SECTIONS as SEQ2SEQ_SECTIONS

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "recipes" / "paper"
NUMBERED = sorted(path for name in ("2_generator.yaml", "4_follower.yaml") for path in (ROOT / "recipes").rglob(name))
WHOLE = ("corpora", "models", "table_", "figure_")  # folders of recipes of the whole pipeline
PLAIN = [path for path in PAPER.glob("*/*.yaml") if not path.parent.name.startswith(WHOLE)]
TRAINED = sorted({*NUMBERED, *PLAIN, *PAPER.glob("*.yaml")})
FOLDERS = sorted(path.parent for path in PAPER.glob("*/README.md") if path.parent.name != "corpora")


def sections(path: Path) -> tuple[type, ...]:
    return SEQ2SEQ_SECTIONS if "t5" in str(path) else SECTIONS


def commands(folder: Path) -> list[list[str]]:
    """The words of every command of a folder's README that trains."""
    blocks = re.findall(r"```bash\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("accelerate launch")]


def test_no_recipe_is_overlooked():
    assert len(NUMBERED) == 2 * len(list((ROOT / "recipes").rglob("1_seeds.yaml")))
    assert len(list(PAPER.glob("*.yaml"))) == 5
    assert len(FOLDERS) == 12
    assert len(PLAIN) == 18


@pytest.mark.parametrize(
    "path",
    TRAINED,
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_the_recipe_says_nothing_unknown_or_out_of_range(path):
    check_config(read_config(path), path.name, sections(path))


@pytest.mark.parametrize(
    "path", [path for path in PAPER.glob("*.yaml") if "t5" not in path.name], ids=lambda path: path.stem
)
def test_trl_s_own_parser_reads_the_file(path):
    parser = TrlParser((ScriptArguments, SFTConfig, ModelConfig, DatasetMixtureConfig))
    _, args, model_args, _ = parser.parse_args_and_config(["--config", str(path), "--use_cpu"])
    assert args.per_device_train_batch_size * args.gradient_accumulation_steps == 128
    assert model_args.model_name_or_path == read_config(path)["model_name_or_path"]


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((ROOT / "recipes").rglob("*.py")) if path.name != "__init__.py"],
    ids=lambda p: p.name,
)
def test_a_script_says_what_it_needs_as_pep_723_has_it(path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    header = re.search(r"(?m)^# /// script\n((?:#(?: .*)?\n)+)# ///$", path.read_text("utf-8"))[1]
    needs = tomllib.loads("\n".join(line[2:] for line in header.splitlines()))
    assert needs["requires-python"] == project["requires-python"]
    (requirement,) = map(Requirement, needs["dependencies"])
    assert requirement.name == project["name"]
    assert project["version"] in requirement.specifier


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_commands_name_real_files_and_say_all_that_a_training_needs(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = set()
    for words in commands(folder):
        script = next(word for word in words if re.fullmatch(r"recipes/sft\w*\.py", word))
        files = [word for word in words if word.endswith((".yaml", ".py"))]
        assert all(Path(file).is_file() for file in files)
        options = words[words.index(script) + 1 :]
        values = parse_arguments(SEQ2SEQ_SECTIONS if "seq2seq" in script else SECTIONS, "", options)
        assert values["model_name_or_path"]
        assert values["output_dir"].startswith("models/")
        assert "dataset_name" in values or "datasets" in values
        found |= {Path(file).name for file in files if Path(file).parent.name == folder.name}
    assert found == {path.name for path in folder.glob("*.yaml")}


@pytest.mark.parametrize(
    ("path", "model"),
    [(path, "tiny_t5" if "t5" in path.name else "tiny_llama") for path in [*NUMBERED, *sorted(PAPER.glob("*.yaml"))]],
    ids=lambda one: str(one.relative_to(ROOT)) if isinstance(one, Path) else one,
)
def test_each_kind_trains_for_two_steps(path, model, request, tmp_path):
    rows = Dataset.from_dict({"prompt": ["Ask:", "Say:"] * 8, "completion": [" why", " so"] * 8})
    rows.to_parquet(tmp_path / "rows.parquet")
    options = {
        "--config": path,
        "--model_name_or_path": request.getfixturevalue(model),
        "--dataset_name": tmp_path / "rows.parquet",
        "--output_dir": tmp_path / "model",
        "--max_steps": 2,
        "--gradient_accumulation_steps": 1,
    }
    argv = [str(word) for pair in options.items() for word in pair] + ["--use_cpu"]
    summary = train_from_command_line(argv, "seq2seq" if "t5" in path.name else "sft")
    assert summary.steps == 2


def test_trl_s_own_script_trains_with_our_follower_recipes(tiny_llama, tmp_path):
    """`trl sft --config` is `trl.scripts.sft` behind accelerate's launcher."""
    rows = Dataset.from_dict({"prompt": ["Ask:", "Say:"] * 8, "completion": [" why", " so"] * 8})
    (tmp_path / "rows").mkdir()
    rows.to_parquet(tmp_path / "rows" / "train.parquet")
    followers = [path for path in NUMBERED if path.name == "4_follower.yaml"]
    for path in [*followers, PAPER / "llama_7b.yaml"]:
        output = tmp_path / f"model_{path.parent.name}"
        named = {"--model_name_or_path": tiny_llama, "--dataset_name": tmp_path / "rows", "--output_dir": output}
        options = {"--config": path, "--max_steps": 2, "--gradient_accumulation_steps": 1} | named
        argv = [str(word) for pair in options.items() for word in pair] + ["--use_cpu", "true"]
        trl_sft.main(*trl_sft.make_parser().parse_args_and_config(argv, fail_with_unknown_args=True))
        assert AutoModelForCausalLM.from_pretrained(output).config.vocab_size == 400


def test_files_of_settings_and_a_file_of_rows_become_one_file_for_trl(tiny_llama, tmp_path):
    Dataset.from_dict({"prompt": ["Ask:", "Say:"] * 8, "completion": [" why", " so"] * 8}).to_parquet(
        tmp_path / "rows.parquet"
    )
    (tmp_path / "mine.yaml").write_text("max_steps: 2\nper_device_train_batch_size: 2\n")
    files = ["--config", str(ROOT / "recipes/small/4_follower.yaml"), "--config", str(tmp_path / "mine.yaml")]
    named = ["--dataset_name", str(tmp_path / "rows.parquet"), "--model_name_or_path", str(tiny_llama)]
    more = ["--output_dir", str(tmp_path / "model"), "--gradient_accumulation_steps", "1", "--use_cpu", "true"]
    write_trl_config(tmp_path / "one.yaml", [*files, *named, *more])
    parsed = trl_sft.make_parser().parse_args_and_config(
        ["--config", str(tmp_path / "one.yaml")], fail_with_unknown_args=True
    )
    assert (parsed[1].max_steps, parsed[1].per_device_train_batch_size) == (2, 2)
    trl_sft.main(*parsed)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").config.vocab_size == 400


@pytest.mark.slow
def test_trl_s_command_reads_a_follower_recipe(tiny_llama, tmp_path):
    rows = Dataset.from_dict({"prompt": ["Ask:", "Say:"] * 8, "completion": [" why", " so"] * 8})
    (tmp_path / "rows").mkdir()
    rows.to_parquet(tmp_path / "rows" / "train.parquet")
    recipe = ROOT / "recipes" / "small" / "4_follower.yaml"
    command = f"trl sft --config {recipe} --model_name_or_path {tiny_llama} --dataset_name {tmp_path / 'rows'}"
    options = f"--output_dir {tmp_path / 'model'} --max_steps 2 --gradient_accumulation_steps 1 --use_cpu true"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    words = [f"{Path(sys.executable).parent}/{command}", options]
    done = subprocess.run(shlex.split(" ".join(words)), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(("kind", "parse"), [("generator", parse_generator), ("follower", parse_follower)])
def test_rows_are_written_from_columns_of_other_names(kind, parse, tmp_path):
    dolly = {"instruction": ["Ask", "No answer"], "context": ["", ""], "response": ["An answer.", None]}
    Dataset.from_dict(dolly).to_json(tmp_path / "dolly.jsonl")
    write_rows = runpy.run_path(str(PAPER / "rows.py"))["write_rows"]
    columns = ["--columns", "instruction=instruction", "input=context", "output=response"]
    write_rows([kind, str(tmp_path / "dolly.jsonl"), str(tmp_path / "rows.parquet"), *columns])
    rows = load_dataset("parquet", data_files=str(tmp_path / "rows.parquet"), split="train")
    assert rows.column_names == ["prompt", "completion"]
    assert "An answer." in (parse(rows[0]["prompt"])[0], rows[0]["completion"])
    assert len(rows) == 1


def test_rows_without_the_columns_are_refused(tmp_path):
    Dataset.from_dict({"text": ["a"]}).to_json(tmp_path / "other.jsonl")
    write_rows = runpy.run_path(str(PAPER / "rows.py"))["write_rows"]
    with pytest.raises(InputError, match=r"other\.jsonl:1 is not a seed: .* name them with `columns`"):
        write_rows(["generator", str(tmp_path / "other.jsonl"), str(tmp_path / "rows.parquet")])


@pytest.mark.parametrize("kind", ["generator", "follower"])
def test_rows_of_restricted_data_are_refused_or_marked(kind, tmp_path):
    write_rows = runpy.run_path(str(PAPER / "rows.py"))["write_rows"]
    source, output = tmp_path / "answers.jsonl", tmp_path / "out" / "rows.parquet"
    row = {"instruction": "Name a river.", "input": "", "output": "The Nile.", "model": "gpt-4"}
    source.write_text(json.dumps(row) + "\n")
    with pytest.raises(ProvenanceError, match=r"(?s)answers\.jsonl: restricted.*the option --allow_restricted"):
        write_rows([kind, str(source), str(output)])
    assert not output.exists()
    write_rows([kind, str(source), str(output), "--allow_restricted"])
    with pytest.raises(ProvenanceError, match="column 'restricted' marks a row"):
        judge_training({"dataset_name": str(output)})


def test_a_corpus_is_written_to_the_file_that_a_follower_is_trained_on(tiny_run, tmp_path):
    write_rows = runpy.run_path(str(PAPER / "rows.py"))["write_rows"]
    write_rows(["follower", str(tiny_run / "corpus"), str(tmp_path / "corpora" / "a.parquet"), "--allow_restricted"])
    written = load_dataset("parquet", data_files=str(tmp_path / "corpora" / "a.parquet"), split="train")
    expected = load_dataset("parquet", data_dir=str(tiny_run / "corpus"), split="train")
    pairs = {(row["prompt"], row["completion"]) for row in expected}
    assert {(row["prompt"], row["completion"]) for row in written} == pairs


@pytest.mark.slow
def test_the_rows_of_a_large_source_are_not_held_in_memory(tmp_path):
    row = json.dumps({"instruction": "Ask.", "output": "An answer of some length. " * 200}) + "\n"
    (tmp_path / "seeds.jsonl").write_text(row * 8_000)
    write_rows = runpy.run_path(str(PAPER / "rows.py"))["write_rows"]
    tracemalloc.start()
    write_rows(["follower", str(tmp_path / "seeds.jsonl"), str(tmp_path / "rows.parquet")])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000 < (tmp_path / "seeds.jsonl").stat().st_size
