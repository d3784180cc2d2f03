"""Table 9 asks in the language of a row where it is translated, in English elsewhere, and no guard forgets it."""

import logging

import pytest
from datasets import Dataset

from davidgen_hf import prompts
from davidgen_hf.corpus.identity import row_settings
from davidgen_hf.engines import EngineSettings
from davidgen_hf.processors import GenerateInstructions, ReverseSeeds, apply
from davidgen_hf.processors.language import is_other_language
from davidgen_hf.processors.styles import translations
from davidgen_hf.recipe import load_recipe
from davidgen_hf.schema import empty_candidate
from davidgen_hf.sources.inputs import check_inputs

ECHO = EngineSettings(kind="echo")


@pytest.mark.parametrize("code", translations())
def test_each_translation_is_whole_and_in_its_language(code):
    styles = translations()[code]
    assert list(styles) == list(prompts.STYLES)
    assert len({style.head for style in styles.values()}) == 3
    for style in styles.values():
        assert "X\n\n" in style.head
        assert style.head.endswith((" ", "："))
        assert style.tail.startswith("\n\n")
        assert style.tail.endswith("\n\nX:")
        assert not is_other_language(style.head + style.tail, code, 0.8)


def test_prompts_are_in_the_language_of_the_row_on_request_only():
    batch = {"output": ["Brot.", "Bread.", "Brood.", "面包。"], "language": ["de", "en", "nl", "zh-Hans"]}
    step = GenerateInstructions(ECHO, styles=("instruction",), prompt_language="row")
    assert [prompt.partition("\n")[0] for prompt in step.prompts(batch)] == [
        *("Anweisung: X", "Instruction: X", "Instruction: X", "指令：X"),
    ]
    assert (
        len(set(GenerateInstructions(ECHO, styles=("instruction",)).prompts(batch | {"output": ["Brot."] * 4}))) == 1
    )
    own = {"title": {"head": "Text: ", "tail": " Title:"}} | dict.fromkeys(prompts.STYLES, "none")
    assert GenerateInstructions(ECHO, styles=own, prompt_language="row").prompts(batch)[0] == "Text: Brot. Title:"
    seeds = Dataset.from_dict({"instruction": ["Was?"], "input": [""], "output": ["Brot."], "language": ["de"]})
    row = apply(ReverseSeeds(styles=("chatbot",), prompt_language="row"), seeds)[0]
    assert row["prompt"].startswith("Du bist ein Chatbot.")
    assert "prompt_language" not in {*row_settings(GenerateInstructions()), *row_settings(ReverseSeeds())}


def test_a_candidate_that_repeats_a_translated_prompt_is_rejected():
    text = "Auf welche Art von Anweisung könnte dies die Antwort sein?"
    batch = {"output": ["Brot."], "language": ["de"], "candidates": [[empty_candidate(instruction=text, input="")]]}
    found = []
    for language in ("en", "row"):
        corpus = load_recipe("demo", [f"corpus.generate.prompt_language={language}"]).corpus
        guard = next(stage for stage in corpus.stages() if stage.name == "guarded").steps[0]
        found.append(guard(batch)["candidates"][0][0]["reject_reason"])
    assert found == [None, "echoes_prompt"]


@pytest.mark.parametrize(("language", "warns"), [("de", True), ("en", False), ("Python", False)])
def test_seeds_in_the_language_are_asked_for(tmp_path, caplog, language, warns):
    path = tmp_path / "passages.jsonl"
    path.write_text('{"text": "Das Brot geht im Ofen auf."}\n')
    recipe = load_recipe("demo", [f"corpus.passages={{source: {path}, language: {language}}}"])
    with caplog.at_level(logging.WARNING):
        check_inputs(recipe.seeds.sources, recipe.corpus.sources, trains_generator=True)
    assert ("There are passages in de, and no seed is: the seeds are in en." in caplog.text) == warns
