"""What is measured of an arm: how well its model predicts people's answers, what it answers, and its instructions."""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from davidgen_hf import prompts
from davidgen_hf.engines import Engine, EngineSettings, Sampling, load_engine, release_models
from davidgen_hf.errors import EvaluationError, RunFolderError
from davidgen_hf.evaluation.diversity import distinct_n
from davidgen_hf.evaluation.meteor import example_scores
from davidgen_hf.evaluation.rouge import text_rouge_l
from davidgen_hf.evaluation.superni import normalize
from davidgen_hf.processors import GuardCandidates
from davidgen_hf.processors.guard import runs
from davidgen_hf.sources.words import words
from davidgen_hf.storage.shards import iterate_columns
from davidgen_hf.storage.validation import read_json

RESAMPLES = 2000
HALVES = 200
ANSWERS = ("rouge_l", "exact_match", "meteor")
_ADVICE = "It holds what was measured of an arm, and this one is damaged. Delete it, and the arm is measured again."
COPIED_WORDS = GuardCandidates().max_copied_run + 1
Scores = dict[str, Any]
logger = logging.getLogger(__name__)


def measures_path(output: Path, arm: str, seed: int) -> Path:
    """Return the file that holds what was measured of an arm."""
    return output / "measures" / f"{arm}_{seed}.json"


def read_measures(path: Path) -> dict[str, Any] | None:
    """Return what was measured of an arm; None if nothing was.

    Raises:
        RunFolderError: The file is damaged.
    """
    return read_json(path, dict[str, Any], _ADVICE, error=RunFolderError) if path.is_file() else None


def measure_likelihoods(engine: EngineSettings, tasks: Mapping[str, Dataset]) -> dict[str, Scores]:
    """Return how likely a model finds the answers that people wrote, by name of the set of tasks.

    Args:
        engine: The model, and how it runs.
        tasks: Rows of ``schema.SEED``.

    Returns:
        For each set ``nll`` of the reference (nats) and ``n_tokens`` of it, both ``(n,)``, None where it is too long;
        ``of`` is a hash of the tasks.
    """
    loaded = load_engine(engine)
    found = {name: _score(loaded, rows) for name, rows in tasks.items()}
    release_models()
    return found


def measure_answers(
    engine: EngineSettings, tasks: Mapping[str, Dataset], answered: int, max_new_tokens: int
) -> dict[str, Scores]:
    """Return how close the answers of a model come to those that people wrote, by name of the set of tasks.

    Args:
        engine: The model, and how it runs.
        tasks: Rows of ``schema.SEED``.
        answered: Number of tasks of each set that it answers, greedily, from the first on.
        max_new_tokens: Longest answer, in tokens.

    Returns:
        For each set ``rouge_l``, ``exact_match`` and, where NLTK's data is installed, ``meteor``, ``(answered,)``,
        0 to 100, None where the prompt leaves no room; ``of`` as in ``measure_likelihoods``.
    """
    loaded = load_engine(engine)
    found = {name: _answer(loaded, rows, answered, max_new_tokens) for name, rows in tasks.items()}
    release_models()
    return found


def _texts(rows: Dataset) -> tuple[list[str], list[str], str]:
    contexts = [prompts.render_follower(row["instruction"], row["input"]) for row in rows]
    references = rows["output"][:]
    return contexts, references, sha256(json.dumps([contexts, references]).encode()).hexdigest()


def _score(engine: Engine, rows: Dataset) -> Scores:
    contexts, references, of = _texts(rows)
    rooms, lengths = engine.tokens_left(contexts), engine.count_tokens(references)
    fits = [place for place, room in enumerate(rooms) if room >= max(lengths[place], 1)]
    scores = engine.score([contexts[place] for place in fits], [references[place] for place in fits])
    nll: list[float | None] = [None] * len(contexts)
    n_tokens: list[int | None] = [None] * len(contexts)
    for place, score in zip(fits, scores, strict=True):
        if score and math.isfinite(score.nll):
            nll[place], n_tokens[place] = score.nll, score.n_tokens
    return {"of": of, "nll": nll, "n_tokens": n_tokens}


def _answer(engine: Engine, rows: Dataset, answered: int, max_new_tokens: int) -> Scores:
    contexts, references, of = _texts(rows)
    rooms = engine.tokens_left(contexts)
    prompted = [place for place in range(min(answered, len(contexts))) if rooms[place] > max_new_tokens]
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=0.0)
    written = engine.generate([contexts[place] for place in prompted], n=1, sampling=sampling) if prompted else []
    answers = [(texts or [""])[0].strip() for texts in written]
    expected = [references[place] for place in prompted]
    pairs = list(zip(answers, expected, strict=True))
    figures = {
        "rouge_l": [text_rouge_l(*pair) for pair in pairs],
        "exact_match": [float(normalize(answer) == normalize(reference)) for answer, reference in pairs],
    }
    try:
        figures["meteor"] = example_scores(answers, expected) if pairs else []
    except EvaluationError as error:
        logger.warning("METEOR is left out: %s", error)
    found: Scores = {"of": of}
    for name, values in figures.items():
        placed = dict(zip(prompted, values, strict=True))
        found[name] = [100 * placed[place] if place in placed else None for place in range(min(answered, len(rows)))]
    return found


def measure_corpus(folder: Path) -> dict[str, Any]:
    """Return what ``describe_pairs`` does of a corpus.

    Raises:
        RunFolderError: A shard is damaged.
    """
    return describe_pairs(iterate_columns(folder, ("instruction", "output")))


