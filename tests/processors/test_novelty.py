"""Instructions too much like an earlier one: exactly those that comparing all pairs finds."""

import random

import numpy
import pytest
from datasets import Dataset
from rouge_score import tokenize
from rouge_score.rouge_scorer import RougeScorer

from davidgen_hf.errors import SettingError
from davidgen_hf.processors import NovelInstructions, apply
from davidgen_hf.schema import CANDIDATES, empty_candidate
from davidgen_hf.sources import embedded
from davidgen_hf.sources.seeds import SeedSource
from davidgen_hf.sources.subsequence import rouge_l


def near_texts(count: int) -> list[str]:
    """Questions and sentences of installed packages with words replaced, moved or left out: many are near 0.7."""
    rng = random.Random(0)
    known = embedded.seeds()["instruction"][:] + [
        sentence for text in embedded.passages()["text"][:40] for sentence in text.split(". ")
    ]
    vocabulary = [word for text in known for word in text.split()]
    texts = []
    while len(texts) < count:
        words = rng.choice(known[:60] if len(texts) % 2 else known).split()
        for _ in range(rng.randint(0, max(1, len(words) // 2))):
            place, other = rng.randrange(len(words)), rng.randrange(len(words))
            words[place] = rng.choice((words[other], rng.choice(vocabulary), ""))
        texts.append(" ".join(words))
    return texts


def by_all_pairs(texts: list[str], known: list[str], threshold: float) -> list[bool]:
    found, kept = [], [tokenize.tokenize(text, None) for text in known]
    for text in texts:
        tokens = tokenize.tokenize(text, None)
        found.append(any(rouge_l(tokens, other) >= threshold for other in kept))
        if not found[-1]:
            kept.append(tokens)
    return found


@pytest.mark.parametrize("threshold", [0.3, 0.7, 1.0])
def test_it_finds_what_comparing_all_pairs_finds(threshold):
    texts = near_texts(300)
    found = NovelInstructions(threshold=threshold).find(texts[20:], texts[:20]).tolist()
    assert found == by_all_pairs(texts[20:], texts[:20], threshold)
    assert 0 < sum(found) < len(found)


def test_it_finds_what_comparing_all_pairs_of_2000_finds():
    texts = near_texts(2000)
    found = NovelInstructions().find(texts).tolist()
    assert found == by_all_pairs(texts, [], 0.7)
    assert 200 < sum(found) < 1800


def test_the_measure_is_rouge_scores():
    scorer, texts = RougeScorer(["rougeL"]), near_texts(60)
    for one, other in zip(texts, texts[1:] + texts[:1], strict=True):
        expected = scorer.score(other, one)["rougeL"].fmeasure
        assert rouge_l(tokenize.tokenize(one, None), tokenize.tokenize(other, None)) == expected
    # Seven of ten words in common is 0.7 exactly, which is too much.
    words = [f"w{n}" for n in range(13)]
    assert NovelInstructions().find([" ".join(words[:10]), " ".join(words[3:])]).tolist() == [False, True]


def test_texts_without_words_are_novel():
    assert NovelInstructions().find(["", "???", "Name a river.", "", "NAME, a river!"]).tolist() == [False] * 4 + [
        True
    ]
    assert NovelInstructions().find([]).tolist() == []


def test_it_compares_with_seeds_and_with_what_stays_only(tmp_path):
    seeds = Dataset.from_list([{"instruction": "Name three rivers of Asia.", "output": "Amur, Indus, Ganges"}])
    seeds.to_json(tmp_path / "seeds.jsonl")
    texts = [
        "Name three rivers of Europe.",
        "Sort these numbers.",
        "Sort these numbers now.",
        "Sort numbers now please.",
    ]
    rows = [[empty_candidate(instruction=text)] for text in texts]
    rows.append([empty_candidate(instruction="Sort these numbers.", reject_reason="unfinished")])
    made = Dataset.from_dict({"candidates": rows}, features=CANDIDATES)
    step = NovelInstructions(seeds=(SeedSource(str(tmp_path / "seeds.jsonl")),))
    # The last one is like the third, which is not kept.
    expected = ["too_similar", None, "too_similar", None, "unfinished"]
    for found in (
        apply(step, made, batch_size=None),
        made.map(step, batched=True, batch_size=None),
    ):
        assert [many[0]["reject_reason"] for many in found["candidates"]] == expected
    whole = list(step.over_corpus([made[:2], made[2:]], tmp_path))
    assert [many[0]["reject_reason"] for shard in whole for many in shard["candidates"]] == expected


def test_the_threshold_is_checked():
    with pytest.raises(SettingError, match=r"threshold must be in \(0, 1\], got 0.0"):
        NovelInstructions(threshold=0.0)


def test_long_and_short_texts_do_not_hide_each_other():
    rng = numpy.random.default_rng(0)
    words = [f"w{n}" for n in range(40)]
    texts = [" ".join(rng.choice(words, rng.integers(1, 25))) for _ in range(250)]
    assert NovelInstructions(threshold=0.5).find(texts).tolist() == by_all_pairs(texts, [], 0.5)
