"""How diverse instructions are: verbs and nouns, n-grams, similarity to each other, and lengths (Figures 5 and 6)."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from davidgen_hf.evaluation.root_verbs import Pair
from davidgen_hf.evaluation.rouge import text_rouge_l
from davidgen_hf.sources.words import count_words, words

TOP_VERBS, TOP_NOUNS = 20, 4
ORDERS = (1, 2, 3)


@dataclass(frozen=True)
class Instructions:
    """What is measured: instructions with their inputs and outputs, ``(n,)`` each; inputs may be empty."""

    instructions: list[str]
    inputs: list[str]
    outputs: list[str]

    def unique(self) -> "Instructions":
        """Return each different instruction once, with its first input and output."""
        rows: dict[str, tuple[str, str, str]] = {}
        for row in zip(self.instructions, self.inputs, self.outputs, strict=True):
            rows.setdefault(row[0], row)
        return Instructions(*(list(column) for column in zip(*rows.values(), strict=True)))


def count_verb_nouns(pairs: Sequence[Pair], top_verbs: int = TOP_VERBS, top_nouns: int = TOP_NOUNS) -> dict[str, Any]:
    """Count root verbs and their objects.

    As in Self-Instruct, only instructions with both are counted into ``top``; equal counts go by the alphabet.

    Args:
        pairs: What ``root_verbs`` returns.
        top_verbs: How many of the most common verbs are listed.
        top_nouns: How many of the most common nouns of each.

    Returns:
        How many instructions have a verb, and a verb and a noun; how many different verbs and pairs there are; and
        ``top``, the verbs with their counts and nouns, most common first.
    """
    whole = Counter((verb, noun) for verb, noun in pairs if verb and noun)
    verbs: Counter[str] = Counter()
    for (verb, _), count in whole.items():
        verbs[verb] += count
    top = []
    for verb, count in _most_common(verbs, top_verbs):
        nouns = Counter({noun: number for (its_verb, noun), number in whole.items() if its_verb == verb})
        listed = [{"noun": noun, "count": number} for noun, number in _most_common(nouns, top_nouns)]
        top.append({"verb": verb, "count": count, "nouns": listed})
    return {
        "n_with_verb": sum(verb is not None for verb, _ in pairs),
        "n_with_verb_and_noun": whole.total(),
        "n_verbs": len(verbs),
        "n_pairs": len(whole),
        "top": top,
    }


def distinct_n(texts: Iterable[str], orders: Sequence[int] = ORDERS) -> dict[str, float | None]:
    """Return the share of different n-grams among all n-grams of words without case (Li et al., 2016), by order.

    It falls with the amount of text, so only equal amounts compare. ``None`` where no text is that long.
    """
    rows = [words(text) for text in texts]
    shares = {}
    for n in orders:
        grams = [gram for row in rows for gram in zip(*(row[start:] for start in range(n)), strict=False)]
        shares[str(n)] = len(set(grams)) / len(grams) if grams else None
    return shares


def self_rouge_l(texts: Sequence[str]) -> list[float]:
    """Return each text's best ROUGE-L F1 against all others, 0 to 1, ``(n,)``; empty below two texts.

    The ROUGE-L is that of SuperNI's default track in English, and counts words of any script. The time grows with the
    square of ``n``: 500 take some seconds.
    """
    if len(texts) < 2:
        return []
    return [
        max(text_rouge_l(text, other) for other in (*texts[:place], *texts[place + 1 :]))
        for place, text in enumerate(tqdm(texts, desc="self-ROUGE-L"))
    ]


def length_statistics(lengths: Sequence[int]) -> dict[str, float]:
    """Return number, mean, standard deviation, median, 95th percentile, minimum and maximum."""
    values = np.asarray(lengths)
    return {
        "n": len(values),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "median": float(np.median(values)),
        "p95": float(np.quantile(values, 0.95)),
        "min": int(values.min()),
        "max": int(values.max()),
    }


def measure_diversity(
    rows: Instructions,
    pairs: Sequence[Pair],
    count_lengths: Callable[[list[str]], list[int]] | None = None,
    sample_size: int = 500,
    seed: int = 0,
) -> dict[str, Any]:
    """Return all measurements, ready for JSON.

    Args:
        rows: The instructions.
        pairs: Verb and noun of each instruction, as ``root_verbs`` returns them.
        count_lengths: Counts the tokens of texts; ``None`` counts words.
        sample_size: How many instructions are drawn for ``sample``, whose figures compare between corpora.
        seed: Seed of the draw.
    """
    count = count_lengths or (lambda texts: [count_words(text) for text in texts])
    whole = [" ".join(filter(None, row)) for row in zip(rows.instructions, rows.inputs, strict=True)]
    drawn = random.Random(seed).sample(rows.instructions, min(sample_size, len(rows.instructions)))
    nearest = self_rouge_l(drawn)
    return {
        "n_instructions": len(rows.instructions),
        "n_unique_instructions": len(set(rows.instructions)),
        "lengths": {
            "unit": "tokens" if count_lengths else "words",
            "instruction": length_statistics(count(rows.instructions)),
            "instruction_and_input": length_statistics(count(whole)),
            "output": length_statistics(count(rows.outputs)),
        },
        "distinct": distinct_n(rows.instructions),
        "sample": {
            "n": len(drawn),
            "seed": seed,
            "distinct": distinct_n(drawn),
            "self_rougeL": float(np.mean(nearest)) if nearest else None,
        },
        "verb_nouns": count_verb_nouns(pairs),
    }


def _most_common(counts: Counter[str], n: int) -> list[tuple[str, int]]:
    return list(islice(sorted(counts.items(), key=lambda item: (-item[1], item[0])), n))
