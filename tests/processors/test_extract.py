"""Passages become fragments that know their place in the passage."""

import time
from importlib.resources import files

import pytest
from datasets import Dataset

from davidgen_hf.engines import EngineSettings
from davidgen_hf.errors import SettingError
from davidgen_hf.processors import ExtractKeywords, ExtractSentence, ExtractWithModel, KeepWhole, LimitPassages, apply
from davidgen_hf.processors.keywords import keyword_extractor, stop_words
from davidgen_hf.schema import FRAGMENT

ECHO = EngineSettings(kind="echo")
TEXT = " Dr. Smith went to Washington D.C. yesterday. He saw 3.5 million people!  Was it fun? \n"


@pytest.fixture
def passages() -> Dataset:
    return Dataset.from_dict({"id": ["a", "b", "c"], "text": [TEXT, "   ", "One sentence only"]})


def test_whole_is_the_passage_without_surrounding_whitespace(passages):
    rows = apply(KeepWhole(), passages)
    assert rows["id"][:] == ["a", "c"]
    assert rows["output"][0] == TEXT.strip()
    assert (rows["start"][0], rows["end"][0], rows["strategy"][0]) == (1, len(TEXT.rstrip()), "whole")


def test_a_sentence_is_drawn_by_seed_and_long_enough(passages):
    drawn = {apply(ExtractSentence(min_words=5, seed=seed), passages)["output"][0] for seed in range(20)}
    assert drawn == {"Dr. Smith went to Washington D.C. yesterday.", "He saw 3.5 million people!"}


def test_without_a_long_sentence_the_longest_is_taken(passages):
    rows = apply(ExtractSentence(min_words=50), passages)
    assert rows["output"][:] == ["Dr. Smith went to Washington D.C. yesterday.", "One sentence only"]
    assert TEXT[rows["start"][0] : rows["end"][0]] == rows["output"][0]


def test_keywords_come_from_the_passage_and_have_no_span():
    text = "The suspension bridge was built in Budapest. It is a suspension bridge of iron that spans the Danube."
    row = apply(ExtractKeywords(top=3), Dataset.from_dict({"text": [text]}))[0]
    keywords = row["output"].split(", ")
    assert len(keywords) == 3
    assert all(word.lower() in text.lower() for word in keywords)
    assert any("suspension bridge" in word for word in keywords)
    assert (row["start"], row["end"], row["strategy"]) == (None, None, "keywords")


def test_a_text_without_keywords_yields_no_row():
    rows = apply(ExtractKeywords(), Dataset.from_dict({"text": ["... --- ..."]}))
    assert rows.num_rows == 0
    assert rows.features == {"text": rows.features["text"], **FRAGMENT}


def test_stop_words_follow_the_language():
    text = "Die Brücke und der Fluss und die Stadt und der Turm sind alt. Die Brücke ist lang."
    german = apply(ExtractKeywords(max_words=1, top=9), Dataset.from_dict({"text": [text], "language": ["de"]}))
    assert not {"und", "der", "die", "ist"} & set(german["output"][0].lower().split(", "))


@pytest.mark.parametrize(
    ("language", "word", "spelling_of_another_encoding"),
    [
        ("cs", "během", "bÄ›hem"),
        ("lt", "čia", "èia"),
        ("sk", "buď", "buï"),
        ("nb", "ikke", "ikkje"),
        ("pt", "dr", "\ufeffdr"),
        ("German", "nicht", "nícht"),
    ],
)
def test_stop_words_are_read_from_the_right_file_in_its_encoding(capfd, language, word, spelling_of_another_encoding):
    found = keyword_extractor(language, 3, 5).stopword_set
    assert word in found
    assert spelling_of_another_encoding not in found
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("language", ["br", "th", "Python", "und"])
def test_a_language_without_stop_words_has_none(language):
    assert keyword_extractor(language, 3, 5).stopword_set <= {""}


def test_every_list_of_stop_words_is_read():
    names = [file.name for file in (files("yake") / "core" / "StopwordsList").iterdir()]
    codes = {name.removeprefix("stopwords_").removesuffix(".txt") for name in names} - {"br", "cz", "noLang"} | {"cs"}
    assert len(codes) >= 30
    assert all(len(stop_words(code)) > 15 and "\ufeff" not in "".join(stop_words(code)) for code in codes)


