"""What the packages of others add is found, checked and judged as what davidgen_hf ships."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from davidgen_hf import plugins
from davidgen_hf.cli import app
from davidgen_hf.corpus.identity import row_settings
from davidgen_hf.engines import EngineSettings, settings
from davidgen_hf.errors import InputError, ProvenanceError, SettingError
from davidgen_hf.evaluation import benchmark
from davidgen_hf.evaluation.command import Evaluation, evaluate_all
from davidgen_hf.evaluation.harness import HarnessSettings
from davidgen_hf.evaluation.table import write_comparison
from davidgen_hf.recipe import load_recipe
from davidgen_hf.run.provenance import Pins, judge, pin
from davidgen_hf.run.record import open_record
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages

PACKAGE = Path(__file__).parent / "fixtures" / "rivers_plugin"
CACHES = (
    plugins._installed,
    plugins._found,
    settings._class,
    benchmark.benchmark_table,
    benchmark.benchmarks,
    benchmark.task_folders,
)


def describe(folder: Path, name: str, entry_points: dict[str, dict[str, str]]) -> None:
    """Write what an installed package says of itself."""
    about = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    groups = ([f"[{group}]", *(f"{one} = {value}" for one, value in of.items())] for group, of in entry_points.items())
    (about / "entry_points.txt").write_text("\n".join(line for lines in groups for line in lines))


def install(folder: Path, package: Path) -> None:
    about = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
    shutil.copytree(package, folder, dirs_exist_ok=True)
    describe(folder, about["name"], about["entry-points"])


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for one in [name for name in sys.modules if name.startswith("davidgen_rivers")]:
        del sys.modules[one]


@pytest.fixture
def fresh():
    """Forget what is installed before a test, and after it."""

    def forget() -> None:
        for cached in CACHES:
            cached.cache_clear()

    forget()
    yield forget
    forget()


def recipe(*overrides: str):
    echo = [f"corpus.{step}.engine={{kind: echo, model: echo}}" for step in ("limit", "generate", "score")]
    return load_recipe("demo", [*echo, *overrides])


def test_each_kind_is_found_checked_pinned_and_judged(site, fresh, tmp_path):
    install(site, PACKAGE)
    fresh()
    listed = CliRunner().invoke(app, ["plugins"])
    assert listed.exit_code == 0
    assert listed.output.count("# davidgen-rivers==1.2\n") == 7
    assert "engines     letters             davidgen_rivers:LettersSettings" in listed.output

    mine = recipe(
        "corpus.method=plain",
        "corpus.passages.source=rivers",
        "corpus.extract={own: {shout: {min_chars: 2, engine: {kind: letters}}}}",
    )
    assert type(mine.corpus).__name__ == "Plain"
    (step,) = mine.corpus.extract.strategies()
    assert (type(step).__name__, step.min_chars, step.engine.alphabet) == ("Shout", 2, "latin")
    for wrong, message in (
        ("corpus.quiet=true", "quiet: unknown key"),
        ("corpus.extract={own: {shout: {min_chars: two}}}", "shout: min_chars: input should be a valid integer"),
        ("corpus.score.engine={kind: letters, alphabet: 7}", "alphabet"),
    ):
        with pytest.raises(SettingError, match=message):
            recipe("corpus.method=plain", wrong)
    # Of its settings, those that change no row do not count.
    engine = EngineSettings(kind="letters", base_url="http://127.0.0.1:1/v1")
    assert row_settings(engine) == row_settings(replace(engine, base_url="http://127.0.0.1:2/v1"))

    rows = list(read_passages(PassageSource(source="rivers", config="long", split="test"), Skipped()))
    assert [row["id"] for row in rows] == ["test-Amur", "test-Congo"]
    assert {row["revision"] for row in rows} == {"davidgen-rivers==1.2"}
    with pytest.raises(
        InputError, match=r"rivers is to be read by davidgen-rivers==1\.1, and davidgen-rivers==1\.2 is installed"
    ):
        list(read_passages(PassageSource(source="rivers", revision="davidgen-rivers==1.1"), Skipped()))

    pinned = pin(mine, Pins(None), ("corpus",))
    parts = {part.name: part for part in judge(pinned, Pins(None), ("corpus",)).parts}
    assert parts["rivers"].revision == "davidgen-rivers==1.2"
    assert (parts["rivers"].answer, parts["letters"].answer) == ("unknown", "unknown")
    assert "It counts letters." in parts["letters"].reason
    with pytest.raises(ProvenanceError, match=r"letters: unknown(.|\n)*rivers: unknown"):
        judge(replace(pinned, provenance=replace(mine.provenance, undeclared="stop")), Pins(None), ("corpus",))
    assert open_record(mine, tmp_path / "run").content["versions"]["davidgen-rivers"] == "1.2"


def test_a_benchmark_of_a_plugin_is_evaluated_like_ours(site, fresh, tmp_path, monkeypatch):
    install(site, PACKAGE)
    fresh()
    monkeypatch.setattr("davidgen_hf.evaluation.tasks.HF_HOME", str(tmp_path / "cache"))
    data, answers = tmp_path / "lengths.jsonl", tmp_path / "answers.jsonl"
    data.write_text(json.dumps({"id": "amur", "question": "How long is the Amur?", "length": "2824"}) + "\n")
    answers.write_text(json.dumps({"id": "amur", "prediction": "2824"}) + "\n")
    evaluation = Evaluation(("davidgen_lengths",), {"lengths": data}, output=tmp_path / "out", method="mine")
    list(evaluate_all([], answers, evaluation, HarnessSettings()))
    table = write_comparison([tmp_path / "out"])
    assert "| Lengths |" in table
    assert "**1.00**" in table


def test_names_that_are_taken_and_plugins_that_are_broken_are_told_apart(site, fresh):
    describe(site, "one", {"davidgen.engines": {"echo": "one:Echo", "dim": "no_such_module:Dim"}})
    describe(site, "two", {"davidgen.methods": {"twice": "one:A", "My-Method": "json:loads", "words": "json:loads"}})
    describe(site, "three", {"davidgen.methods": {"twice": "three:B"}, "davidgen.sources": {"embedded": "json:loads"}})
    fresh()
    assert EngineSettings().kind == "transformers"  # nobody names the broken ones
    ran = CliRunner().invoke(app, ["plugins"])
    problems = str(ran.exception)
    for line in (
        "davidgen_hf and one==1.2 (one:Echo) both claim the name 'echo' of the group davidgen.engines.",
        "'dim' of the group davidgen.engines, which cannot be imported: ModuleNotFoundError",
        "three==1.2 (three:B) and two==1.2 (one:A) both claim the name 'twice'",
        "two==1.2 (json:loads) adds 'My-Method' of the group davidgen.methods. A name must consist of lowercase",
        "words is not a method",
        "davidgen_hf and three==1.2 (json:loads) both claim the name 'embedded'",
    ):
        assert line in problems
    with pytest.raises(SettingError, match="both claim the name 'echo'"):
        EngineSettings(kind="echo")
    with pytest.raises(SettingError, match="both claim the name 'twice'"):
        load_recipe("demo", ["corpus.method=twice"])
    with pytest.raises(SettingError, match=r"'dim' of the group davidgen\.engines, which cannot be imported"):
        load_recipe("demo", ["corpus.score.engine.kind=dim"])


@pytest.mark.slow
def test_a_package_that_pip_installed_runs(tmp_path):
    site = tmp_path / "site"
    copied = shutil.copytree(PACKAGE, tmp_path / "package")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, str(copied)], check=True)
    environment = os.environ | {"PYTHONPATH": str(site)}
    davidgen = [sys.executable, "-m", "davidgen_hf"]
    listed = subprocess.run([*davidgen, "plugins"], env=environment, capture_output=True, text=True, check=True)
    assert listed.stdout.count("davidgen-rivers==1.2") == 7
    echo = [f"corpus.{step}.engine={{kind: echo, model: echo}}" for step in ("limit", "generate", "score")]
    ran = subprocess.run(
        [
            *(*davidgen, "corpus", "demo", "--output", str(tmp_path / "run"), *echo),
            *("corpus.passages.source=rivers", "corpus.extract={last_line: {}}"),
            "corpus.guards={no_rivers: {word: Congo}, rules: {min_language_confidence: 1.01}}",
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["versions"]["davidgen-rivers"] == "1.2"
    assert record["steps"]["corpus"]["counts"]["fragments"]["fragments.last_line"] == 3
