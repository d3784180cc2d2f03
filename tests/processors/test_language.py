"""Instructions in the language of their passage pass, and those in another one do not, by script and by words."""

import time

import pytest

from davidgen_hf.processors.language import is_other_language

QUESTIONS = {
    "en": ["Who built it?", "Why does bread rise in the oven when it is baked?"],
    "de": ["Wer war das?", "Warum geht das Brot beim Backen im Ofen eigentlich so stark auf?"],
    "fr": ["Qui a fait cela ?", "Pourquoi le pain lève-t-il dans le four quand on le fait cuire ?"],
    "es": ["¿Quién lo hizo?", "¿Por qué sube el pan en el horno cuando se cuece durante una hora?"],
    "it": ["Chi lo ha fatto?", "Perché il pane lievita nel forno quando viene cotto per un'ora?"],
    "ru": ["Кто это сделал?", "Почему хлеб поднимается в печи, когда его пекут в течение часа?"],
    "el": ["Ποιος το έκανε;", "Γιατί φουσκώνει το ψωμί στον φούρνο όταν ψήνεται για μία ώρα;"],
    "ar": ["من فعل ذلك؟", "لماذا يرتفع الخبز في الفرن عندما يخبز لمدة ساعة كاملة؟"],
    "hi": ["यह किसने किया?", "रोटी ओवन में एक घंटे तक पकाने पर क्यों फूल जाती है?"],
    "zh": ["谁做的？", "为什么面包在烤箱里烤一个小时的时候会膨胀起来？"],
    "ja": ["誰が作ったのか。", "パンをオーブンで一時間焼くと、なぜ膨らむのですか。"],
    "ko": ["누가 만들었나요?", "빵을 오븐에서 한 시간 동안 구우면 왜 부풀어 오르나요?"],
    "th": ["ใครเป็นคนทำ", "ทำไมขนมปังจึงพองตัวเมื่ออบในเตาเป็นเวลาหนึ่งชั่วโมง"],
}


@pytest.mark.parametrize("language", QUESTIONS)
def test_questions_in_the_language_pass_short_ones_too(language):
    assert [is_other_language(text, language, 0.8) for text in QUESTIONS[language]] == [False, False]


@pytest.mark.parametrize("language", QUESTIONS)
def test_longer_questions_in_any_other_language_do_not(language):
    others = [other for other in QUESTIONS if other != language]
    assert [other for other in others if not is_other_language(QUESTIONS[language][1], other, 0.8)] == []


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", "请用 TensorFlow 2.15 或 PyTorch 写一个简单的例子"),
        ("ja", "Microsoft Office 2016 の Word で表を作るには？"),
        ("ru", "Чем Google Chrome лучше Mozilla Firefox и Internet Explorer?"),
        ("hi", "Python और JavaScript में क्या अंतर है?"),
        ("zh", "DNA?"),
        ("sr", "Ko je napravio ovaj most preko reke i zašto?"),
        ("xx", "Why does bread rise in the oven?"),
    ],
)
def test_names_and_unknown_cases_are_not_taken_for_a_language(language, text):
    assert not is_other_language(text, language, 0.8)


def test_short_texts_in_another_script_are_known_by_it():
    assert is_other_language("请解释这个词的意思", "en", 0.8)
    assert is_other_language("Объясни это слово", "zh", 0.8)
    assert not is_other_language("Объясни это слово", "zh", 1.01)


def test_of_a_language_that_the_identifier_does_not_know_the_script_is_compared():
    assert is_other_language("Why does bread rise in the oven when it is baked?", "bo", 0.8)
    assert not is_other_language("བོད་ཡིག་འདི་ནི་ཡིན། ཁྱེད་རང་ག་པར་འགྲོ་གི་ཡོད།", "bo", 0.8)
    assert not is_other_language("Why does bread rise in the oven when it is baked?", "sd", 0.8)


def test_short_texts_in_latin_letters_may_be_names_or_code_in_any_language():
    assert not is_other_language("Hello World", "zh", 0.8)
    assert not is_other_language("print(data.mean())", "ja", 0.8)
    assert is_other_language("Please explain how the word that is given below came into use.", "zh", 0.8)


@pytest.mark.parametrize("unit", ["1.", "_", "é1", "\u0301", "a"])
def test_time_is_linear(unit):
    started = time.process_time()
    is_other_language("日本語の文です。" * 3 + unit * 50_000 + "日本語の文です。" * 9000, "ja", 0.8)
    assert time.process_time() - started < 8
