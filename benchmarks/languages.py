"""How well are other languages handled? ``python -m benchmarks.languages --data FOLDER``.

FOLDER holds ``passages/xquad_LANGUAGE.jsonl``, each line with ``text`` and ``questions``. Three tables per language:

- The language guard: false rejections of real questions, and detection of questions in each other language.
- The copy guard: copies of 10 consecutive words of a passage are planted in a question about another passage, at any
  word or, in scripts without spaces, any character; and whole sentences, in other case and punctuation, with soft
  hyphens, German compounds with hyphens, or lines of 6 characters. Recall is the share of them that is found;
  precision is the share of planted copies in all that is found, when the real questions about the same passage are
  guarded too. Some of these repeat more than 7 words of it in a row, and are rejected for that.
- Sentences: their ends against those marked by hand in ``sentence_ends.json``, in 50 paragraphs that have the most
  numbers, abbreviations and quotations, or were taken at even distances.

Text like Thai, without spaces, is made of Thai names in Babel's data, so that it needs no other file.
"""

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from babel import Locale

from davidgen_hf.processors import GuardCandidates
from davidgen_hf.processors.language import SHORT_WORDS, is_other_language
from davidgen_hf.schema import empty_candidate
from davidgen_hf.sources.sentences import sentences
from davidgen_hf.sources.words import count_words, is_unspaced, word_spans

CONFIDENCE = GuardCandidates().min_language_confidence
RUN = 10  # words
_MARKS = re.compile(r"[.,;:!?()。，、；：！？（）“”„«»\"]")  # noqa: RUF001
_COMPOUND = re.compile(r"(\w{6,})(\w{6,})")
MARKS = json.loads(Path(__file__).with_name("sentence_ends.json").read_text("utf-8"))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser("python -m benchmarks.languages", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="Folder with passages/xquad_*.jsonl.")
    files = sorted((parser.parse_args().data / "passages").glob("xquad_*.jsonl"))
    rows = {
        path.stem.removeprefix("xquad_"): [json.loads(line) for line in path.open(encoding="utf-8")] for path in files
    }
    _print(["language", "questions", "rejected", "of all", "", "worst other language", "found over 8 words", "found"])
    for row in guarded({code: [one["questions"] for one in found] for code, found in rows.items()}):
        _print(row)
    texts = {code: [(one["text"], one["questions"]) for one in found] for code, found in rows.items()}
    _print(["\nlanguage", "copies", "found", "recall", "questions rejected", "precision", "missed by kind"])
    for code, pairs in (texts | {"th": thai_like()}).items():
        _print(copied(code, pairs))
    _print(["\nlanguage", "paragraphs", "ends", "missed", "extra", "precision", "recall"])
    for code, found in rows.items():
        if marked := [one for one in found if one["id"] in MARKS]:
            _print(cut(code, marked))


def guarded(questions: dict[str, list[list[str]]]) -> Iterator[list]:
    """Yield a row per language: questions rejected, of each first one and of all, and the least found in another."""
    for code, groups in questions.items():
        first, every = [group[0] for group in groups], [one for group in groups for one in group]
        rejected = [sum(is_other_language(text, code, CONFIDENCE) for text in texts) for texts in (first, every)]
        worst = (1.0, "-", "")
        for other in questions.keys() - {code}:
            long = [text for group in questions[other] for text in group if count_words(text) > SHORT_WORDS]
            found = sum(is_other_language(text, code, CONFIDENCE) for text in long)
            worst = min(worst, (found / len(long), other, f"{found} of {len(long)}"))
        share = f"{rejected[0] / len(first):.1%}"
        yield [
            code,
            len(first),
            rejected[0],
            f"{rejected[1]} of {len(every)}",
            share,
            worst[1],
            worst[2],
            f"{worst[0]:.1%}",
        ]


def copied(code: str, pairs: list[tuple[str, list[str]]]) -> list:
    """Return a row of the copy guard's figures for one language."""
    draw, guard = random.Random(0), GuardCandidates(min_language_confidence=1.01, max_words=10_000)
    planted, missed, rejected, asked = 0, dict[str, int](), 0, 0
    for place, (text, questions) in enumerate(pairs):
        around = pairs[(place + 7) % len(pairs)][1][0]
        copies = plant(text, around, code, draw)
        candidates = [
            empty_candidate(instruction=one, input="", finished=True) for one in [*copies.values(), *questions]
        ]
        marked = guard({"output": [text], "candidates": [candidates], "language": [code]})["candidates"][0]
        found = [one["reject_reason"] == "copies_output" for one in marked]
        for kind, was_found in zip(copies, found, strict=False):
            planted += 1
            missed[kind] = missed.get(kind, 0) + (not was_found)
        rejected += sum(found[len(copies) :])
        asked += len(questions)
    hits = planted - sum(missed.values())
    kinds = ", ".join(f"{kind} {number}" for kind, number in missed.items() if number) or "-"
    precision = hits / (hits + rejected)
    return [code, planted, hits, f"{hits / planted:.1%}", f"{rejected} of {asked}", f"{precision:.1%}", kinds]


def plant(text: str, around: str, code: str, draw: random.Random) -> dict[str, str]:
    """Return instructions that copy a text, by the kind of copy."""
    spans = list(word_spans(text))
    start = draw.randrange(max(1, len(spans) - RUN))
    begin, end = spans[start][0], spans[min(start + RUN, len(spans)) - 1][1]
    whole = max((one for one, _, _ in sentences(text, code)), key=lambda one: (count_words(one) <= 40, len(one)))
    copies = {
        "run": f"{around} {text[begin:end]}",
        "sentence": whole,
        "case": whole.upper(),
        "punctuation": _MARKS.sub(" ", whole),
        "soft_hyphens": "\u00ad".join(whole[place : place + 6] for place in range(0, len(whole), 6)),
    }
    if code == "de":
        copies["hyphens"] = _COMPOUND.sub(r"\1-\2", whole)
    if is_unspaced(whole):
        cut = spans[min(start + RUN + 4, len(spans)) - 1][1]
        copies["any_character"] = f"{around}{text[max(0, begin - 1) : cut - 1]}"
        copies["lines"] = "\n".join(whole[place : place + 6] for place in range(0, len(whole), 6))
    return copies


def thai_like() -> list[tuple[str, list[str]]]:
    """Return texts of Thai words without spaces, each with a question of other words."""
    locale, draw = Locale("th"), random.Random(1)
    names = sorted(
        {*locale.territories.values(), *locale.languages.values(), *locale.months["format"]["wide"].values()}
    )
    names = [name for name in names if is_unspaced(name) and " " not in name]
    texts = ["".join(draw.sample(names, 30)) for _ in range(240)]
    return [(text, ["ทำไม" + "".join(draw.sample(names, 3)) + "จึงอยู่ใกล้กัน"]) for text in texts]


def cut(code: str, marked: list[dict]) -> list:
    """Return a row of the sentences' figures for one language."""
    ends, missed, extra = 0, 0, 0
    for one in marked:
        expected, either = set(MARKS[one["id"]]["ends"]), set(MARKS[one["id"]]["either"])
        found = {end for _, _, end in sentences(one["text"], code)} - either
        ends, missed, extra = ends + len(expected), missed + len(expected - found), extra + len(found - expected)
    hits = ends - missed
    return [code, len(marked), ends, missed, extra, f"{hits / (hits + extra):.1%}", f"{hits / ends:.1%}"]


def _print(row: list) -> None:
    print(" | ".join(map(str, row)), flush=True)


if __name__ == "__main__":
    main()