def describe_pairs(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return number, diversity and copies of pairs.

    Returns:
        ``pairs``, ``distinct_2`` of the instructions, and the share of ``copies``; with them what intervals are made
        of: ``copied`` for each pair, ``(n,)``, and the ``instructions``.
    """
    instructions, copied = [], []
    for row in rows:
        instructions.append(row["instruction"])
        both = (runs(words(row[name]), COPIED_WORDS) for name in ("instruction", "output"))
        copied.append(int(bool(set.intersection(*map(set, both)))))
    n = len(instructions)
    distinct = distinct_n(instructions, (2,))["2"] if n else None
    figures = {"pairs": n, "distinct_2": distinct, "copies": sum(copied) / n if n else None}
    return figures | {"copied": copied, "instructions": instructions}


def compare(arm: list[Scores], reference: list[Scores] | None, seed: int = 0) -> dict[str, Any]:
    """Return what a set of tasks says of an arm, and its difference to the reference.

    Args:
        arm: Its likelihoods, and answers where there are some, one per training seed.
        reference: Those of the arm that it is compared with.
        seed: Of the bootstrap.

    Returns:
        ``perplexity`` and each of ``ANSWERS``, and against the reference ``nats`` (per token; negative is better) and
        ``NAME_change``: each ``value`` and the ``interval`` that holds 95 % of the resampled values, tasks being
        resampled in pairs and seeds averaged; None where there is nothing to measure. ``nats`` has the value
        ``by_seed`` too, where both arms have as many seeds.
    """
    generator = np.random.default_rng(seed)
    ours, theirs = _mean(arm, "nll"), _mean(reference, "nll") if reference else None
    tokens = np.array([math.nan if one is None else one for one in arm[0]["n_tokens"]], dtype=float)
    found = {"perplexity": _ratio(ours, tokens, generator, np.exp), "nats": None}
    if reference is not None and theirs is not None:
        found["nats"] = _ratio(ours - theirs, tokens, generator)
        if found["nats"] and len(arm) == len(reference) > 1:
            pairs = zip(arm, reference, strict=True)
            each = (_ratio(_mean([one], "nll") - _mean([other], "nll"), tokens, generator) for one, other in pairs)
            found["nats"]["by_seed"] = [one["value"] for one in each if one]
    for name in ANSWERS:
        found[name] = found[f"{name}_change"] = None
        if all(name in one for one in arm):
            values = _mean(arm, name)
            found[name] = _ratio(values, np.ones(len(values)), generator)
            if reference and all(name in one for one in reference):
                found[f"{name}_change"] = _ratio(values - _mean(reference, name), np.ones(len(values)), generator)
    return found


def compare_corpora(arm: list[Scores], reference: list[Scores], measure: str, seed: int = 0) -> dict[str, Any]:
    """Return the difference in ``distinct_2`` or ``copies`` of two corpora, with its interval.

    Copies are resampled with replacement, pair by pair. Repeated instructions would lower distinct-2, so its interval
    comes from random halves without replacement, which vary as much as the whole does.

    Args:
        arm: Of ``describe_pairs``, one per training seed.
        reference: The same of the other arm.
        measure: ``distinct_2`` or ``copies``.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    value = float(np.mean([one[measure] for one in arm]) - np.mean([one[measure] for one in reference]))
    if measure == "copies":
        sides = [np.array([one["copied"] for one in side], dtype=float).mean(axis=0) for side in (arm, reference)]
        drawn = [side[generator.integers(len(side), size=(RESAMPLES, len(side)))].mean(axis=1) for side in sides]
        resampled = drawn[0] - drawn[1]
        low, high = np.quantile(resampled, (0.025, 0.975))
    else:
        halves = np.array([_half(arm, generator) - _half(reference, generator) for _ in range(HALVES)])
        low, high = value + np.quantile(halves - halves.mean(), (0.025, 0.975))
    return {"value": round(value, 4), "interval": [round(float(low), 4), round(float(high), 4)], "n": arm[0]["pairs"]}


def _half(corpora: list[Scores], generator: np.random.Generator) -> float:
    instructions = corpora[0]["instructions"]
    chosen = generator.permutation(len(instructions))[: len(instructions) // 2]
    return distinct_n([instructions[place] for place in chosen], (2,))["2"] or 0.0


def _mean(scores: list[Scores], name: str) -> np.ndarray:
    """Return the mean over seeds of each task, ``(n,)``, NaN where one of them has no value."""
    table = [[math.nan if one is None else one for one in score[name]] for score in scores]
    means: np.ndarray = np.array(table, dtype=float).mean(axis=0)
    return means


def _ratio(values: np.ndarray, weights: np.ndarray, generator: np.random.Generator, form: Any = float) -> Any:
    """Return the sum of values over that of their weights, and its interval by the bootstrap over tasks."""
    known = np.isfinite(values) & np.isfinite(weights)
    values, weights = values[known], weights[known]
    if not len(values):
        return None
    places = generator.integers(len(values), size=(RESAMPLES, len(values)))
    resampled = values[places].sum(axis=1) / weights[places].sum(axis=1)
    ends = np.quantile(resampled, (0.025, 0.975))
    return {
        "value": round(float(form(values.sum() / weights.sum())), 4),
        "interval": [round(float(form(end)), 4) for end in ends],
        "n": len(values),
    }
