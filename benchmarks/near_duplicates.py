"""How well are near-duplicates of real instructions found? ``python -m benchmarks.near_duplicates --data FOLDER``.

Instructions that people wrote are split in two by a hash of their text. On the smaller part the settings are compared;
on 2,000 of the larger part the package's own settings are measured. Into each, edits of every tenth instruction are
planted at random places behind it: other case, other punctuation, or one word changed, left out or added. What is
found beside them repeats another instruction by itself; the nearest of these are listed, for reading.
"""

import argparse
import json
import random
import tempfile
import zlib
from collections import Counter
from pathlib import Path

from davidgen_hf.processors.near_duplicates import NearDuplicates
from davidgen_hf.sources.embedded import seeds

# Tasks whose inputs are questions or commands that people wrote, with the words that stand before them.
QUESTION_TASKS = {
    "task582_naturalquestion_answer_generation": "",
    "task1656_gooaq_answer_generation": "",
    "task121_zest_text_modification": "",
    "task1562_zest_text_modification": "",
    "task673_google_wellformed_query_classification": "",
    "task834_mathdataset_classification": "",
    "task062_bigbench_repeat_copy_logic": "",
    "task176_break_decompose_questions": "question:",
    "task346_hybridqa_classification": "",
    "task575_air_dialogue_classification": "",
    "task1599_smcalflow_classification": "",
    "task1603_smcalflow_sentence_generation": "",
}
THRESHOLDS = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
REPORTED = 2000


def read_instructions(data: Path) -> list[str]:
    """Return different instructions of people: seeds, task definitions, questions about passages, queries."""
    found = [row["instruction"] for row in seeds()]
    for name in ("seed_tasks", "user_oriented_instructions"):
        found += [row["instruction"] for row in _lines(data / "self_instruct" / f"{name}.jsonl")]
    found += [question for row in _lines(data / "passages" / "xquad_en.jsonl") for question in row["questions"]]
    for path in sorted((data / "superni" / "tasks").glob("*.json")):
        task = json.loads(path.read_text("utf-8"))
        found.append(task["Definition"][0])
        if path.stem in QUESTION_TASKS:
            found += [one["input"].removeprefix(QUESTION_TASKS[path.stem]) for one in task["Instances"]]
    return list(dict.fromkeys(text.strip() for text in found))


def edit(text: str, kind: str, draw: random.Random, vocabulary: list[str]) -> str:
    """Return a text with one edit of a kind; the text itself where nothing can be edited."""
    words = text.split()
    place = draw.randrange(len(words))
    if kind == "case":
        return draw.choice([text.upper(), text.lower(), text.title()]).strip()
    if kind == "punctuation":
        bare = "".join(character for character in text if character not in ".,;:!?\"'()")
        return draw.choice([bare, text.rstrip(".?!") + draw.choice(["!", "...", " ."]), f'"{text}"'])
    if kind == "word_changed":
        return " ".join([*words[:place], draw.choice(vocabulary), *words[place + 1 :]])
    if kind == "word_left_out":
        return " ".join([*words[:place], *words[place + 1 :]]) if len(words) > 1 else text
    return " ".join([*words[:place], draw.choice(vocabulary), *words[place:]])


KINDS = ("case", "punctuation", "word_changed", "word_left_out", "word_added")


def plant(texts: list[str], seed: int) -> tuple[list[str], dict[int, tuple[str, str]]]:
    """Put an edit of every tenth text somewhere behind it; return all, and kind and original of each edit's place."""
    draw = random.Random(seed)
    vocabulary = sorted({word for text in texts for word in text.split()})
    rows: list[tuple[float, str, tuple[str, str] | None]] = [(place, text, None) for place, text in enumerate(texts)]
    for number, place in enumerate(sorted(draw.sample(range(len(texts)), len(texts) // 10))):
        kind = KINDS[number % len(KINDS)]
        edited = edit(texts[place], kind, draw, vocabulary)
        rows.append((draw.uniform(place + 0.5, len(texts)), edited, (kind, texts[place])))
    rows.sort(key=lambda row: row[0])
    return [text for _, text, _ in rows], {place: row[2] for place, row in enumerate(rows) if row[2]}


def measure(settings: NearDuplicates, texts: list[str], planted: dict[int, tuple[str, str]]) -> dict:
    """Return recall by kind, and what was found beside the planted ones."""
    with tempfile.TemporaryDirectory() as folder:
        found = settings.find(((str(n), text) for n, text in enumerate(texts)), Path(folder))
    of_kind = Counter(kind for kind, _ in planted.values())
    hits = Counter(kind for place, (kind, _) in planted.items() if found[place])
    others = [place for place in found.nonzero()[0].tolist() if place not in planted]
    return {
        "threshold": settings.threshold,
        "shingle_chars": settings.shingle_chars,
        "recall": hits.total() / len(planted),
        "recall_by_kind": {kind: f"{hits[kind]}/{number}" for kind, number in of_kind.items()},
        "found": int(found.sum()),
        "found_beside": len(others),
        "share_planted": hits.total() / max(1, int(found.sum())),
        "beside": [_nearest(settings, texts, place) for place in others],
    }


def _nearest(settings: NearDuplicates, texts: list[str], place: int) -> tuple[float, str, str]:
    score, other = max((settings.similarity(texts[place], text), text) for text in texts[:place])
    return round(score, 3), other, texts[place]


def main() -> None:
    """Compare settings on one part of the instructions, measure on the other, and write both down."""
    parser = argparse.ArgumentParser("python -m benchmarks.near_duplicates", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="Folder of the tests' real data.")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results") / "near_duplicates.json")
    args = parser.parse_args()
    texts = sorted(read_instructions(args.data), key=lambda text: zlib.crc32(text.encode()))
    print(f"{len(texts)} instructions")
    reported, chosen_on = plant(texts[:REPORTED], 1), plant(texts[REPORTED:], 0)
    choice = [measure(NearDuplicates(t, k), *chosen_on) for k in (3, 4, 5) for t in THRESHOLDS]
    result = {"compared_on": len(texts) - REPORTED, "compared": choice, "measured_on": REPORTED}
    result["measured"] = measure(NearDuplicates(), *reported)
    for one in [*choice, result["measured"]]:
        print({key: value for key, value in one.items() if key != "beside"})
    # The texts beside are other people's: they are shown, and not kept.
    for score, earlier, later in sorted(result["measured"].pop("beside")):
        print(f"{score}\n  {earlier}\n  {later}")
    for one in choice:
        one.pop("beside")
    args.output.write_text(json.dumps(result, indent=1) + "\n")


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    main()
