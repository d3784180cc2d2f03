import json
import os

import pytest

from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.record import RunRecord, is_run, read_record


@pytest.mark.parametrize("model_file", ["config.json", "adapter_config.json"])
def test_a_trained_model_is_not_a_run(tmp_path, model_file):
    assert not is_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    assert is_run(tmp_path)
    (tmp_path / model_file).write_text("{}")
    assert not is_run(tmp_path)


WHOLE = {
    "name": "mine",
    "recipe": {"corpus": {}},
    "steps": {
        "seeds": {"counts": {"read": 3}, "skipped": {"counts": {"null": 1}, "places": {"null": ["a:1"]}}},
        "evaluation": {"held_out": 0},
    },
    "of a later version": [1],
}


def test_a_record_is_read_as_it_was_written(tmp_path):
    RunRecord(tmp_path, WHOLE).save()
    assert read_record(tmp_path) == WHOLE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": []}, "recipe: Input should be an object"),
        ({"recipe": {"corpus": [1]}}, "recipe.corpus: Input should be an object"),
        ({"steps": None}, "steps: "),
        ({"steps": {"corpus": None}}, "steps: corpus is null"),
        ({"steps": {"corpus": {}}}, "steps.corpus.counts: Field required"),
        ({"steps": {"seeds": {"counts": {"read": "3"}, "skipped": {"counts": {}, "places": {}}}}}, "counts.read"),
        ({"steps": {"evaluation": {"held_out": 4}}}, "there are held-out seeds and no scores"),
        ({"steps": {"generator": {"rows": {}, "steps": 1, "loss_start": "a", "loss_end": 1}}}, "loss_start"),
        ({"name": 5}, "name: Input should be a valid string"),
    ],
)
def test_a_damaged_record_names_its_place(tmp_path, change, message):
    (tmp_path / "run.json").write_text(json.dumps(WHOLE | change))
    with pytest.raises(RunFolderError) as refused:
        read_record(tmp_path)
    assert message in str(refused.value)
    assert "this one is damaged. Put back a copy of it." in str(refused.value)


@pytest.mark.parametrize(
    "content", ["", "[]", "null", "[" * 100_000, '{"name": ' + "9" * 5000 + "}", '{"name": "\\ud800"}']
)
def test_what_is_not_a_record(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunFolderError, match="this one is damaged"):
        read_record(tmp_path)


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(RunFolderError, match=r"is not a run folder: it has no run\.json"):
        read_record(tmp_path)


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(RunFolderError, match="cannot be read: File name too long"):
        read_record(tmp_path / ("n" * 300))
