"""What a run was asked for, as its cards show it."""

from collections import Counter

from davidgen_hf.publish.cards.facts import describe_run, settings_of
from davidgen_hf.publish.cards.rows import RowFacts
from davidgen_hf.recipe import load_recipe


def record_of(*overrides: str) -> dict:
    recipe = load_recipe("demo", list(overrides))
    steps = {"corpus": {"seconds": 1.5}}
    return {"name": recipe.name, "recipe": recipe.text, "versions": {"python": "3"}, "steps": steps}


def test_several_sources_are_numbered():
    settings = dict(settings_of(record_of("corpus.passages=[{source: a.jsonl}, {source: b.jsonl, max_rows: 3}]")))
    assert "1.source = a.jsonl" in settings["passages"]
    assert "2.source = b.jsonl" in settings["passages"]
    assert "2.max_rows = 3" in settings["passages"]


def test_defaults_are_shown_and_speed_settings_are_not():
    settings = dict(settings_of(record_of()))
    assert "sampling.top_k = 40" in settings["generate"]
    assert "reserve_tokens" in settings["limit"]
    assert "max_batch_tokens" not in settings["generate"]
    assert "train the generator" not in settings


def test_the_command_is_quoted_for_a_shell():
    command = describe_run(record_of(), "recipes/my run; rm x")["command"]
    assert command == "davidgen corpus 'recipes/my run; rm x' --output 'runs/my run; rm x'"


def test_languages_are_codes_however_the_rows_write_them():
    written = ["en", "en_US", "eng_Latn", "English", "zh-Hant", "deu", "und", "Python", "", None]
    assert RowFacts(languages=Counter(written)).iso_languages == ["code", "de", "en", "zh"]
