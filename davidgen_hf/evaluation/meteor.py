"""METEOR of long answers, as LongForm reports it: NLTK's, on ``word_tokenize`` of both sides, mean over examples.

NLTK's figures move with its version (its tokenizer changed between 3.9 and 3.10), so record
``versions`` with every score. Stems and synonyms are cached, which changes the time and not the figures.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import nltk
from nltk.corpus import wordnet
from nltk.stem.porter import PorterStemmer
from nltk.tokenize import word_tokenize
from nltk.translate.meteor_score import single_meteor_score

from davidgen_hf.errors import EvaluationError
from davidgen_hf.sources.languages import language_code

# What METEOR reads from NLTK's data, by the name under which it is downloaded.
NLTK_DATA = {"wordnet": "corpora/wordnet", "punkt_tab": "tokenizers/punkt_tab/english"}


def meteor_scores(
    predictions: Sequence[str], references: Sequence[str], language: str | None = None
) -> dict[str, float]:
    """Score predictions against one reference each.

    Args:
        predictions: One answer per example, ``(n,)``.
        references: One right answer per example, ``(n,)``.
        language: Language of the references, as a code or a name; ``None`` looks at their script.

    Returns:
        ``{"meteor": mean over the examples}``, from 0 to 1.

    Raises:
        EvaluationError: The two lists differ in length or are empty, NLTK's data is absent, or the language is not
            English.
    """
    check_language(references, language)
    scores = example_scores(predictions, references)
    return {"meteor": sum(scores) / len(scores)}


def example_scores(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Score each example by itself, from 0 to 1, ``(n,)``; arguments and errors as for ``meteor_scores``."""
    if not len(predictions):
        raise EvaluationError("There are no predictions to score; METEOR needs one per example.")
    if len(predictions) != len(references):
        raise EvaluationError(
            f"There are {len(predictions)} predictions and {len(references)} references; each needs one."
        )
    check_data()
    return [
        single_meteor_score(
            word_tokenize(reference), word_tokenize(prediction), stemmer=_CachedStemmer, wordnet=_CachedWordNet
        )
        for prediction, reference in zip(predictions, references, strict=True)
    ]


def check_data() -> None:
    """Make sure that WordNet and the sentence splitter are installed; without them the figure would differ.

    Raises:
        EvaluationError: One of them is absent; the text says how to get it.
    """
    missing = [name for name, resource in NLTK_DATA.items() if not _is_there(resource)]
    if missing:
        raise EvaluationError(
            f"METEOR needs NLTK's {' and '.join(NLTK_DATA)}, and {' and '.join(missing)} cannot be found. Run: "
            f"python -m nltk.downloader {' '.join(missing)} - or, without network, unpack them into corpora/ and "
            "tokenizers/ of a folder and set NLTK_DATA to it."
        )


def check_language(references: Sequence[str], language: str | None = None) -> None:
    """Refuse references in a language that METEOR has no stems and synonyms for: all but English.

    Args:
        references: The right answers.
        language: Their language, as a code or a name; ``None`` looks at their script, so that it finds Chinese or
            Russian and not French.

    Raises:
        EvaluationError: They are not in English; the text names the alternative.
    """
    code = language_code(language) if language else None
    letters = [character for text in references for character in text if character.isalpha()]
    latin = sum("LATIN" in unicodedata.name(character, "") for character in letters)
    if code not in (None, "en") or latin * 2 < len(letters):
        found = f"in {language}" if code not in (None, "en") else "mostly not in Latin script"
        raise EvaluationError(
            f"METEOR has stems and synonyms for English only, and the references are {found}. Score them by chrF, "
            "ROUGE-L over GPT-2's pieces and exact match: multilingual_scores in Python, or the task "
            "davidgen_longform_multilingual."
        )


def versions() -> dict[str, str]:
    """Return what the figures depend on: the versions of NLTK and of WordNet.

    Raises:
        EvaluationError: NLTK's data is absent.
    """
    check_data()
    return {"nltk": nltk.__version__, "wordnet": wordnet.get_version()}


def _is_there(resource: str) -> bool:
    for name in (resource, f"{resource.partition('/english')[0]}.zip"):
        try:
            nltk.data.find(name)
        except LookupError:
            continue
        return True
    return False


class _CachedStemmer:
    stem = staticmethod(lru_cache(maxsize=262144)(PorterStemmer().stem))


class _CachedWordNet:
    synsets = staticmethod(lru_cache(maxsize=65536)(lambda word: wordnet.synsets(word)))
