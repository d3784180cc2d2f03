"""Texts that nearly repeat an earlier one of another passage, alone and as a stage of a run."""

import sqlite3

import numpy
import pytest

from davidgen_hf.corpus import build as corpus
from davidgen_hf.corpus.counts import read_counts
from davidgen_hf.errors import RunFolderError, SettingError
from davidgen_hf.processors import near_duplicates
from davidgen_hf.processors.near_duplicates import NearDuplicates
from davidgen_hf.recipe import load_recipe
from davidgen_hf.schema import empty_candidate
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.storage.shards import read_shards, shard_paths

LONG = "Describe in a few sentences how the old stone bridge over the river came to be built, and by whom."


def find(tmp_path, *texts: str, passages: str = "abcdefgh", **settings) -> list[bool]:
    labelled = zip(passages, texts, strict=False)
    return NearDuplicates(**settings).find(labelled, tmp_path / "work").tolist()


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        (LONG, True),
        (LONG.upper().replace(",", ""), True),
        (LONG.replace("old", "ancient"), True),
        ("Describe in a few sentences how the tax law of the country came to be written, and by whom.", False),
        ("Who built it?", False),
        ("", False),
    ],
)
def test_what_is_a_near_duplicate(tmp_path, text, repeated):
    assert find(tmp_path, LONG, text) == [False, repeated]


def test_the_first_of_several_is_kept_whatever_comes_between(tmp_path):
    assert find(tmp_path, "Who was he?", LONG, "What is a river?", LONG, LONG) == [False, False, False, True, True]


def test_texts_of_one_passage_are_not_compared(tmp_path):
    assert find(tmp_path, LONG, LONG, LONG, passages="aab") == [False, False, True]


def test_the_threshold_decides(tmp_path):
    other = LONG.replace("old", "ancient")
    similarity = NearDuplicates().similarity(LONG, other)
    assert 0.8 < similarity < 1.0
    assert find(tmp_path, LONG, other, threshold=similarity) == [False, True]
    assert find(tmp_path, LONG, other, threshold=similarity + 0.01) == [False, False]


def test_unspaced_scripts_are_compared_too(tmp_path):
    question = "请描述这座古老的石桥是怎样建成的"
    assert find(tmp_path, question, question + "。", "河是什么") == [False, True, False]


def test_no_texts(tmp_path):
    assert find(tmp_path) == []
    assert list((tmp_path / "work").iterdir()) == []


def test_it_agrees_with_comparing_all_pairs(tmp_path):
    """On 300 texts of which a third repeat others in part, banding misses only what is near the threshold."""
    draw = numpy.random.default_rng(0)
    vocabulary = [f"word{n}" for n in range(500)]
    texts = [" ".join(draw.choice(vocabulary, 12)) for _ in range(200)]
    for number in range(100):
        words = texts[number].split()
        words[draw.integers(12)] = "changed"
        texts.append(" ".join(words))
    settings = NearDuplicates(threshold=0.75)
    found = settings.find(((str(n), text) for n, text in enumerate(texts)), tmp_path)
    best = [
        max((settings.similarity(text, other) for other in texts[:n]), default=0.0) for n, text in enumerate(texts)
    ]
    assert all(similarity >= 0.75 for similarity, mark in zip(best, found, strict=True) if mark)
    missed = [similarity for similarity, mark in zip(best, found, strict=True) if similarity >= 0.75 and not mark]
    assert len(missed) <= 0.3 * found.sum()
    assert found.sum() > 50


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "work").touch()
    with pytest.raises(RunFolderError, match=r"work/near_duplicates\.part cannot be written: .*Make room or allow"):
        find(tmp_path, LONG)


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    def connect(path):
        store = sqlite3.Connection(path)
        store.execute("PRAGMA max_page_count = 4")
        return store

    monkeypatch.setattr(near_duplicates.sqlite3, "connect", connect)
    with pytest.raises(RunFolderError, match="database or disk is full"):
        find(tmp_path, *[f"{LONG} {number}" * 50 for number in range(8)])
    assert list((tmp_path / "work").iterdir()) == []


def test_the_file_of_a_killed_call_is_replaced(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / near_duplicates.FILE_NAME).write_text("half a file")
    assert find(tmp_path, LONG, LONG) == [False, True]
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("settings", [{"threshold": 0.0}, {"threshold": 1.1}, {"shingle_chars": 0}])
def test_bounds_are_checked(settings):
    with pytest.raises(SettingError, match=r"threshold must be in \(0, 1\] and shingle_chars at least 1, got"):
        NearDuplicates(**settings)


