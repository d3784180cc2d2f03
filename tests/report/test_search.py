"""The search of a served report finds words in any script, also inside a clause without spaces."""

import json

import pytest

from davidgen_hf.recipe import load_recipe
from davidgen_hf.report.index import RowQuery, Rows, search_terms
from davidgen_hf.run.run import run_recipe

TEXTS = {
    "zh": "奶酪放在冰箱里，牛奶变成深褐色之前就要喝完。",
    "ja": "朝になるとコーヒーを飲みます。",
    "th": "แมวนอนอยู่บนโต๊ะในห้องครัว",
    "hi": "किताबें मेज पर रखी हैं।",
    "cs": "Příliš žluťoučký kůň pije snake_case mléko.",
    "nfd": "Cafe\u0301 cre\u0300me ½ liter.",
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Rows:
    folder = tmp_path_factory.mktemp("search")
    lines = [json.dumps({"id": name, "text": text, "language": name}) for name, text in TEXTS.items()]
    (folder / "texts.jsonl").write_text("\n".join(lines), "utf-8")
    overrides = [f"corpus.passages.source={folder}/texts.jsonl", "corpus.extract={whole: {}}", "corpus.guards=none"]
    overrides += [f"corpus.{step}.engine.kind=echo" for step in ("limit", "generate", "score")]
    overrides += ["corpus.generate.engine.model=echo", "corpus.generate.n=1"]
    run_recipe(load_recipe("demo", overrides), folder / "run", lambda _: None, steps=("corpus",))
    return Rows(folder / "run")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("牛奶", {"zh"}),
        ("深褐色", {"zh"}),
        ("色", {"zh"}),
        ("奶酪 冰箱", {"zh"}),
        ("褐牛", set()),
        ("コーヒー", {"ja"}),
        ("นอน", {"th"}),
        ("ห้องครัว", {"th"}),
        ("किताबें", {"hi"}),
        ("Kůň", {"cs"}),
        ("zlutoucky", {"cs"}),
        ("SNAKE_case", {"cs"}),
        ("café", {"nfd"}),
        ("crème caf", {"nfd"}),
        ("½", {"nfd"}),
        ('"(*', set(TEXTS)),
    ],
)
def test_words_are_found(rows, search, found):
    assert {row["id"] for row in rows.find(RowQuery(search=search))["rows"]} == found


def test_terms_hold_nothing_that_the_index_would_cut():
    everything = " ".join(map(chr, range(0x110000)))
    ascii_characters = {one for term in search_terms(everything) for one in term if one.isascii()}
    assert all(one.isalnum() or one == "_" for one in ascii_characters)


def test_an_index_of_an_older_kind_is_made_again(rows, monkeypatch):
    before = rows.path.stat().st_mtime_ns
    Rows(rows.run)
    assert rows.path.stat().st_mtime_ns == before
    monkeypatch.setattr("davidgen_hf.report.index.INDEX_VERSION", 99)
    Rows(rows.run)
    assert rows.path.stat().st_mtime_ns > before
