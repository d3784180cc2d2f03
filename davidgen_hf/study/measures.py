"""What is measured of an arm: how well its model predicts people's answers, what it answers, and its instructions."""

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from davidgen_hf import prompts
from davidgen_hf.engines import Engine, EngineSettings, Sampling, load_engine, release_models
from davidgen_hf.errors import RunFolderError
from davidgen_hf.evaluation.diversity import distinct_n
from davidgen_hf.evaluation.rouge import text_rouge_l
from davidgen_hf.processors import GuardCandidates
from davidgen_hf.processors.guard import runs
from davidgen_hf.sources.words import words
from davidgen_hf.storage.shards import iterate_columns
from davidgen_hf.storage.validation import read_json

RESAMPLES = 2000
_ADVICE = "It holds what was measured of an arm, and this one is damaged. Delete it, and the arm is measured again."
COPIED_WORDS = GuardCandidates().max_copied_run + 1
Scores = dict[str, Any]


def measures_path(output: Path, arm: str, seed: int) -> Path:
    """Return the file that holds what was measured of an arm."""
    return output / "measures" / f"{arm}_{seed}.json"


def read_measures(path: Path) -> dict[str, Any] | None:
    """Return what was measured of an arm; None if nothing was.

    Raises:
        RunFolderError: The file is damaged.
    """
    return read_json(path, dict[str, Any], _ADVICE, error=RunFolderError) if path.is_file() else None


def measure_model(
    engine: EngineSettings, tasks: Mapping[str, Dataset], answered: int, max_new_tokens: int
) -> dict[str, Scores]:
    """Return what a model makes of tasks whose answers people wrote, by name of their set.

    Args:
        engine: The model, and how it runs.
        tasks: Rows of ``schema.SEED``.
        answered: Number of tasks of each set that it answers, greedily, from the first on.
        max_new_tokens: Longest answer, in tokens.

    Returns:
        For each set ``nll`` of the reference (nats), ``n_tokens`` of it, both ``(n,)``, None where it is too long; and
        ``rouge_l`` of the answers, ``(answered,)``, 0 to 100. ``of`` is a hash of the tasks.
    """
    loaded = load_engine(engine)
    found = {name: _measure(loaded, rows, answered, max_new_tokens) for name, rows in tasks.items()}
    release_models()
    return found


def _measure(engine: Engine, rows: Dataset, answered: int, max_new_tokens: int) -> Scores:
    contexts = [prompts.render_follower(row["instruction"], row["input"]) for row in rows]
    references = rows["output"][:]
    rooms, lengths = engine.tokens_left(contexts), engine.count_tokens(references)
    fits = [place for place, room in enumerate(rooms) if room >= max(lengths[place], 1)]
    scores = engine.score([contexts[place] for place in fits], [references[place] for place in fits])
    nll: list[float | None] = [None] * len(contexts)
    n_tokens: list[int | None] = [None] * len(contexts)
    for place, score in zip(fits, scores, strict=True):
        if score and math.isfinite(score.nll):
            nll[place], n_tokens[place] = score.nll, score.n_tokens
    asked = [place for place in range(min(answered, len(contexts))) if rooms[place] > max_new_tokens]
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=0.0)
    written = engine.generate([contexts[place] for place in asked], n=1, sampling=sampling) if asked else []
    rouge: list[float | None] = [None] * min(answered, len(contexts))
    for place, texts in zip(asked, written, strict=True):
        rouge[place] = 100 * text_rouge_l((texts or [""])[0].strip(), references[place])
    of = sha256(json.dumps([contexts, references]).encode()).hexdigest()
    return {"of": of, "nll": nll, "n_tokens": n_tokens, "rouge_l": rouge}


def measure_corpus(folder: Path) -> dict[str, Any]:
    """Return number, diversity and copies of the pairs in a corpus.

    Raises:
        RunFolderError: A shard is damaged.
    """
    instructions, copies = [], 0
    for row in iterate_columns(folder, ("instruction", "output")):
        instructions.append(row["instruction"])
        copies += bool(runs(words(row["instruction"]), COPIED_WORDS) & runs(words(row["output"]), COPIED_WORDS))
    n = len(instructions)
    distinct = distinct_n(instructions, (2,))["2"] if n else None
    return {"pairs": n, "distinct_2": distinct, "copies": copies / n if n else None}


def compare(arm: list[Scores], reference: list[Scores] | None, seed: int = 0) -> dict[str, Any]:
    """Return perplexity and ROUGE-L of an arm on one set of tasks, and its difference to the reference.

    Args:
        arm: Its scores, one per training seed.
        reference: Those of the arm that it is compared with.
        seed: Of the bootstrap.

    Returns:
        ``perplexity``, ``rouge_l``, and against the reference ``nats`` (per token; negative is better) and
        ``rouge_l_change``: each ``value`` and the ``interval`` that holds 95 % of the resampled values, tasks being
        resampled in pairs and seeds averaged; None where there is nothing to measure.
    """
    generator = np.random.default_rng(seed)
    ours, theirs = _mean(arm, "nll"), _mean(reference, "nll") if reference else None
    tokens = np.array([math.nan if one is None else one for one in arm[0]["n_tokens"]], dtype=float)
    found = {"perplexity": _ratio(ours, tokens, generator, np.exp), "rouge_l": None, "nats": None}
    found["rouge_l"] = _ratio(rouge := _mean(arm, "rouge_l"), np.ones(len(rouge)), generator)
    found["rouge_l_change"] = None
    if reference is not None and theirs is not None:
        found["nats"] = _ratio(ours - theirs, tokens, generator)
        change = rouge - _mean(reference, "rouge_l")
        found["rouge_l_change"] = _ratio(change, np.ones(len(change)), generator)
    return found


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