def corpus_of(folder, *overrides: str) -> dict:
    """Build a corpus of passages of which every second one is the same, with the engine that has no model."""
    settings = load_recipe(
        "demo",
        [
            "corpus.shard_rows=2",
            "corpus.extract={whole: {}}",
            *(f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")),
            *overrides,
        ],
    ).corpus.with_models("none", "none")
    text = "The house stands by the river. It was built long ago by people who then lived in it for many years."
    texts = [text if number % 2 else text.replace("river", f"{number} hills") for number in range(6)]
    origin = {
        "language": "en",
        "supervised": False,
        "source": "",
        "config": "",
        "revision": "",
        "license": "",
        "url": "",
    }
    passages = [{"id": str(number), "text": text} | origin for number, text in enumerate(texts)]
    corpus.build_corpus(iter(passages), Skipped(), settings, folder)
    return read_counts(folder, settings.stages())[0]


def shard(*rows: tuple[str, str, str, str]) -> dict[str, list]:
    """The columns of a shard, from id, text, strategy and the one candidate of each row."""
    ids, texts, strategies, written = zip(*rows, strict=True)
    candidates = [[empty_candidate(instruction=one)] for one in written]
    columns = {"source": ["a.jsonl"] * len(rows), "id": ids, "text": texts, "strategy": strategies}
    return {name: list(values) for name, values in columns.items()} | {"candidates": candidates}


@pytest.mark.parametrize(
    ("shards", "expected"),
    [
        # Two strategies of one passage may find the same instruction.
        ([shard(("1", "a", "whole", LONG), ("1", "a", "sentence", LONG))], [None, None]),
        # Two passages of one id are compared, in one shard or in two, with other texts or the same.
        ([shard(("1", "a", "whole", LONG), ("1", "b", "whole", LONG))], [None, "near_duplicate"]),
        ([shard(("1", "a", "whole", LONG), ("1", "a", "whole", LONG))], [None, "near_duplicate"]),
        ([shard(("1", "a", "whole", LONG)), shard(("1", "a", "sentence", LONG))], [None, "near_duplicate"]),
    ],
)
def test_passages_of_one_id_are_compared_with_each_other(tmp_path, shards, expected):
    found = NearDuplicates().over_corpus(shards, tmp_path)
    assert [one["reject_reason"] for columns in found for (one,) in columns["candidates"]] == expected


RULES = "corpus.guards.rules={max_copied_run: 99, max_copied_share: 1.0, min_language_confidence: 1.01}"


def test_a_run_marks_what_came_before_in_another_shard(tmp_path):
    counts = corpus_of(tmp_path, RULES)
    reasons = [{one["reject_reason"] for one in row} for row in read_shards(tmp_path / "scored")["candidates"]]
    assert (reasons[3], reasons[5]) == ({"near_duplicate"}, {"near_duplicate"})
    assert "near_duplicate" not in reasons[0] | reasons[1]
    assert counts["guarded"]["accepted"] > counts["unique"]["accepted"] == counts["scored"]["accepted"]
    assert counts["unique"]["rejected.near_duplicate"] >= 8
    assert counts["corpus"]["none_left.near_duplicate"] >= 2


def test_what_is_marked_does_not_depend_on_interruptions(tmp_path):
    corpus_of(tmp_path, RULES)
    whole = {path.name: path.read_bytes() for path in shard_paths(tmp_path / "scored")}
    rows = read_shards(tmp_path / "unique")[:]
    for stage in ("unique", "scored"):
        for number in (0, 2):
            (tmp_path / stage / f"0000{number}.parquet").unlink()
    corpus_of(tmp_path, RULES)
    assert read_shards(tmp_path / "unique")[:] == rows
    assert set(whole) == {path.name for path in shard_paths(tmp_path / "scored")}


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("corpus.guards.near_duplicates=none", ["fragments", "candidates", "guarded", "scored", "corpus"]),
        ("corpus.guards=none", ["fragments", "candidates", "scored", "corpus"]),
    ],
)
def test_it_can_be_turned_off(tmp_path, override, stages):
    counts = corpus_of(tmp_path, override)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == set(stages)
    assert "unique" not in counts
    assert "rejected.near_duplicate" not in counts["scored"]
