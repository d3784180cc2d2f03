"""A study with a tiny model: arms share what is the same, a second call does nothing, a killed one resumes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pandas import read_parquet
from typer.testing import CliRunner

from davidgen_hf.cli import app
from davidgen_hf.errors import DavidgenError, InputError, RunFolderError, SettingError
from davidgen_hf.study import StudySettings, read_study, run_study
from davidgen_hf.study.measures import compare, compare_corpora, describe_pairs
from davidgen_hf.study.table import judge

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
    settings = [f"corpus.passages.source={folder}/passages.jsonl", f"seeds.source.source={folder}/seeds.jsonl"]
    settings += ["corpus.shard_rows=3", "corpus.limit.max_tokens=100", "corpus.generate.sampling.max_new_tokens=8"]
    settings += ["corpus.generate.styles=[instruction]", "corpus.guards.rules={min_language_confidence: 1.0}"]
    for step in ("generator", "follower"):
        settings += [f"{step}.{one}" for one in (f"model_name_or_path={tiny_llama}", "max_steps=2", "bf16=false")]
    return [*settings, str(folder / "tasks.jsonl")]


@pytest.fixture(scope="module")
def study():
    return read_study(ROOT / "recipes" / "study")


def settings_of(words: list[str], **chosen) -> StudySettings:
    return StudySettings(without_rules(words[:-1]), {"rivers": Path(words[-1])}, max_new_tokens=4, **chosen)


def without_rules(overrides: list[str]) -> list[str]:
    return [one for one in overrides if "guards.rules" not in one]


@pytest.fixture(scope="module")
def finished(study, words, tmp_path_factory) -> tuple[Path, dict, list[str]]:
    output = tmp_path_factory.mktemp("finished") / "study"
    settings = settings_of(words, arms=ARMS, answered=2)
    said: list[str] = []
    return output, run_study(study, output, settings, said.append), said


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
    settings = settings_of(words, arms=ARMS, answered=2)
    said: list[str] = []
    assert run_study(study, output, settings, said.append) == content
    assert all(line.endswith("measured before") for line in said)
    assert before == {path: path.stat().st_mtime_ns for path in (output / "arms").rglob("*") if path.is_file()}
    fewer = StudySettings(
        settings.overrides, settings.tasks, arms=("base_model",), limit=3, answered=2, max_new_tokens=4
    )
    again = run_study(study, output, fewer, said.append)
    assert again["arms"]["base_model"]["tasks"]["rivers"]["perplexity"]["n"] == 3


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_study_resumes_with_the_same_table(finished, words, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from davidgen_hf.study import StudySettings, read_study, run_study\n"
        f"tasks, arms = {{'rivers': Path({words[-1]!r})}}, {ARMS!r}\n"
        "settings = StudySettings(sys.argv[3:], tasks, arms=arms, answered=2, max_new_tokens=4)\n"
        "run_study(read_study(Path(sys.argv[1])), Path(sys.argv[2]), settings, lambda line: None)\n"
    )
    call = [sys.executable, "-c", code, ROOT / "recipes" / "study", tmp_path / "study", *without_rules(words[:-1])]
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


@pytest.mark.timeout(300)
def test_processes_share_the_arms(finished, words, tmp_path):
    output = tmp_path / "study"
    command = [sys.executable, "-m", "davidgen_hf", "study", ROOT / "recipes" / "study", *without_rules(words[:-1])]
    command += ["--tasks", f"rivers={words[-1]}", "--output", output, "--arms", ",".join(ARMS), "--no-estimate"]
    parts = [
        subprocess.Popen(
            [*command, "--shard", f"{part}/2"],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for part in range(2)
    ]
    said = [part.communicate()[0] for part in parts]
    assert [part.returncode for part in parts] == [0, 0], said
    about = {name: f" {name}, seed 0: " for name in ARMS}
    lines = [line for text in said for line in text.splitlines()]
    for name, begun in about.items():
        found = [line for line in lines if begun in line]
        assert len(found) == 2
        assert sum("measured before" in line for line in found) == 1, name
    tables = [json.loads((folder / "study.json").read_text()) for folder in (output, finished[0])]
    found, expected = ({name: arm["corpus"] for name, arm in table["arms"].items()} for table in tables)
    assert found == expected
    assert list(found) == list(ARMS)
    one = subprocess.run([*command, "--shard", "2/2"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert one.returncode == 2
    assert "--shard" in one.stderr + one.stdout


def test_mistakes_show_before_anything_runs(study, words, tmp_path):
    tasks = {"rivers": Path(words[-1])}
    with pytest.raises(SettingError, match=r"There is no arm best\. The study has base_model, guards"):
        run_study(study, tmp_path / "out", StudySettings([], tasks, arms=("best",)), lambda _: None)
    with pytest.raises(SettingError, match="no tasks or no seeds"):
        StudySettings([], {})
    (tmp_path / "study.yaml").write_text("reference: a\narms: {b: {about: x, recipe: demo, like: c}}")
    with pytest.raises(SettingError, match=r"names the arms a, c, which it does not have"):
        read_study(tmp_path)
    with pytest.raises(DavidgenError, match=r"study\.yaml"):
        read_study(tmp_path / "nowhere")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match=r"empty\.jsonl"):
        run_study(study, tmp_path / "out", StudySettings([], {"none": tmp_path / "empty.jsonl"}), lambda _: None)
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
        run_study(study, tmp_path, StudySettings([], tasks, arms=("base_model",)), lambda _: None)


def test_every_arm_has_a_recipe_that_fits_the_options(study):
    given = study.given(Path("out"), {"superni_seeds": Path("s.jsonl"), "superni_outputs": Path("o.jsonl")}, 0)
    recipes = {name: study.recipe(name, ["corpus.passages.source=a.jsonl"], 1, given) for name in study.arms}
    assert {name for name, recipe in recipes.items() if recipe.follower["seed"] != 1} == {"seeds_alone"}
    assert recipes["supervised"].corpus.passages.source == str(Path("o.jsonl").resolve())
    assert recipes["supervised"].seeds.source.source == str(Path("s.jsonl").resolve())
    assert recipes["guards"].corpus.passages.source == "a.jsonl"
    tuned = recipes["scored_by_seeds"].corpus.score.engine.model
    assert tuned == str(Path("out/arms/seeds_alone/seed_0/generator").resolve())
    assert recipes["improved"].corpus.generate.engine.model.endswith("improved/improved/round_1/generator")


def test_arms_come_with_what_they_use(study):
    assert study.needed(["combined", "scored_by_seeds"]) == [
        "guards",
        "seeds_alone",
        "scored_by_seeds",
        "supervised",
        "combined",
    ]
    with pytest.raises(SettingError, match=r"supervised uses the file 'superni_.*Pass --data superni_.*=FILE"):
        study.recipe("supervised", [], 0, study.given(Path("out"), {}, 0))


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


def test_answers_are_added_to_likelihoods(finished, study, words, tmp_path, nltk_data):
    settings = settings_of(words, arms=("base_model",), limit=3)
    first = run_study(study, tmp_path, settings, lambda _: None)["arms"]["base_model"]["tasks"]["rivers"]
    assert first["rouge_l"] is None
    path = tmp_path / "measures" / "base_model_0.json"
    stored = json.loads(path.read_text())
    stored["tasks"]["rivers"]["nll"] = [1.0, 1.0, 1.0]  # would change if measured again
    path.write_text(json.dumps(stored))
    settings = replace(settings, answered=2)
    second = run_study(study, tmp_path, settings, lambda _: None)["arms"]["base_model"]["tasks"]["rivers"]
    assert second["rouge_l"]["n"] == second["meteor"]["n"] == second["exact_match"]["n"] == 2
    assert json.loads(path.read_text())["tasks"] == stored["tasks"]


def test_verdicts():
    def verdict(low: float, high: float, expects: str = "less", n: int = 100) -> tuple[str, int | None]:
        return judge({"value": (low + high) / 2, "interval": [low, high], "n": n}, expects, 0.01)

    assert verdict(-0.05, -0.02) == ("seen", None)
    assert verdict(0.02, 0.05) == ("reversed", None)
    assert verdict(0.02, 0.05, "more") == ("seen", None)
    assert verdict(-0.005, 0.007) == ("not seen", None)
    assert verdict(-0.007, -0.005) == ("seen, but too small to matter", None)
    assert verdict(0.002, 0.006) == ("reversed, but too small to matter", None)
    # Twice as wide as the difference: four times as many tasks.
    assert verdict(-0.75, 0.25) == ("undecided at this size", 400)
    assert verdict(-0.005, 0.007, "none") == ("seen", None)
    assert verdict(0.02, 0.05, "none") == ("not seen", None)
    assert judge({"value": 0.0, "interval": [-0.02, 0.02], "n": 100}, "none", 0.01) == ("undecided at this size", 400)
    assert verdict(-0.06, 0.02, "none") == ("undecided at this size", None)  # more tasks would not bring it inside


def test_corpora_are_compared_with_intervals():
    output = "one two three four five six seven eight nine ten"
    copied = describe_pairs({"instruction": f"{output} {n}", "output": output} for n in range(40))
    own = describe_pairs({"instruction": f"Say {n} and {n * 7} in words.", "output": output} for n in range(40))
    assert (copied["copies"], own["copies"]) == (1.0, 0.0)
    assert compare_corpora([copied], [own], "copies") == {"value": 1.0, "interval": [1.0, 1.0], "n": 40}
    found = compare_corpora([own], [copied], "distinct_2")
    low, high = found["interval"]
    assert 0 < low <= found["value"] <= high


def test_arms_use_the_models_and_pairs_of_others(study, words, tmp_path):
    arms = {name: study.arms[name].model_dump(exclude_defaults=True) for name in ("guards", "random", "seeds_alone")}
    arms["scored_by_seeds"] = study.arms["scored_by_seeds"].model_dump(exclude_defaults=True)
    arms["improved"] = study.arms["improved"].model_dump(exclude_defaults=True)
    arms["mixed"] = {"about": "both", "recipe": "base.yaml", "mixes": ["guards", "random"]}
    folder = tmp_path / "recipes"
    shutil.copytree(study.folder, folder)
    (folder / "study.yaml").write_text(yaml.safe_dump({"reference": "random", "arms": arms}, sort_keys=False))
    output = tmp_path / "study"
    settings = settings_of([*words[:-1], "corpus.guards=none", words[-1]])
    found = run_study(read_study(folder), output, settings, lambda _: None)["arms"]
    assert all(arm["tasks"]["rivers"]["perplexity"]["n"] == 5 for arm in found.values())
    runs = [output / "arms" / name / "seed_0" for name in ("guards", "scored_by_seeds", "improved")]
    perplexities = [read_parquet(run / "corpus")["perplexity"].tolist() for run in runs]
    assert perplexities[0] != perplexities[1]
    candidates = [(run / "candidates" / "00000.parquet").stat().st_ino for run in runs]
    assert candidates[0] != candidates[2]
    assert found["mixed"]["corpus"]["pairs"] == 2 * (found["guards"]["corpus"]["pairs"] // 2)
    said: list[str] = []
    run_study(read_study(folder), output, settings, said.append)
    assert all(line.endswith("measured before") for line in said)
    late = {name: arms[name] for name in ("guards", "mixed", "random")}
    (folder / "study.yaml").write_text(yaml.safe_dump({"reference": "guards", "arms": late}, sort_keys=False))
    with pytest.raises(SettingError, match="the arm mixed uses random, which stands after it"):
        read_study(folder)
