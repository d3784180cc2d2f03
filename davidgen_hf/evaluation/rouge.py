"""ROUGE on the tokens of SuperNI's two tracks, equal to rouge-score's and faster; and on words of any script.

The default track takes the tokenizer of rouge-score with stemming, which knows ASCII letters and digits only; the
cross-lingual track takes GPT-2's byte-level BPE of the raw string, without the leading spaces of its tokens. Words of
any script are our own rule: equal to rouge-score's in English text. Tokens and stems are cached and the common
subsequence is found with bit operations, which changes the time and not the figures.
"""

import os
from collections import Counter
from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path

from nltk.stem.porter import PorterStemmer
from rouge_score import scoring, tokenize

from davidgen_hf.errors import ModelError, SettingError
from davidgen_hf.sources.subsequence import rouge_l
from davidgen_hf.sources.words import fold, words

# Where GPT-2's tokenizer comes from: a Hub id, a folder, or a file of BPE ranks in tiktoken's format.
GPT2_BPE_VARIABLE = "DAVIDGEN_GPT2_BPE"
GPT2_BPE = "openai-community/gpt2"
_GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def tokens(text: str, track: str) -> tuple[Hashable, ...]:
    """Return what ROUGE compares: stemmed words (default track) or pieces of GPT-2's BPE (cross-lingual track)."""
    return _words(text) if track == "default" else _pieces(text, os.environ.get(GPT2_BPE_VARIABLE, GPT2_BPE))


@lru_cache(maxsize=65536)
def _words(text: str) -> tuple[str, ...]:
    return tuple(tokenize.tokenize(text, _CachedStemmer))


@lru_cache(maxsize=65536)
def _pieces(text: str, source: str) -> tuple[Hashable, ...]:
    return tuple(_gpt2(source)(text))


def text_rouge_l(prediction: str, reference: str) -> float:
    """Return the F1 of the longest common subsequence of words in any script, from 0 to 1.

    English words are those of rouge-score, stemmed. Two texts without a word, such as emoji, are equal or not.
    """
    predicted, expected = _any_words(prediction), _any_words(reference)
    if not predicted and not expected:
        return float(fold(prediction).split() == fold(reference).split())
    return rouge_l(predicted, expected)


@lru_cache(maxsize=65536)
def _any_words(text: str) -> tuple[str, ...]:
    if text.isascii():
        return _words(text)
    parts = (part for word in words(text) for part in word.split("_") if part)
    return tuple(_CachedStemmer.stem(part) if part.isascii() and len(part) > 3 else part for part in parts)


class _CachedStemmer:
    """Porter's stemmer, with a cache: the same words come again and again."""

    stem = staticmethod(lru_cache(maxsize=262144)(PorterStemmer().stem))


def rouge_1(prediction: tuple[Hashable, ...], reference: tuple[Hashable, ...]) -> float:
    """Return the F1 of the tokens in common, from 0 to 1."""
    common = (Counter(prediction) & Counter(reference)).total()
    return float(scoring.fmeasure(common / max(len(prediction), 1), common / max(len(reference), 1)))


@lru_cache(maxsize=2)
def _gpt2(source: str) -> Callable[[str], list[Hashable]]:
    """Return a function that cuts a text into GPT-2's pieces, each without its leading spaces."""
    if source.endswith(".tiktoken"):
        return _tiktoken_pieces(source)
    from davidgen_hf.engines.loading import load_tokenizer

    try:
        tokenizer = load_tokenizer(source)
    except ModelError as error:
        raise SettingError(_no_gpt2(source)) from error
    return lambda text: [piece.lstrip("Ġ") for piece in tokenizer.tokenize(text)]


def _tiktoken_pieces(path: str) -> Callable[[str], list[Hashable]]:
    if not Path(path).is_file():
        raise SettingError(_no_gpt2(path))
    try:
        import tiktoken
        from tiktoken.load import load_tiktoken_bpe
    except ImportError as error:
        raise SettingError(f"{path} is read by tiktoken. Run: pip install 'davidgen-hf[xlingual]'") from error
    encoding = tiktoken.Encoding(
        "gpt2", pat_str=_GPT2_PATTERN, mergeable_ranks=load_tiktoken_bpe(path), special_tokens={}
    )
    return lambda text: [piece.lstrip(b" ") for piece in encoding.decode_tokens_bytes(encoding.encode_ordinary(text))]


def _no_gpt2(source: str) -> str:
    return (
        f"The cross-lingual track is scored on GPT-2's tokens, and {source!r} has no GPT-2 tokenizer that can be "
        f"read here. Set {GPT2_BPE_VARIABLE} to a folder with it, or to a .tiktoken file of its ranks; the default is "
        f"{GPT2_BPE} on the Hub."
    )
