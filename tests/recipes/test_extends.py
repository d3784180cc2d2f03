"""A recipe that extends another one says only what differs, and every row of the paper's tables is one."""

import re
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from davidgen_hf import cli
from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.recipe import load_recipe, read_text, shipped_recipes
from davidgen_hf.run.run import run_recipe
from davidgen_hf.storage.shards import read_shards

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "recipes" / "paper"
TABLES = sorted(path for name in ("table_*", "figure_*", "models") for path in PAPER.glob(f"{name}/*.yaml"))


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write


def test_only_what_differs_changes(write):
    write("middle/recipe.yaml", "extends: demo\ncorpus: {generate: {n: 8, sampling: {top_k: 7}}}")
    variant = write("variant.yaml", "extends: middle\ncorpus: {generate: {n: 2}}\nfollower: {seed: 9}")
    recipe, demo = load_recipe(variant), load_recipe("demo")
    assert recipe.name == "variant"
    assert recipe.corpus.generate.n == 2
    assert recipe.corpus.generate.sampling.top_k == 7
    assert recipe.follower == demo.follower | {"seed": 9}
    assert (recipe.seeds, recipe.generator, recipe.corpus.guards) == (demo.seeds, demo.generator, demo.corpus.guards)


def test_lists_and_sources_are_replaced_and_null_leaves_out(write):
    two = "passages: [{source: a.jsonl, max_rows: 2}, {source: b.jsonl}]"
    base = write("base.yaml", f"extends: demo\ncorpus: {{{two}, extract: {{whole: {{}}, sentence: {{}}}}}}")
    variant = write(
        "variant.yaml",
        f"extends: {base}\ncorpus: {{passages: {{source: c.jsonl}}, extract: {{whole: null}}}}\n"
        "seeds: {source: {source: d.jsonl}}",
    )
    recipe = load_recipe(variant)
    assert [(one.source, one.max_rows) for one in recipe.corpus.sources] == [("c.jsonl", None)]
    assert [type(one).__name__ for one in recipe.corpus.extract.strategies()] == ["ExtractSentence"]
    assert recipe.seeds.source.source == "d.jsonl"


def test_numbered_files_next_to_the_recipe_change_a_section_too(write):
    write("mine/recipe.yaml", "extends: small")
    folder = write("mine/3_corpus.yaml", "generate: {n: 3}").parent
    assert load_recipe(folder).corpus.generate.n == 3


def test_show_names_the_file_of_each_value_and_writes_the_whole_recipe(write, tmp_path):
    variant = write("variant.yaml", "extends: demo\ncorpus: {generate: {n: 8}}")
    shown = CliRunner().invoke(cli.app, ["recipe", "show", str(variant), "corpus.generate.sampling.top_k=3"]).output
    assert f"corpus.generate.n=8  # {variant}\n" in shown
    assert re.search(r"^corpus\.extract\.whole=\{\}  # .*demo/3_corpus\.yaml$", shown, re.MULTILINE)
    assert "corpus.generate.sampling.top_k=3  # command line\n" in shown
    lines = [line.rpartition("  # ")[0] for line in shown.splitlines() if not line.startswith("provenance")]
    assert load_recipe("demo", lines).text == read_text(variant).sections | {
        "corpus": load_recipe(variant, ["corpus.generate.sampling.top_k=3"]).text["corpus"]
    }
    assert (
        not CliRunner().invoke(cli.app, ["recipe", "show", str(variant), "--output", str(tmp_path / "whole")]).output
    )
    assert load_recipe(tmp_path / "whole").text == load_recipe(variant).text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("extends: demo\ncorpsu: {}", r"unknown section\(s\) \['corpsu'\]"),
        ("extends: demo\ncorpus: {generate: {m: 3}}", "generate.m: unknown key"),
        ("extends: [demo]", "must be the path or name of another recipe"),
        ("corpus: {}", "must be the path or name of another recipe"),
        ("extends: demo\ncorpus: 3", "each section a mapping"),
        ("extends: variant.yaml", "extends itself"),
    ],
)
def test_what_is_wrong_is_named(write, text, problem):
    with pytest.raises(SettingError, match=problem):
        load_recipe(write("variant.yaml", text))


def test_a_recipe_that_is_not_there_is_named(write):
    with pytest.raises(InputError, match=r"no recipe folder 'nowhere'.*`davidgen recipe list` shows all"):
        load_recipe(write("variant.yaml", "extends: nowhere"))


