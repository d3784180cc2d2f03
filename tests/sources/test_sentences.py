"""Sentences are cut by the rules of their language, and lie where they say."""

import json

import pytest

from davidgen_hf.sources.sentences import sentences

TEXT = " Dr. Smith went to Washington D.C. yesterday. He saw 3.5 million people!  Was it fun? \n"


def test_sentences_know_abbreviations_and_numbers():
    assert [text for text, _, _ in sentences(TEXT, "en")] == [
        "Dr. Smith went to Washington D.C. yesterday.",
        "He saw 3.5 million people!",
        "Was it fun?",
    ]


@pytest.mark.parametrize("name", ["enwiki", "wikitext2_raw_test", "xquad_de", "xquad_es", "xquad_ru", "xquad_zh"])
def test_every_sentence_lies_where_it_says(shared_data, name):
    lines = (shared_data / "passages" / f"{name}.jsonl").read_text("utf-8").splitlines()[:40]
    for text in (json.loads(line)["text"] for line in lines):
        found = sentences(text, name[-2:] if "xquad" in name else "en")
        assert [text[start:end] for _, start, end in found] == [sentence for sentence, _, _ in found]
        assert "".join("".join(sentence.split()) for sentence, _, _ in found) == "".join(text.split())
