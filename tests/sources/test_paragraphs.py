"""Documents are cut at sentences, and each paragraph knows its place."""

import json
from itertools import islice, pairwise

import pytest

from davidgen_hf.errors import SettingError
from davidgen_hf.sources.paragraphs import Paragraphs
from davidgen_hf.sources.sentences import sentences
from davidgen_hf.sources.words import count_words


def cut(document: str, min_words: int, max_words: int) -> list[str]:
    return [document[start:end] for start, end in Paragraphs(min_words, max_words).spans(document, "en")]


def test_blank_lines_separate_paragraphs_and_short_ones_are_left_out():
    document = "  History\n\nOne two three\nfour five. \n \t\nSix seven eight nine.\r\n\r\nTen.\n"
    assert cut(document, 3, 9) == ["One two three\nfour five.", "Six seven eight nine."]


def test_without_blank_lines_each_line_is_one():
    assert cut("One two three.\nMenu\n Four five six.\n", 3, 9) == ["One two three.", "Four five six."]


def test_a_long_paragraph_ends_after_the_last_sentence_that_fits():
    document = "Dr. Low saw it. He left. Then she came in too. Nobody knew."
    assert cut(document, 1, 6) == ["Dr. Low saw it. He left.", "Then she came in too.", "Nobody knew."]
    assert cut(document, 3, 6) == ["Dr. Low saw it. He left.", "Then she came in too."]


def test_a_sentence_that_is_too_long_is_left_out_alone():
    assert cut("Short one. This one has far too many words. Short two.", 1, 4) == ["Short one.", "Short two."]


@pytest.mark.parametrize("document", ["", "\n \n", "word"])
def test_nothing_to_cut(document):
    assert cut(document, 2, 9) == []


@pytest.mark.parametrize("name", ["enwiki.jsonl", "xquad_de.jsonl", "xquad_ru.jsonl"])
def test_real_texts_keep_to_bounds_and_sentences(shared_data, name):
    with (shared_data / "passages" / name).open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in islice(lines, 40)]
    document, language = "\n\n".join(texts), "en" if "en" in name else name[6:8]
    spans = list(Paragraphs(20, 60).spans(document, language))
    assert len(spans) > 40
    assert all(20 <= count_words(document[start:end]) <= 60 for start, end in spans)
    assert all(one[1] <= two[0] for one, two in pairwise(spans))
    edges = {edge for text in texts for edge in _edges(document, text, language)}
    assert {edge for span in spans for edge in span} <= edges


def test_lengths_are_words_where_a_script_has_no_spaces():
    document = "我们每天早上在公园散步。孩子们在学校学习数学和历史。老师给学生讲故事。" * 6
    spans = list(Paragraphs(40, 60).spans(document, "zh"))
    assert len(spans) >= 2
    assert all(40 <= count_words(document[start:end]) <= 60 for start, end in spans)
    assert all(document[end - 1] == "。" for _, end in spans)


@pytest.mark.parametrize(("least", "most"), [(0, 9), (9, 8)])
def test_bounds_are_checked(least, most):
    with pytest.raises(
        SettingError, match=f"min_words must be at least 1 and at most max_words, got {least} and {most}"
    ):
        Paragraphs(least, most)


def _edges(document: str, text: str, language: str) -> set[int]:
    """Return where the text and each of its sentences start and end in the document."""
    place = document.index(text)
    inner = {edge for _, start, end in sentences(text.strip(), language) for edge in (start, end)}
    return {place + edge for edge in inner | {0, len(text.strip())}}
