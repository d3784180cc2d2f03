"""A shard's identity depends on what decides its rows, and on nothing else."""

from dataclasses import replace

import pytest

from davidgen_hf.corpus.identity import row_settings, stage_identity
from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.settings import silent_settings
from davidgen_hf.methods import Stage
from davidgen_hf.processors import GenerateInstructions, GuardCandidates, ScoreCandidates, SelectInstruction

SERVER = EngineSettings(kind="server", model="m", base_url="http://127.0.0.1:8000/v1")
OTHER = {
    "device": "cpu",
    "max_batch_tokens": 7,
    "memory_share": 0.1,
    "base_url": "http://127.0.0.1:9000/v1",
    "concurrency": 2,
    "timeout_seconds": 1.0,
}


def identity(engine: EngineSettings) -> str:
    return stage_identity(Stage("candidates", (GenerateInstructions(engine),)))


def test_settings_that_change_no_row_are_all_covered():
    assert set(OTHER) == silent_settings()


@pytest.mark.parametrize(("name", "value"), OTHER.items())
def test_where_and_how_fast_does_not_count(name, value):
    assert identity(replace(SERVER, **{name: value})) == identity(SERVER)


@pytest.mark.parametrize(("name", "value"), [("model", "n"), ("revision", "main"), ("max_length", 100)])
def test_what_changes_rows_counts(name, value):
    assert identity(replace(SERVER, **{name: value})) != identity(SERVER)


def test_the_class_the_version_and_the_stage_count():
    step = ScoreCandidates(SERVER)
    found = [
        stage_identity(Stage("scored", (step,))),
        stage_identity(Stage("other", (step,))),
        stage_identity(Stage("scored", (replace(step, version=step.version + 1),))),
        stage_identity(Stage("scored", (step, step))),
        stage_identity(Stage("scored", (GenerateInstructions(SERVER),))),
    ]
    assert len(set(found)) == len(found)


def test_a_setting_that_was_added_later_counts_only_if_it_is_set():
    step = GenerateInstructions(SERVER)
    plain = row_settings(step)
    assert "prompt_format" not in plain
    assert row_settings(replace(step, prompt_format="following")) == plain | {"prompt_format": "following"}


def test_settings_that_were_added_count_only_where_they_are_used():
    """Otherwise the shards of earlier versions would be rebuilt; these are their identities."""
    before = {
        "echo": (GenerateInstructions(EngineSettings(kind="echo")), "68ba3a14d65e79d213077076115db2fb"),
        "guarded": (GuardCandidates(), "86c350b8f95ef12eac67804e1a3c2908"),
        "corpus": (SelectInstruction(), "ab3299dc2edd2c66f04cddba65885bf8"),
    }
    assert {name: stage_identity(Stage(name, (step,))) for name, (step, _) in before.items()} == {
        name: known for name, (_, known) in before.items()
    }
    own = {"summary": {"head": "Text: ", "tail": " In short:"}}
    used = [
        *(SelectInstruction(keep=2), SelectInstruction(choose="random"), SelectInstruction(seed=1)),
        *(SelectInstruction(near_duplicates={"threshold": 0.5}), GuardCandidates(own_prompts=("Text: ",))),
        *(GenerateInstructions(n=4, styles_per_passage=2), GenerateInstructions(n=4, styles=own), SelectInstruction()),
        GenerateInstructions(n=4, styles={"summary": {"head": "Text: ", "tail": " In one line:"}}),
    ]
    assert len({stage_identity(Stage("corpus", (step,))) for step in used}) == len(used)
