"""Any text, in any language: sentences, words and guards never fail, lose nothing and take little time."""

import itertools
import time

from fuzzing import CHECKS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from davidgen_hf.engines import EngineSettings
from davidgen_hf.processors import ExtractKeywords, ExtractSentence, GuardCandidates, LimitPassages
from davidgen_hf.processors.copied import copied_tokens
from davidgen_hf.processors.near_duplicates import NearDuplicates
from davidgen_hf.report.index import search_terms
from davidgen_hf.schema import empty_candidate
from davidgen_hf.sources.languages import language_code
from davidgen_hf.sources.paragraphs import Paragraphs
from davidgen_hf.sources.sentences import sentences, take_fallbacks
from davidgen_hf.sources.words import count_words, fold, word_spans, words

# Pieces that text cutters treat in a way of their own, and any characters, lone surrogates among them.
PIECES = st.sampled_from(
    [
        *".!?。！？…\n\r\t ()[]{}\"'“”«»「」_-–*#1٣٫²½aBßİﷺﬁⅧ\0\ud800\u0301\u200b",
        *("\n\n", "[12]", "Mr.", "z. B.", "http://a.b/c?d=e", "a@b.c", "e\u0301", "👨\u200d👩\u200d👧", "\U0010ffff"),
        *("日本", "中国人民", "มหาวิทยาลัย", "កម្ពុជា", "မြန်မာ", "ລາວ", "한국"),
        *("\x1c", "\x85", "\u2028", "\u200d", "\xad", "\ufeff", "\ufffd"),
    ]
)
ANY = st.text(st.characters(exclude_categories=()), max_size=300)
TEXT = st.one_of(st.lists(PIECES, max_size=80).map("".join), ANY)
LONG = st.builds(lambda unit, n: unit * (n // max(1, len(unit))), TEXT, st.integers(1, 20_000))
LANGUAGE = st.one_of(st.sampled_from(["en", "zh", "ja", "th", "km", "de", "ar", "Python", "und", "zh_CN"]), ANY)


@settings(suppress_health_check=CHECKS)
@given(TEXT | LONG, LANGUAGE)
@example("Mr.]😀\ufeff\t'😀-a\x1f1”กิ»\U0010ffff\n\na@b.c[“\ue000  \n\n\x85.éกิ", "nl")
def test_sentences_lose_nothing(text, language):
    started = time.process_time()
    found = sentences(text, language)
    assert time.process_time() - started < 2
    assert take_fallbacks() == 0
    assert all(text[start:end] == sentence != "" for sentence, start, end in found)
    assert "".join("".join(sentence.split()) for sentence, _, _ in found) == "".join(text.split())


@settings(suppress_health_check=CHECKS)
@given(TEXT | LONG)
def test_words_are_the_same_in_any_order_of_requests(text):
    found, spans = words(text), list(word_spans(text))
    assert len(found) == len(spans) == count_words(text)
    assert [fold(text[start:end]) for start, end in spans] == found
    assert all(found)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans))
    assert words(fold(text)) == words(fold(fold(text)))
    assert all(not set(term) & set('" *()') for term in search_terms(text))


@settings(suppress_health_check=CHECKS)
@given(LANGUAGE)
def test_a_language_is_a_short_code_or_none(language):
    code = language_code(language)
    assert code is None or (code.isascii() and code.isalpha() and 2 <= len(code) <= 8)
    assert code is None or language_code(code) == code


@settings(suppress_health_check=CHECKS)
@given(TEXT, TEXT, LANGUAGE)
def test_steps_take_any_text(output, instruction, language):
    candidate = empty_candidate(instruction=instruction, input=output, finished=True)
    batch = {"text": [output], "output": [output], "candidates": [[candidate, candidate]], "language": [language]}
    marked = GuardCandidates()(batch)["candidates"][0]
    assert marked[1]["reject_reason"] is not None
    assert ExtractSentence()(batch)["output"] == [] or output.strip()
    assert all(row in output for row in LimitPassages(engine=EngineSettings("echo"), max_tokens=5)(batch)["text"])
    ends = list(range(1, len(output) + 1))
    assert copied_tokens(output, ends, output, 1) <= set(range(len(output)))
    assert NearDuplicates().similarity(output, output) == 1.0


@settings(suppress_health_check=CHECKS)
@given(TEXT, LANGUAGE)
def test_keywords_of_any_text(text, language):
    assert len(ExtractKeywords()({"text": [text], "language": [language]})["output"]) <= 1


@settings(suppress_health_check=CHECKS)
@given(TEXT | LONG, LANGUAGE, st.integers(1, 5), st.integers(5, 50))
def test_paragraphs_keep_their_bounds(text, language, least, most):
    spans = list(Paragraphs(least, most).spans(text, language))
    assert all(least <= count_words(text[start:end]) <= most for start, end in spans)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans))
