"""A study with a tiny model: arms share what is the same, a second call does nothing, a killed one resumes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from davidgen_hf.cli import app
from davidgen_hf.errors import DavidgenError, InputError, RunFolderError, SettingError
from davidgen_hf.study import Asked, read_study, run_study
from davidgen_hf.study.measures import compare

ROOT = Path(__file__).parents[2]
ARMS = ("base_model", "guards", "random", "no_guards", "seeds_alone")


@pytest.fixture(scope="module")
def words(tiny_llama, tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("study")
    house = "The house number {} stands by the river. It was built long ago, and {} people live in it."
    passages = [{"id": f"p{n}", "text": house.format(n, n), "license": "CC BY 4.0"} for n in range(6)]
    seeds = [{"instruction": f"Name {n} rivers.", "output": f"The Nile and {n} more."} for n in range(8)]
    for name, rows in (("passages", passages), ("seeds", seeds), ("tasks", seeds[:5])):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    asked = [f"corpus.passages.source={folder}/passages.jsonl", f"seeds.source.source={folder}/seeds.jsonl"]
    asked += ["corpus.shard_rows=3", "corpus.limit.max_tokens=100", "corpus.generate.sampling.max_new_tokens=8"]
    asked += ["corpus.generate.styles=[instruction]", "corpus.guards.rules={min_language_confidence: 1.0}"]
    for step in ("generator", "follower"):
        asked += [f"{step}.{one}" for one in (f"model_name_or_path={tiny_llama}", "max_steps=2", "bf16=false")]
    return [*asked, str(folder / "tasks.jsonl")]


@pytest.fixture(scope="module")
def study():
    return read_study(ROOT / "recipes" / "study")


def without_guards(overrides: list[str]) -> list[str]:
    return [one for one in overrides if "guards" not in one]


@pytest.fixture(scope="module")
def finished(study, words, tmp_path_factory) -> tuple[Path, dict, list[str]]:
    output = tmp_path_factory.mktemp("finished") / "study"
    asked = Asked(without_guards(words[:-1]), {"rivers": Path(words[-1])}, ARMS, answered=2, max_new_tokens=4)
    said: list[str] = []
    return output, run_study(study, output, asked, said.append), said


def test_arms_are_compared_on_the_same_tasks(finished):
    output, content, _ = finished
    assert list(content["arms"]) == list(ARMS)
    assert json.loads((output / "study.json").read_text()) == content
    for name, arm in content["arms"].items():
        found = arm["tasks"]["rivers"]
        assert found["perplexity"]["n"] == 5
        assert found["perplexity"]["value"] > 1
        assert 0 <= found["rouge_l"]["value"] <= 100
        assert (found["nats"] is None) == (name == "random")
        assert (arm["corpus"] is None) == (name in ("base_model", "seeds_alone"))
    assert "| `no_guards`: lowest perplexity without guards (the paper) | 1 |" in (output / "study.md").read_text()
    assert (output / "rivers.png").read_bytes()[:4] == b"\x89PNG"


def test_arms_share_what_they_have_in_common(finished):
    output, _, _ = finished
    files = {name: output / "arms" / name / "seed_0" for name in ("guards", "random", "no_guards", "seeds_alone")}

    def inode(name: str, file: str) -> int:
        return (files[name] / file).stat().st_ino

    for file in ("generator/model.safetensors", "candidates/00000.parquet", "fragments/00000.parquet"):
        assert inode("random", file) == inode("guards", file) == inode("no_guards", file)
    assert inode("random", "scored/00000.parquet") == inode("guards", "scored/00000.parquet")
    assert inode("random", "corpus/00000.parquet") != inode("guards", "corpus/00000.parquet")
    assert inode("seeds_alone", "generator/model.safetensors") != inode("guards", "generator/model.safetensors")
    assert not (files["seeds_alone"] / "follower").exists()


def test_a_second_call_does_nothing_and_a_change_is_noticed(finished, study, words):
    output, content, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (output / "arms").rglob("*") if path.is_file()}
    asked = Asked(without_guards(words[:-1]), {"rivers": Path(words[-1])}, ARMS, answered=2, max_new_tokens=4)
    said: list[str] = []
    assert run_study(study, output, asked, said.append) == content
    assert all(line.endswith("measured before") for line in said)
    assert before == {path: path.stat().st_mtime_ns for path in (output / "arms").rglob("*") if path.is_file()}
    fewer = Asked(asked.overrides, asked.tasks, ("base_model",), limit=3, answered=2, max_new_tokens=4)
    again = run_study(study, output, fewer, said.append)
    assert again["arms"]["base_model"]["tasks"]["rivers"]["perplexity"]["n"] == 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_study_resumes_with_the_same_table(finished, words, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from davidgen_hf.study import Asked, read_study, run_study\n"
        f"asked = Asked(sys.argv[3:], {{'rivers': Path({words[-1]!r})}}, {ARMS!r}, answered=2, max_new_tokens=4)\n"
        "run_study(read_study(Path(sys.argv[1])), Path(sys.argv[2]), asked, lambda line: None)\n"
    )
    call = [sys.executable, "-c", code, ROOT / "recipes" / "study", tmp_path / "study", *without_guards(words[:-1])]
    for seconds in (14, 20, 26):
        killed = subprocess.Popen(call, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    ended = subprocess.run(call, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr

    def measured(output: Path) -> dict:
        content = json.loads((output / "study.json").read_text())
        return {name: (arm["corpus"], arm["tasks"]) for name, arm in content["arms"].items()}

    found, expected = measured(tmp_path / "study"), measured(finished[0])
    del found["base_model"], expected["base_model"]  # another test limits its tasks
    assert found == expected


def test_mistakes_show_before_anything_runs(study, words, tmp_path):
    tasks = {"rivers": Path(words[-1])}
    with pytest.raises(SettingError, match=r"There is no arm best\. The study has base_model, guards"):
        run_study(study, tmp_path / "out", Asked([], tasks, ("best",)), lambda _: None)
    with pytest.raises(SettingError, match="no tasks or no seeds"):
        Asked([], {})
    (tmp_path / "study.yaml").write_text("reference: a\narms: {b: {about: x, recipe: demo, like: c}}")
    with pytest.raises(SettingError, match=r"names the arms a, c, which it does not have"):
        read_study(tmp_path)
    with pytest.raises(DavidgenError, match=r"study\.yaml"):
        read_study(tmp_path / "nowhere")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match=r"empty\.jsonl"):
        run_study(study, tmp_path / "out", Asked([], {"none": tmp_path / "empty.jsonl"}), lambda _: None)
    assert not (tmp_path / "out").exists()
    for options, said in (
        (("--tasks", "rivers"), "names no file"),
        (("--seeds", "0,x"), "--seeds is '0,x'"),
        (("corpus.generate.m=3",), r"m: unknown key"),
    ):
        found = CliRunner().invoke(app, ["study", str(ROOT / "recipes" / "study"), *options])
        assert said in str(found.exception)
    (tmp_path / "measures").mkdir()
    (tmp_path / "measures" / "base_model_0.json").write_text("{")
    with pytest.raises(RunFolderError, match="Delete it, and the arm is measured again"):
        run_study(study, tmp_path, Asked([], tasks, ("base_model",)), lambda _: None)


def test_every_arm_has_a_recipe_that_fits_the_options(study, words):
    for name in study.arms:
        assert study.recipe(name, ["corpus.passages.source=a.jsonl"], 1).follower["seed"] == (
            0 if name == "seeds_alone" else 1
        )


def test_differences_are_paired_and_weighted_by_tokens():
    reference = {"nll": [10.0, 30.0, None, 5.0], "n_tokens": [10, 10, None, 1], "rouge_l": [50.0, None]}
    arm = {"nll": [9.0, 28.0, 7.0, 5.0], "n_tokens": [10, 10, None, 1], "rouge_l": [60.0, 40.0]}
    found = compare([arm, arm], [reference, reference])
    assert found["nats"]["n"] == 3
    assert found["nats"]["value"] == pytest.approx(-3 / 21, abs=1e-4)
    low, high = found["nats"]["interval"]
    assert low <= found["nats"]["value"] <= high <= 0
    assert found["rouge_l_change"] == {"value": 10.0, "interval": [10.0, 10.0], "n": 1}
    assert compare([arm], None)["nats"] is None
