"""A corpus made in parts by calls that know nothing of each other is the one that a single call makes."""

import json
from pathlib import Path

import pytest

from davidgen_hf.errors import FolderBusyError, InputError, SettingError
from davidgen_hf.recipe import load_recipe, steps_until
from davidgen_hf.run.run import run_part, run_recipe
from davidgen_hf.run.summary import describe_missing
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.shards import Part, read_shards, shard_paths

ECHO = "engine={kind: echo, model: echo}"
TEXT = "The house number {} stands by the river. It was built long ago, and {} people live in it."


@pytest.fixture
def recipe(tmp_path):
    rows = [json.dumps({"text": TEXT.format(n, n)}) for n in range(11)] + [json.dumps({"text": None})]
    (tmp_path / "p.jsonl").write_text("\n".join(rows))
    steps = [f"corpus.{step}.{ECHO}" for step in ("limit", "generate", "score")]
    return load_recipe("demo", [f"corpus.passages.source={tmp_path}/p.jsonl", "corpus.shard_rows=2", *steps])


def corpus_of(recipe, folder: Path) -> dict:
    run_recipe(recipe, folder, lambda _: None, steps=("corpus",))
    return {stage: read_shards(folder / stage)[:] for stage in [one.name for one in recipe.corpus.stages()]}


def test_parts_in_any_order_make_the_corpus_of_one_call(recipe, tmp_path):
    whole = corpus_of(recipe, tmp_path / "whole")
    parts = [Part(number, 3) for number in range(3)]
    folder = tmp_path / "parts"
    # 6 shards, two a part; the last to come finds all guarded, compares them, and goes on with its own
    assert [run_part(recipe, folder, parts[number]) for number in (1, 0, 2)] == [
        {"guarded": 4},
        {"guarded": 2},
        {"corpus": 4},
    ]
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    assert [run_part(recipe, folder, part) for part in parts] == [{"corpus": 2}, {}, {}]
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert {stage: read_shards(folder / stage)[:] for stage in whole} == whole
    assert [path.name for path in shard_paths(folder / "corpus")] == [f"{number:05d}.parquet" for number in range(6)]


def test_a_call_for_the_whole_takes_up_what_parts_made(recipe, tmp_path):
    run_part(recipe, tmp_path / "parts", Part(1, 2))
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").rglob("*.parquet")}
    assert corpus_of(recipe, tmp_path / "parts") == corpus_of(recipe, tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_while_another_part_compares_a_part_ends_before(recipe, tmp_path):
    folder = tmp_path / "run"
    run_part(recipe, folder, Part(0, 2))
    with hold(folder / "unique"):
        assert run_part(recipe, folder, Part(1, 2)) == {"guarded": 6}
    assert run_part(recipe, folder, Part(1, 2)) == {"corpus": 3}


def test_parts_and_a_call_for_the_whole_keep_off_each_other(recipe, tmp_path):
    with hold(tmp_path / "run", "0/2"):
        with pytest.raises(FolderBusyError, match="is in use: process"):
            run_part(recipe, tmp_path / "run", Part(0, 2))
        with pytest.raises(FolderBusyError, match="is in use: process"):
            run_recipe(recipe, tmp_path / "run", lambda _: None, steps=("corpus",))
        assert run_part(recipe, tmp_path / "run", Part(1, 2)) == {"guarded": 3}


def test_a_part_without_a_generator(recipe, tmp_path):
    recipe = load_recipe("demo", [f"corpus.limit.{ECHO}"])
    with pytest.raises(InputError, match="holds no generator yet, and the recipe names none"):
        run_part(recipe, tmp_path / "run", Part(0, 2))


@pytest.mark.parametrize("text", ["4/4", "1", "a/b", "-1/2", "1/0", "/2", ""])
def test_what_is_not_a_part(text):
    with pytest.raises(
        SettingError, match=r"It must be i/n with i from 0 to n - 1 and n up to 100,000. Pass a part such as 0/4"
    ):
        Part.parse(text)


def test_parts_share_all_numbers():
    parts = [Part.parse(f"{number}/3") for number in range(3)]
    assert [[part for part in parts if number in part] for number in range(4)] == [[parts[n]] for n in (0, 1, 2, 0)]


def test_what_is_missing_is_reported(tmp_path):
    told = [describe_missing(missing, Part(1, 2), tmp_path) for missing in ({}, {"corpus": 3}, {"guarded": 3})]
    assert told[0].startswith("Part 1/2 is done, and so are all others.")
    assert told[1].startswith("Part 1/2 is done. 3 shard(s) of other parts are missing")
    assert told[2].startswith("Part 1/2 is done up to guarded, where 3 shard(s) of other parts are missing.")


def test_steps_up_to_one():
    assert steps_until(None) is None
    assert steps_until("generator") == ("seeds", "generator")
    with pytest.raises(SettingError, match=r"--until is 'end'\. It must be one of seeds, generator, corpus, "):
        steps_until("end")
