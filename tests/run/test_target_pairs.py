"""A corpus of exactly so many pairs: the same rows in waves, in parts, after kills, and when it grows or shrinks."""

import json
import multiprocessing
import signal
import time
from pathlib import Path

import pytest

from davidgen_hf.corpus.facts import read_facts
from davidgen_hf.errors import SettingError
from davidgen_hf.publish.export import export_pairs
from davidgen_hf.recipe import Recipe, load_recipe
from davidgen_hf.report.index import RowQuery, Rows
from davidgen_hf.run.run import run_part, run_recipe
from davidgen_hf.storage.shards import Part, read_shards, shard_paths

PASSAGES = 90
NAMES = ("fragments", "candidates", "guarded", "unique", "scored", "corpus")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """90 passages, of which a third overlaps the evaluation set and some give near-duplicates."""
    tmp_path = tmp_path_factory.mktemp("target")
    text = "The house number {} stands by the river, and {} people live in it."
    texts = [text.format(n % 60, n) if n % 3 else f"{text.format(n, n)} Nobody knows who was here." for n in range(90)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in [*texts, None]))
    (tmp_path / "evaluation.jsonl").write_text(json.dumps({"text": "Nobody knows who was here."}))
    asked = [f"corpus.passages.source={tmp_path}/p.jsonl", "corpus.shard_rows=4", "corpus.extract={whole: {}}"]
    asked += ["corpus.passages.max_rows=null"]
    asked += [f"corpus.{step}.engine={{kind: echo, model: echo}}" for step in ("limit", "generate", "score")]
    asked += [
        f"corpus.guards={{rules: {{max_copied_share: 1.0, min_language_confidence: 1.01}}, decontaminate: "
        f"{{sources: [{{source: {tmp_path}/evaluation.jsonl}}], ngram_words: 5, min_words: 4}}}}"
    ]
    return lambda *more: load_recipe("demo", [*asked, *more])


def run(recipe: Recipe, folder: Path, *, update: bool = False) -> list[str]:
    said = []
    run_recipe(recipe, folder, said.append, steps=("corpus",), update=update)
    return said


def rows_of(folder: Path) -> list[dict]:
    return read_shards(folder / "corpus").to_list()


def times(folder: Path, stage: str) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in shard_paths(folder / stage)}


@pytest.fixture(scope="module")
def every(recipe, tmp_path_factory) -> list[dict]:
    """All pairs that the passages give."""
    folder = tmp_path_factory.mktemp("every")
    run(recipe(), folder)
    return rows_of(folder)


def test_exactly_as_many_pairs_however_they_were_made(recipe, every, tmp_path):
    assert 50 < len(every) <= 60
    folder = tmp_path / "run"
    said = run(recipe("corpus.target_pairs=30"), folder)
    assert rows_of(folder) == every[:30]
    assert next(line for line in said if "wanted" in line).endswith("of 30 that are wanted; reads on")
    assert len(times(folder, "fragments")) < PASSAGES / 4  # it stopped before the end
    assert {stage: set(times(folder, stage)) == set(times(folder, "corpus")) for stage in NAMES} == dict.fromkeys(
        NAMES, True
    )
    facts = read_facts(folder)
    step = facts.record["steps"]["corpus"]
    assert dict(facts.stages)["pairs"] == step["counts"]["corpus"]["pairs"] == 30
    assert step["counts"]["corpus"]["beyond_target"] > 0
    assert sum(one["pairs"] for one in step["styles"].values()) == 30
    kept = []
    for page in range(9):
        kept += Rows(folder).find(RowQuery(kept="1", page=page))["rows"]
    assert sum(one["kept"] for row in kept for one in row["candidates"]) == 30
    assert export_pairs(folder, tmp_path / "pairs.jsonl") == 30
    assert run(recipe("corpus.target_pairs=30"), folder) == ["1/1 corpus: done before, skipped"]


def test_parts_make_the_same_pairs(recipe, every, tmp_path):
    folder, wanted = tmp_path / "parts", recipe("corpus.target_pairs=30")
    rounds = 0
    while missing := [one for part in (1, 0, 2) if (one := run_part(wanted, folder, Part(part, 3)))]:
        rounds += 1
        assert rounds < 9, missing
    assert rows_of(folder) == every[:30]
    run(wanted, folder)
    assert rows_of(folder) == every[:30]


def test_it_grows_and_shrinks_and_keeps_what_models_made(recipe, every, tmp_path):
    folder = tmp_path / "run"
    run(recipe("corpus.target_pairs=20"), folder)
    before = {stage: times(folder, stage) for stage in NAMES}
    run(recipe("corpus.target_pairs=40"), folder, update=True)
    assert rows_of(folder) == every[:40]
    for stage in NAMES[:-1]:
        after = times(folder, stage)
        assert {name: after[name] for name in before[stage]} == before[stage]
        assert len(after) > len(before[stage])
    grown = {stage: times(folder, stage) for stage in NAMES[:-1]}
    run(recipe("corpus.target_pairs=7"), folder, update=True)
    assert rows_of(folder) == every[:7]
    assert {stage: times(folder, stage) for stage in NAMES[:-1]} == grown
    run(recipe(), folder, update=True)
    assert rows_of(folder) == every


def test_passages_that_run_dry_are_told_with_the_yield(recipe, every, tmp_path):
    said = run(recipe("corpus.target_pairs=1000"), tmp_path / "run")
    assert rows_of(tmp_path / "run") == every
    assert said[-1] == (
        f"The passages ended before 1,000 pairs were found: {len(every)} pairs from 90 passages "
        f"({len(every) / 90:.2f} per passage). The run goes on with these. For more, add passages or loosen the "
        "guards and use --update."
    )


def test_several_pairs_of_a_passage_are_cut_too(recipe, tmp_path):
    run(recipe("corpus.select.keep=3"), tmp_path / "every")
    run(recipe("corpus.select.keep=3", "corpus.target_pairs=32"), tmp_path / "run")
    assert rows_of(tmp_path / "run") == rows_of(tmp_path / "every")[:32]


def test_killed_twice_it_makes_the_same_pairs(recipe, every, tmp_path):
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["davidgen_hf.run.run"])
    folder, wanted = tmp_path / "run", recipe("corpus.target_pairs=30")
    for stage, shards in (("candidates", 2), ("corpus", 4)):  # in the first wave, and after it
        process = processes.Process(target=run, args=(wanted, folder))
        process.start()
        while len(shard_paths(folder / stage)) < shards and process.is_alive():
            time.sleep(0.001)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    run(wanted, folder)
    assert rows_of(folder) == every[:30]


def test_a_target_is_checked(recipe):
    with pytest.raises(SettingError, match="target_pairs must be at least 1, got 0"):
        recipe("corpus.target_pairs=0")
