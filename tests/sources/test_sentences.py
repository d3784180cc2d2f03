"""Sentences are cut by the rules of their language, keep every character and their place, and take linear time."""

import json
import random
import time

import pytest
import sentencex

from davidgen_hf.sources import sentences as sentences_module
from davidgen_hf.sources.sentences import iterate_sentences, sentences, take_fallbacks

TEXT = " Dr. Smith went to Washington D.C. yesterday. He saw 3.5 million people!  Was it fun? \n"


def keeps_everything(text: str, language: str) -> bool:
    found = sentences(text, language)
    in_place = all(text[start:end] == sentence == sentence.strip() for sentence, start, end in found)
    return in_place and "".join("".join(sentence.split()) for sentence, _, _ in found) == "".join(text.split())


def test_sentences_know_abbreviations_and_numbers():
    assert [text for text, _, _ in sentences(TEXT, "en")] == [
        "Dr. Smith went to Washington D.C. yesterday.",
        "He saw 3.5 million people!",
        "Was it fun?",
    ]


@pytest.mark.parametrize(
    ("language", "text", "number"),
    [
        ("de", "Am 3. Mai kam Dr. Weiß an, z. B. mit dem Zug. Er blieb lange.", 2),
        ("ru", "Он родился в г. Томске. Потом уехал. Куда?", 3),
        ("zh", "他说：“走吧。”我点头！真的吗？是的。2010年的事。", 5),
        ("ja", "彼は頷いた！本当に？はい。2010年の話。", 4),
        ("hi", "यह एक वाक्य है। यह दूसरा है। क्या यह तीसरा है?", 3),
        ("ar", "هذه جملة. هل هذا سؤال؟ نعم!", 3),
        ("hy", "Սա նախադասություն է։ Սա երկրորդն է։", 2),
        ("km", "នេះជាប្រយោគ។ នេះជាប្រយោគទីពីរ។", 2),
        ("my", "ဒါက ဝါကျတစ်ခုပါ။ ဒါက ဒုတိယ ဝါကျပါ။", 2),
        ("am", "ይህ ዓረፍተ ነገር ነው። ይህ ሁለተኛው ነው።", 2),
        ("Python", "A sentence. Another one.", 2),
        ("eng_Latn", "See Mr. Low. He left.", 2),
        ("fr", "M. Dupont et Mme. Curie, cf. art. 3 et fig. 2. J. Low vient.", 2),
        ("de", "Es gab 12 Ehepaare. 35 gingen im 20. Jahrhundert, vgl. Abschn. 3. Kurz.", 3),
        ("es", "Jones et al. 1998 y col. y Briffa, pág. 3. El dr. Constantine vive. Sea a × b = c. Decidir.", 4),
        ("tr", "II. Dünya Savaşı 20. yüzyılda bitti. Prof. Dr. Ali geldi.", 2),
        ("vi", "TS. Nguyễn ở TP. Hồ Chí Minh. Hết.", 2),
        ("ro", "Dl. Popescu a venit. Gata.", 2),
        ("el", "Ο Δρ. Νίκος, βλ. σελ. 5. Τέλος.", 2),
        ("hi", "डॉ. शर्मा और प्रो. वर्मा आए। वह गए।", 2),
        ("ar", "قال د. أحمد ذلك. ثم ذهب.", 2),
        ("ru", "См. рис. 3 и табл. 2. Это 5 млн. человек им. Ленина.", 2),
        ("en", "i did it. then i left. In vol. 3, no. 7. Take vitamin C. It helps.", 5),
        ("en", "A heading\n\nA sentence. A second\none.", 3),
    ],
)
def test_sentences_of_many_languages(language, text, number):
    assert len(sentences(text, language)) == number
    assert keeps_everything(text, language)


@pytest.mark.parametrize("name", ["enwiki", "wikitext2_raw_test", "xquad_de", "xquad_es", "xquad_ru", "xquad_zh"])
def test_every_sentence_is_where_it_says(shared_data, name):
    lines = (shared_data / "passages" / f"{name}.jsonl").read_text("utf-8").splitlines()[:40]
    for text in (json.loads(line)["text"] for line in lines):
        assert keeps_everything(text, name[-2:] if "xquad" in name else "en")


