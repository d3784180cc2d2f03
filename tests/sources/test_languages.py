"""A language has one code, in whatever way a data set writes it."""

import pytest

from davidgen_hf.sources.languages import language_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("fr", "fr"),
        ("FR", "fr"),
        ("fr-CA", "fr"),
        ("fr_CA", "fr"),
        ("fra", "fr"),
        ("fre", "fr"),
        ("fra_Latn", "fr"),
        ("French", "fr"),
        ("Bengali", "bn"),
        ("Bangla", "bn"),
        ("Farsi", "fa"),
        ("français", "fr"),
        (" french ", "fr"),
        ("fr_FR.UTF-8", "fr"),
        ("zh_CN", "zh"),
        ("zh-Hant-TW", "zh"),
        ("cmn_Hans", "zh"),
        ("Chinese (Simplified)", "zh"),
        ("arb_Arab", "ar"),
        ("iw", "he"),
        ("nb", "nb"),
        ("fil", "fil"),
        ("tl", "fil"),
        ("yo", "yo"),
        ("cz", "cs"),
        ("jp", "ja"),
    ],
)
def test_codes_and_names(text, code):
    assert language_code(text) == code


@pytest.mark.parametrize(
    "text",
    ["und", "mul", "mis", "zxx", "", "?", "Python", "Java", "JavaScript", "C", "C++", "Go", "HTML", "unknown",
     "x" * 500, "\0", "\ud800", "en\0", "\0\x80\x80", "12", "x-me"],
)  # fmt: skip
def test_what_is_not_a_language(text):
    assert language_code(text) is None
