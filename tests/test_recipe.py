"""A recipe gives the settings it names, and says precisely all that it refuses."""

import shutil
from pathlib import Path

import pytest

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.methods.back_translation import GuardSettings
from davidgen_hf.processors import ExtractSentence, KeepWhole
from davidgen_hf.recipe import FILES, load_recipe, shipped_recipes

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(RECIPES / "demo", tmp_path / "mine"))


def test_the_demo_recipe():
    recipe = load_recipe(RECIPES / "demo")
    assert (recipe.name, recipe.base_model) == ("demo", "embedded")
    assert recipe.corpus.extract.strategies() == [KeepWhole(), ExtractSentence(min_words=8)]
    assert (recipe.corpus.generate.n, recipe.corpus.guards) == (4, GuardSettings())


def test_a_shipped_recipe_is_found_by_name():
    assert "demo" in shipped_recipes()
    assert load_recipe("demo") == load_recipe(RECIPES / "demo")


def test_overrides_reach_every_section_and_the_record(folder):
    recipe = load_recipe(
        folder,
        [
            "corpus.generate.n=8",
            "corpus.generate.sampling.temperature=1",
            "corpus.guards=none",
            "generator.learning_rate=1e-4",
            "seeds.source.source=seeds.jsonl",
            "evaluation.max_new_tokens=7",
            "follower.seed=3",
        ],
    )
    assert (recipe.corpus.generate.n, recipe.corpus.generate.sampling.temperature) == (8, 1.0)
    assert (recipe.corpus.guards, recipe.generator["learning_rate"]) == ("none", 1e-4)
    assert (recipe.seeds.source.source, recipe.evaluation.max_new_tokens) == ("seeds.jsonl", 7)
    assert recipe.follower["seed"] == 3
    assert recipe.text["corpus"]["generate"]["n"] == 8


def test_engines_without_a_model_get_the_runs_own():
    settings = load_recipe("demo", ["corpus.score.engine.model=org/scorer", "corpus.extract.model={}"]).corpus
    filled = settings.with_models("base", "generator")
    assert filled.generate.engine.model == "generator"
    assert filled.score.engine.model == "org/scorer"
    assert (filled.limit.engine.model, filled.extract.model.engine.model) == ("base", "base")


def test_everything_wrong_is_shown_at_once(folder):
    with pytest.raises(SettingError) as refused:
        load_recipe(
            folder,
            [
                "seeds.held_outt=3",
                "seeds.reverse.inputs=drop",
                "generator.learning_rte=1",
                "corpus.generate.n=1.5",
                "corpus.generate.sampling.top_p=2",
                "corpus.generate.engine.kind=gpt",
                "corpus.guards.rules.max_wordz=1",
                "corpus.shard_rows=true",
                "follower.num_train_epochs=three",
                "follower.per_device_train_batch_size=0",
                "evaluation.max_new_tokens=none",
            ],
        )
    for message in (
        "1_seeds.yaml: 2 problem(s)",
        "held_outt: unknown key",
        "reverse: inputs must be one of ('append', 'omit', 'skip_row'), got 'drop'",
        "2_generator.yaml: 1 problem(s)",
        "learning_rte: unknown key; did you mean learning_rate?",
        "generate.n: input should be a valid integer, got 1.5",
        "generate.sampling: Sampling: top_p must be in (0, 1], got 2.0",
        "generate.engine: Engine settings: kind must be one of",
        "guards.rules.max_wordz: unknown key",
        "shard_rows: input should be a valid integer, got True",
        "num_train_epochs: input should be a valid number",
        "per_device_train_batch_size: input should be greater than or equal to 1, got 0",
        "max_new_tokens: input should be a valid integer, got 'none'",
    ):
        assert message in str(refused.value)


def test_a_selection_needs_its_scores():
    with pytest.raises(SettingError, match=r"Set score\.unconditional: true and score\.token_nll: true\."):
        load_recipe("demo", ["corpus.select={mask_copied_words: 4, max_ifd: 1}"])
    asked = ["corpus.select.mask_copied_words=4", "corpus.score.token_nll=true"]
    assert load_recipe("demo", asked).corpus.select.mask_copied_words == 4