@pytest.mark.parametrize("mark", [*"♭☝∯♨☇ȸ☈☉☄", "\x85", "\x1c", "\0", "\u2028", "\ud800", "\ufeff", "[1][2][3]"])
def test_no_mark_loses_a_sentence(mark):
    flat, plain = (f"The sign {sign} is old. Nobody knows it. Why?" for sign in (mark, "x"))
    assert len(sentences(flat, "en")) == len(sentences(plain, "en")) == 3
    assert keeps_everything(flat, "en")


@pytest.mark.parametrize("unit", ["[12]", "a. ", "“a. ", "(a. ", "你好。", "「あ。", "a\n", "a\n\n", ".", "a", "«A. "])
def test_the_work_grows_as_the_length(monkeypatch, unit):
    """sentencex takes quadratic time in some texts, so it may read no character often and few at once."""
    read, segment = [], sentencex.segment
    monkeypatch.setattr(sentencex, "segment", lambda code, text: read.append(len(text)) or segment(code, text))
    text = unit * (200_000 // len(unit))
    started = time.process_time()
    assert keeps_everything(text, "zh" if ord(unit[0]) > 0x3000 else "en")
    assert time.process_time() - started < 10
    assert sum(read) <= 2 * len(text)
    assert max(read) <= sentences_module.WINDOW


def test_what_is_not_drawn_is_not_cut(monkeypatch):
    read, segment = [], sentencex.segment
    monkeypatch.setattr(sentencex, "segment", lambda code, text: read.append(len(text)) or segment(code, text))
    assert next(iterate_sentences("One two. " * 100_000, "en")) == ("One two.", 0, 8)
    assert len(read) == 1
    assert read[0] < 10_000


SPOKEN = 'A 3" pipe broke. ' + "Then she left the house again. " * 300 + 'A 4" pipe broke.'


def test_two_quotation_marks_far_apart_hide_few_sentences():
    assert len(sentences(SPOKEN, "en")) > 250


def test_without_a_window_they_hide_all(monkeypatch):
    monkeypatch.setattr(sentences_module, "WINDOW", len(SPOKEN))
    assert len(sentences(SPOKEN, "en")) < 5


class Panic(BaseException):
    pass


@pytest.mark.parametrize("broken", ["raises", "loses"])
def test_a_text_that_cannot_be_cut_is_cut_by_punctuation_and_counted(monkeypatch, caplog, broken):
    def segment(language, text):
        if broken == "raises":
            raise Panic("byte index 9 is not a char boundary")
        return [text[:-1]]

    take_fallbacks()
    monkeypatch.setattr(sentencex, "segment", segment)
    assert [one for one, _, _ in sentences("One two\nthree. Four five! Six?", "en")] == [
        "One two\nthree.",
        "Four five!",
        "Six?",
    ]
    assert (take_fallbacks(), take_fallbacks()) == (1, 0)
    assert "It is cut by punctuation" in caplog.text


def test_an_interrupt_is_not_taken_for_a_panic(monkeypatch):
    def segment(language, text):
        raise KeyboardInterrupt

    monkeypatch.setattr(sentencex, "segment", segment)
    with pytest.raises(KeyboardInterrupt):
        sentences("One. Two.", "en")


def test_random_text_is_cut_without_loss_or_failure():
    pick = random.Random(3)
    take_fallbacks()
    parts = [*'.!\n ()[2"\r\0', "\n\n", "\x1f", "\x85", "\xa0", "\u2028", "\u200b", "\u3000", "\ufeff", "\ud800"]
    parts += [*"。“”«「…日؟।។éİ\u0301\ue000", "กิ", "[12]", "Mr.", "a@b.c", "😀", "\U0010ffff"]
    for _ in range(2000):
        text = "".join(pick.choices(parts, k=pick.randint(0, 80)))
        assert keeps_everything(text, pick.choice(["en", "de", "zh", "ja", "th", "km", "fr", "xx"]))
    assert take_fallbacks() == 0