def test_every_row_of_the_tables_is_a_recipe_and_stands_in_the_table():
    assert len(TABLES) == 34
    listed = (PAPER / "README.md").read_text("utf-8")
    for path in TABLES:
        load_recipe(path)
        assert f"`{path.relative_to(PAPER).as_posix()}`" in listed, path
    shown = CliRunner().invoke(cli.app, ["recipe", "list"]).output.split()
    assert shown == shipped_recipes()
    arms = [name for name in shown if name.startswith("study/")]
    assert "study/study.yaml" not in arms  # it names arms, and is none
    assert len(shown) == len(TABLES) + len(arms) + 7
    assert "paper/table_5/dolly.yaml" in shown


FAST = [
    "generator.gradient_accumulation_steps=1",
    "generator.max_steps=2",
    "generator.use_cpu=true",
    "generator.max_length=768",
    "follower.gradient_accumulation_steps=1",
    "follower.max_steps=2",
    "follower.use_cpu=true",
    "follower.max_length=768",
    "provenance.allow_restricted=true",
    "provenance.undeclared=record",
]
KINDS = {
    "unsupervised with the filter": "corpora/unsupervised",
    "supervised": "corpora/supervised",
    "no filter": "table_3/seed.yaml",
    "follower as generator": "table_3/following.yaml",
    "supervised, no filter": "table_4/seed.yaml",
    "another filtering model": "table_5/dolly.yaml",
    "keywords": "figure_3/keywords.yaml",
    "sentence": "figure_3/sentence.yaml",
    "extraction by a model": "figure_3/model.yaml",
    "follower on data as they are": "models/following_seed.yaml",
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_row_runs(kind, shared_data, embedded_model, tmp_path):
    """Run all steps on 20 passages, with real seeds and tasks and the embedded model."""
    seeds = shared_data / "self_instruct" / "seed_tasks.jsonl"
    overrides = [*FAST, *(f"{part}.model_name_or_path=embedded" for part in ("generator", "follower"))]
    supervised = "corpora/supervised" in KINDS[kind] or "table_4" in KINDS[kind]
    if supervised:
        overrides += [f"corpus.passages.0.source={shared_data / 'superni'}", "corpus.passages.0.max_rows=20"]
        overrides += ["corpus.passages.0.rows_per_task=2", "corpus.generate.sampling.max_new_tokens=128"]
    else:
        overrides += [f"corpus.passages.source={shared_data / 'passages' / 'enwiki.jsonl'}"]
        overrides += ["corpus.passages.max_rows=20", "corpus.passages.paragraphs={}"]
    if KINDS[kind] == "corpora/supervised":
        overrides += [f"seeds.source.source={shared_data / 'superni'}", "seeds.source.rows_per_task=8"]
        overrides += ["seeds.source.fold=0/2", "seeds.source.max_rows=160"]
        # It has to learn to write an input after the instruction, which two steps do not teach.
        overrides += ["generator.max_steps=40", "generator.learning_rate=1e-4"]
    else:
        overrides += [f"seeds.source.source={seeds}"]
    if "table_5" in KINDS[kind]:
        overrides += ["corpus.score.engine.model=embedded"]
    if "model.yaml" in KINDS[kind]:
        overrides += ["corpus.extract.model.engine.model=embedded"]
    started = time.perf_counter()
    until = ("seeds", "generator") if "models/" in KINDS[kind] else None
    record = run_recipe(load_recipe(PAPER / KINDS[kind], overrides), tmp_path / "run", lambda _: None, steps=until)
    seconds = time.perf_counter() - started
    if until:
        assert record.steps["generator"]["steps"] == 2
        sys.stdout.write(f"| {kind} | {KINDS[kind]} | - | - | {seconds:.0f} |\n")
        return
    pairs = read_shards(tmp_path / "run" / "corpus")
    assert 0 < len(pairs) <= 20
    known = [one for one in pairs["perplexity"] if one is not None]
    assert len(known) == (0 if "no filter" in kind or kind == "follower as generator" else len(pairs))
    if kind == "supervised":
        assert any(pairs["input"]), "no row has an input"
    mean = f"{sum(known) / len(known):.1f}" if known else "-"
    sys.stdout.write(f"| {kind} | {KINDS[kind]} | {len(pairs)} | {mean} | {seconds:.0f} |\n")
