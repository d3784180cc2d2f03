"""The documents cannot drift: blocks run, commands parse, links lead somewhere, what is generated is up to date.

A block whose language is followed by ``hub`` or ``gpu`` needs one of these; it is parsed only. ``slow`` ones run, but
not in every test run. The blocks of the first page and of adding a strategy have tests of their own.
"""

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import typer
import typer.cli
import yaml
from typer.testing import CliRunner

from davidgen_hf import cli, errors

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS, *sorted((ROOT / "recipes").rglob("README.md"))]
OTHERS = [
    *(ROOT / name for name in ("AGENTS.md", "SECURITY.md", "benchmarks/README.md")),
    *sorted((ROOT / "davidgen_hf" / "tasks").glob("*/README.md")),
    *sorted((ROOT / "skills").rglob("*.md")),
]
# What a reader makes: a copy of a recipe, and what a command builds.
YOURS = {"recipes/mine", "recipes/NAME", "docs/_build"}
# Options of typer, accelerate, lm-eval, the scripts under recipes/ and the benchmarks.
OPTIONS_OF_OTHERS = {
    *("--help", "--install-completion", "--show-completion", "--cpu", "--use_cpu", "--num_processes"),
    *("--include_path", "--log_samples", "--metadata", "--max_rows", "--dataset_name"),
    *("--device", "--random-weights", "--scale", "--tokenizer", "--parts", "--output"),
}
GENERATED = ROOT / "docs" / "commands.md"
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(document: Path, language: str, mark: str = "") -> list[str]:
    info = f"{language} {mark}" if mark else language
    return re.findall(rf"^```{info}\n(.*?)^```", document.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def commands(document: Path) -> list[str]:
    """Return the lines of all blocks of commands, those that need a GPU or the Hub too."""
    every = [block for mark in ("", "hub", "gpu", "slow", "run", "make") for block in blocks(document, "bash", mark)]
    return "\n".join(every).replace("\\\n", " ").splitlines()


@each_document
def test_python_blocks_run(document, embedded_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in blocks(document, "python"):
        exec(compile(block, str(document), "exec"), {})


@each_document
def test_commands_parse(document):
    for line in commands(document):
        words = shlex.split(line, comments=True)
        if words and words[0].endswith("davidgen"):
            command = typer.main.get_command(cli.app).commands[words[1]]
            command.make_context(words[1], words[2:], resilient_parsing=words[1] == "--help")


@each_document
def test_make_targets_and_links_exist(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", "\n".join(commands(document)), re.MULTILINE)) <= targets
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("https://") or (document.parent / link).exists(), link


@pytest.mark.parametrize("document", [*DOCUMENTS, *OTHERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_named_files_and_options_exist(document):
    """Look at inline code and at every block of commands, those for a GPU and the Hub too."""
    text = document.read_text("utf-8")
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    inline = " ".join(re.findall(r"`([^`\n]+)`", outside)).split()
    top = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "runs")))
    names = [word.strip("'\",()") for word in [*inline, *" ".join(commands(document)).split()]]
    paths = {name.partition("::")[0] for name in names if re.match(rf"({top})/[^*<{{]*$", name)}
    added = YOURS | set(re.findall(r"^`([^`\n]+)`", text, re.MULTILINE) if document.stem.startswith("add_") else ())
    assert [path for path in sorted(paths - added) if not (ROOT / path).exists()] == []
    ours = {
        option
        for command in typer.main.get_command(cli.app).commands.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word for word in inline if re.fullmatch(r"--[a-z][\w-]*", word)} <= ours | OPTIONS_OF_OTHERS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_block_has_a_mark_that_no_test_knows(document):
    known = {"", "hub", "gpu", "slow", "file", "line", "test", "make", "texts", "run", "look"}
    marks = re.findall(r"^```(?:python|bash) ?(\w*)", document.read_text("utf-8"), re.MULTILINE)
    assert set(marks) <= known


def test_the_readme_has_blocks_to_run():
    assert len(blocks(ROOT / "README.md", "python")) >= 1
    assert "make demo" in "\n".join(blocks(ROOT / "README.md", "bash"))


def test_the_command_reference_is_what_the_commands_say():
    written = CliRunner().invoke(typer.cli.app, ["davidgen_hf.cli", "utils", "docs", "--name", "davidgen"])
    assert GENERATED.read_text("utf-8").strip() == written.output.strip(), "run `make docs`"


def test_every_public_error_has_its_cause_and_cure():
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    public = [
        name
        for name, _ in inspect.getmembers(errors, inspect.isclass)
        if name.endswith("Error") and name != "DavidgenError"
    ]
    assert [name for name in public if f"### {name}" not in text] == []


# The file that each page adds, and the table and its entry after which the page's line comes.
EXTENSIONS = {
    "add_a_strategy": ("processors/last_sentence.py", "methods/back_translation.py", '        "model": "'),
    "add_a_guard": ("processors/min_length.py", "methods/back_translation.py", '        "decontaminate": "'),
    "add_an_engine": ("engines/zlib_size.py", "engines/settings.py", '        "echo": "'),
    "add_a_method": ("methods/first_candidate.py", "methods/__init__.py", '        "back_translation": "'),
}


@pytest.mark.parametrize("page", EXTENSIONS)
def test_the_package_is_extended_as_the_page_says(page, tmp_path):
    """Add one file and one line to a copy of the package, as the page says, and run the page's test."""
    place, table, entry = EXTENSIONS[page]
    document = ROOT / "docs" / f"{page}.md"
    (file,), (line,), (test,) = (blocks(document, "python", mark) for mark in ("file", "line", "test"))
    assert f"`davidgen_hf/{place}`" in document.read_text("utf-8")
    assert f"`davidgen_hf/{table}`" in document.read_text("utf-8")
    assert line.count("\n") == 1
    copy_package(tmp_path)
    (tmp_path / "davidgen_hf" / place).write_text(file, "utf-8")
    text = (tmp_path / "davidgen_hf" / table).read_text("utf-8")
    text, changes = re.subn(rf"^{re.escape(entry)}.*\n", lambda found: found[0] + line, text, flags=re.MULTILINE)
    assert changes == 1
    (tmp_path / "davidgen_hf" / table).write_text(text, "utf-8")
    run_test_of_page(test, tmp_path)


def copy_package(folder: Path) -> None:
    for name in ("davidgen_hf", "recipes", "model_cards"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("recipes", "model_cards"):
        shutil.copytree(ROOT / name, folder / "davidgen_hf" / name)


def run_test_of_page(test: str, folder: Path) -> None:
    (folder / "test_page.py").write_text(test, "utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r"[23] passed", ran.stdout), ran.stdout + ran.stderr
    assert "failed" not in ran.stdout


def test_a_plugin_is_written_as_the_page_says(tmp_path):
    """Install the page's package as pip would describe it, and run the page's test."""
    document = ROOT / "docs" / "plugins.md"
    (about,), (file,), (test,) = (
        blocks(document, "toml"),
        *(blocks(document, "python", one) for one in ("file", "test")),
    )
    project = tomllib.loads(about)["project"]
    (tmp_path / "davidgen_titles.py").write_text(file, "utf-8")
    installed = tmp_path / "davidgen_titles-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    groups = (
        f"[{group}]\n" + "".join(f"{one} = {of[one]}\n" for one in of) for group, of in project["entry-points"].items()
    )
    (installed / "entry_points.txt").write_text("".join(groups))
    run_test_of_page(test, tmp_path)


def test_a_benchmark_is_added_as_the_page_says(tmp_path):
    """Put the page's folder into a copy of the package, and run the page's test."""
    document = ROOT / "docs" / "add_a_benchmark.md"
    description, utils = blocks(document, "python", "file")
    (task,), (test,), (line,) = blocks(document, "yaml"), blocks(document, "python", "test"), blocks(document, "text")
    copy_package(tmp_path)
    folder = tmp_path / "davidgen_hf" / "tasks" / "capitals"
    folder.mkdir()
    for name, content in (("__init__.py", description), ("davidgen_capitals.yaml", task), ("utils.py", utils)):
        assert f"`davidgen_hf/tasks/capitals/{name}`" in document.read_text("utf-8")
        (folder / name).write_text(content, "utf-8")
    assert line.replace("capitals", "vicuna") in (ROOT / "pyproject.toml").read_text("utf-8")
    run_test_of_page(test, tmp_path)


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="pip install 'davidgen-hf[docs]'")
    ran = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(ROOT / "docs"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "ScoreCandidates" in (tmp_path / "reference.html").read_text("utf-8")


def test_the_skill_names_commands_that_exist():
    text = (ROOT / "skills" / "davidgen" / "SKILL.md").read_text("utf-8")
    about = yaml.safe_load(text.split("---")[1])
    assert (about["name"], about["license"]) == ("davidgen", "Apache-2.0")
    assert 50 < len(about["description"]) <= 1024
    named = set(re.findall(r"`davidgen ([a-z]+)", text))
    assert len(named) >= 7
    assert named <= set(typer.main.get_command(cli.app).commands)


@pytest.mark.slow
def test_the_wheel_has_the_skill_and_the_recipes(tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"davidgen_hf/skills/davidgen/SKILL.md", "davidgen_hf/recipes/demo/3_corpus.yaml"} <= names
    assert "davidgen_hf/model_cards/corpus.md" in names


@pytest.fixture
def reader(tmp_path, declared_run, shared_data, monkeypatch) -> Path:
    """A folder as a reader has it: a finished run that was evaluated, the recipes, and some of SuperNI's tasks."""
    shutil.copytree(declared_run, tmp_path / "runs" / "mine")
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    (tmp_path / "natural-instructions").symlink_to(shared_data / "superni")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def call(block: str, folder: Path) -> None:
    ran = subprocess.run(
        ["bash", "-euc", block], cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert ran.returncode == 0, f"{block}\n{ran.stdout[-2000:]}\n{ran.stderr[-3000:]}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "document", [path for path in DOCS if path.stem != "first_corpus"], ids=lambda path: path.stem
)
def test_commands_run_as_they_stand(document, reader):
    text = document.read_text("utf-8")
    for block in re.findall(r"^```bash(?: slow)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        call(block, reader)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_first_corpus_is_made_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    text = (ROOT / "docs" / "first_corpus.md").read_text("utf-8")
    for language, block in re.findall(
        r"^```(bash run|python texts|python look)\n(.*?)^```", text, re.DOTALL | re.MULTILINE
    ):
        call(block if language == "bash run" else f"python - <<'EOF'\n{block}EOF", tmp_path)
    assert (tmp_path / "runs" / "mine" / "generator" / "model.safetensors").is_file()
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