@pytest.mark.parametrize("override", ["corpus.generate.n", "korpus.n=1", "corpus=1", "=1"])
def test_what_is_not_an_override(override):
    with pytest.raises(
        SettingError, match=r"is not an override\. An override is section\.key=value, where the section is one of"
    ):
        load_recipe("demo", [override])


def test_a_recipe_needs_a_strategy_and_a_model(folder):
    with pytest.raises(SettingError) as refused:
        load_recipe(folder, ["corpus.extract={}", "generator.model_name_or_path=null"])
    assert "extract names no strategy. Name one or more of whole" in str(refused.value)
    assert "2_generator.yaml: model_name_or_path: needed" in str(refused.value)


def test_a_missing_folder_lists_what_there_is():
    with pytest.raises(
        InputError, match=r"There is no recipe folder 'nowhere'.*that comes with the package: \[.*'demo'"
    ):
        load_recipe("nowhere")


def test_a_folder_without_all_files(folder):
    (folder / FILES["corpus"]).unlink()
    with pytest.raises(InputError, match=r"is not a recipe: it lacks \['3_corpus\.yaml'\]"):
        load_recipe(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "line 1, column 6: expected ',' or ']'"),
        (b"- a\n", "its top level is a list"),
        (b"a: \xff", "cannot be read"),
    ],
)
def test_a_broken_file(folder, content, message):
    (folder / FILES["seeds"]).write_bytes(content)
    with pytest.raises((SettingError, InputError), match=message):
        load_recipe(folder)


def test_every_recipe_folder_is_read():
    folders = {path.parent for name in (FILES["corpus"], "recipe.yaml") for path in RECIPES.rglob(name)}
    read = {one.name: one for one in map(load_recipe, folders)}
    assert sorted(read) == ["code", "demo", "math", "self_instruct", "small", "supervised", "unsupervised"]
    supervised, unsupervised = read["supervised"], read["unsupervised"]
    assert [source.max_rows for source in supervised.corpus.sources] == [13500]
    assert [source.max_rows for source in unsupervised.corpus.sources] == [9000, 4500]
    # Seeds and passages of one dataset are kept apart; the unsupervised corpus has the generator of the 175 seeds.
    assert [(one.fold, one.max_rows) for one in supervised.seeds.sources] == [("0/2", 13500)]
    assert [one.fold for one in supervised.corpus.sources] == ["1/2"]
    assert [one.source for one in unsupervised.seeds.sources] == ["seed_tasks.jsonl"]


def test_an_item_of_a_list_is_set_by_its_number_and_a_source_takes_the_place_of_all():
    paper = RECIPES / "paper" / "corpora" / "unsupervised"
    asked = load_recipe(paper, ["corpus.passages.1.max_rows=3", "seeds.source.source=seeds.jsonl"])
    assert [source.max_rows for source in asked.corpus.sources] == [9000, 3]
    assert [source.source for source in asked.seeds.sources] == ["seeds.jsonl"]
    for wrong in ("corpus.passages.max_rows=3", "corpus.passages.2.max_rows=3"):
        with pytest.raises(SettingError, match=r"a list of 2 there\. Say which is meant with a number from 0 to 1"):
            load_recipe(paper, [wrong])
    with pytest.raises(SettingError, match=r"passages\.0\.max_rowz: unknown key"):
        load_recipe(paper, ["corpus.passages.0.max_rowz=3"])


def test_two_sources_of_one_name_are_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "texts.jsonl").touch()
    sources = f"[{{source: {tmp_path}/a/texts.jsonl}}, {{source: {tmp_path}/b/texts.jsonl}}]"
    with pytest.raises(SettingError, match=r"passages has the sources \['texts.jsonl', 'texts.jsonl'\]"):
        load_recipe("demo", [f"corpus.passages={sources}"])
