"""One definition of a word, the same for every script and every way to encode it."""

import random
import unicodedata
from itertools import pairwise

import pytest

from davidgen_hf.sources.words import count_words, fold, is_unspaced, word_spans, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The bridge's 2nd arch, built in 1,849!", ["the", "bridge", "s", "2nd", "arch", "built", "in", "1", "849"]),
        ("", []),
        (" \n?! … 😀 ", []),
        ("नदी में पानी है।", ["नदी", "में", "पानी", "है"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("شُكْرًا جزيلا", ["شُكْرًا", "جزيلا"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("ＡＢＣ ﬁsh", ["abc", "fish"]),
        ("Wirt\u00adschaft", ["wirtschaft"]),
        ("전국의 학교", ["전국의", "학교"]),
        ("中国科学技术大学", ["中国", "科学", "技术", "大学"]),
        ("won24年", ["won24", "年"]),
        ("コンピュータに命令を", ["コンピュータ", "に", "命令", "を"]),
        ("มหาวิทยาลัยอยู่ริมแม่น้ำ", ["มหาวิทยาลัย", "อยู่", "ริม", "แม่น้ำ"]),
        ("សាកលវិទ្យាល័យនេះ", ["សាកល", "វិទ្យាល័យ", "នេះ"]),
        ("ປະເທດລາວ", ["ປະເທດ", "ລາວ"]),
        ("မြန်မာနိုင်ငံ", ["မြန်မာနိုင်ငံ"]),
    ],
)
def test_words_of_many_scripts(text, found):
    assert words(text) == [fold(word) for word in found]
    assert count_words(text) == len(found)


@pytest.mark.parametrize("text", ["Größe naïve café", "Việt Nam đẹp", "Ελλάδα", "가나다 라마", "Łódź"])
def test_both_encodings_of_a_letter_are_the_same_word(text):
    composed, decomposed = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    assert composed != decomposed or text == "Łódź"
    assert words(composed) == words(decomposed)
    assert len(words(decomposed)) == len(text.split())


def test_spans_are_places_in_the_text_as_it_is():
    text = "Cafe\u0301 的咖啡, ＡＢ"
    assert [text[start:end] for start, end in word_spans(text)] == ["Cafe\u0301", "的", "咖啡", "ＡＢ"]
    text = "พิ\u00adพิธภัณฑ์\u00adแห่งชาติ"
    assert [text[start:end] for start, end in word_spans(text)] == ["พิ\u00adพิธภัณฑ์\u00ad", "แห่ง", "ชาติ"]


def test_a_text_is_folded_the_same_alone_and_among_others():
    """The quick way for plain English gives the words that the way for all scripts gives."""
    text = "It's the well-known B.B.C., isn't it? x_1 __init__ 3.14 a@b.de"
    assert words(f"{text} 中") == [*words(text), "中"]
    assert [*word_spans(f"{text} 中")][:-1] == [*word_spans(text)]


@pytest.mark.parametrize(("word", "unspaced"), [("word", False), ("слово", False), ("한국", False), ("日本", True)])
def test_scripts_without_spaces_are_known(word, unspaced):
    assert is_unspaced(word) is unspaced


def test_random_text_is_cut_without_loss():
    pick = random.Random(7)
    for _ in range(500):
        text = "".join(chr(pick.choice([pick.randrange(0x250), pick.randrange(0x3100), pick.randrange(0x110000)]))
                       for _ in range(40))  # fmt: skip
        spans = list(word_spans(text))
        assert all(one[1] <= two[0] for one, two in pairwise(spans))
        inside = "".join(text[start:end] for start, end in spans)
        assert [one for one in text if one.isalpha() and one not in inside] == []
        assert len(words(text)) == len(spans)
        assert all(words(text))