@pytest.mark.parametrize(
    ("language", "text", "keyword"),
    [
        ("zh", "图书馆每天开放。学生在图书馆看书。城市的图书馆很大，也很安静。", "图书馆"),
        ("ja", "コンピュータは計算をする。コンピュータの歴史は長い。", "コンピュータ"),
        ("th", "ห้องสมุดเปิดทุกวัน นักเรียนอ่านหนังสือในห้องสมุด ห้องสมุดเงียบมาก", "ห้องสมุด"),
    ],
)
def test_keywords_of_a_script_without_spaces_are_words_of_the_text(language, text, keyword):
    rows = apply(ExtractKeywords(max_words=2), Dataset.from_dict({"text": [text], "language": [language]}))
    keywords = rows["output"][0].split(", ")
    assert any(keyword in one for one in keywords)
    assert all(one in text and len(one) < len(text) / 2 for one in keywords)


def test_a_sentence_of_a_script_without_spaces_is_long_enough_by_its_words():
    text = "船到了。我们每天早上坐船去对面的岛上工作。很好。"
    rows = Dataset.from_dict({"text": [text], "language": ["zh"]})
    drawn = {apply(ExtractSentence(seed=seed), rows)["output"][0] for seed in range(10)}
    assert drawn == {"我们每天早上坐船去对面的岛上工作。"}


def test_a_model_selects_and_its_span_is_found(tiny_llama):
    settings = EngineSettings(model=str(tiny_llama), dtype="float32")
    rows = apply(ExtractWithModel(engine=settings), Dataset.from_dict({"text": ["some passage of text"]}))
    assert rows["strategy"][:] == ["model"] * rows.num_rows
    assert [row["start"] is None or row["text"][row["start"] : row["end"]] == row["output"] for row in rows] == [
        True
    ] * len(rows)


@pytest.mark.parametrize(
    ("overlong", "max_tokens", "left"),
    [
        ("cut", 100, TEXT),
        ("cut", 12, " Dr. Smith went to Washington D.C. yesterday. He saw 3.5 million people!"),
        ("cut", 8, " Dr. Smith went to Washington D.C. yesterday."),
        ("cut", 3, None),
        ("skip", 12, None),
    ],
)
def test_long_passages_are_cut_at_a_sentence_or_skipped(overlong, max_tokens, left):
    step = LimitPassages(engine=ECHO, max_tokens=max_tokens, overlong=overlong)
    rows = apply(step, Dataset.from_dict({"id": ["a", "b"], "text": [TEXT, "short"]}))
    assert rows["text"][:] == ([left] if left else []) + ["short"]


def test_only_the_part_of_a_passage_within_the_limit_is_read(monkeypatch):
    """A passage of ten megabytes takes about as long as one that is just too long."""
    step = LimitPassages(engine=ECHO, max_tokens=256)
    text = "The ferry leaves at nine. It is often late, says Dr. Low. " * 180_000
    started = time.perf_counter()
    kept = step({"text": [text]})["text"][0]
    assert time.perf_counter() - started < 0.5
    assert text.startswith(kept)
    assert 240 < len(kept.split()) <= 256
    assert kept.endswith((".", "Low."))


def test_a_long_passage_of_few_tokens_is_read_to_its_end():
    passages = ["long" * 100_000 + " ends here. " + "Then more. " * 50, "word" * 100_000]
    assert LimitPassages(engine=ECHO, max_tokens=9)({"text": passages})["text"] == [
        "long" * 100_000 + " ends here. Then more. Then more. Then more.",
        "word" * 100_000,
    ]


def test_the_models_context_is_the_upper_limit(tiny_llama):
    engine = EngineSettings(model=str(tiny_llama), dtype="float32", max_length=128)
    rows = Dataset.from_dict({"text": [TEXT * 5]})
    limited = apply(LimitPassages(engine=engine, max_tokens=10_000, reserve_tokens=60), rows)
    assert 0 < len(limited["text"][0]) < len(TEXT)
    with pytest.raises(SettingError, match="reserve_tokens=128 leaves no room for a passage in the 128 tokens"):
        LimitPassages(engine=engine, reserve_tokens=128)({"text": ["a"]})


@pytest.mark.parametrize(
    ("step", "settings", "message"),
    [
        (LimitPassages, {"overlong": "trim"}, r"overlong must be one of \('cut', 'skip'\), got 'trim'"),
        (LimitPassages, {"max_tokens": 0}, "max_tokens must be at least 1"),
        (ExtractKeywords, {"top": 0}, "max_words and top must be at least 1, got 3 and 0"),
    ],
)
def test_bad_settings_are_refused(step, settings, message):
    with pytest.raises(SettingError, match=message):
        step(**settings)
