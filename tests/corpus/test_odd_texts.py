"""A corpus of texts that are hard to cut: in linear time, with what went wrong counted."""

import time

import pytest
import sentencex

from davidgen_hf.corpus.build import build_corpus
from davidgen_hf.corpus.counts import read_counts
from davidgen_hf.recipe import load_recipe
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.storage.shards import read_shards

ORIGIN = {"language": "en", "supervised": False} | dict.fromkeys(
    ("source", "config", "revision", "license", "url"), ""
)


def build(folder, *texts: str) -> dict:
    overrides = [f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")]
    settings = load_recipe("demo", [*overrides, "corpus.guards=none"]).corpus.with_models("none", "none")
    rows = [{"id": str(number), "text": text} | ORIGIN for number, text in enumerate(texts)]
    build_corpus(iter(rows), Skipped(), settings, folder)
    return read_counts(folder, settings.stages())[0]["fragments"]


def test_texts_that_sentencex_cannot_cut_are_counted(tmp_path, monkeypatch):
    def panic(code, text):
        raise BaseException("byte index 9 is not a char boundary")

    assert "cut_by_punctuation" not in build(tmp_path / "well", "One two. Three four five six seven.")
    monkeypatch.setattr(sentencex, "segment", panic)
    counts = build(tmp_path / "badly", "One two. Three four five six seven.")
    assert (counts["cut_by_punctuation"], counts["fragments.sentence"]) == (1, 1)
    assert "Three four five six seven." in read_shards(tmp_path / "badly" / "fragments")["output"][:]


@pytest.mark.parametrize(
    "unit", ["x", "[7]", "The boat is late. ", "เรือมาสายวันนี้", "船今天晚到了。", '"(a. ', "a\n\n", "\x1c\x85 "]
)
def test_a_text_of_a_megabyte_takes_seconds(tmp_path, unit):
    started = time.perf_counter()
    counts = build(tmp_path, unit * (1_000_000 // len(unit)), "A short text. It stays whole.")
    assert time.perf_counter() - started < 20
    assert counts["passages"] == 2
    assert counts["fragments.sentence"] >= 1
