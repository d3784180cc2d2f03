"""Passages to fragments: the part of each passage that becomes an output (section 3.2)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import ClassVar

from datasets import Features

from davidgen_hf import prompts
from davidgen_hf.engines import EngineSettings, Sampling, load_engine
from davidgen_hf.errors import SettingError
from davidgen_hf.processors.base import Batch, Processor, draw, languages, take, texts
from davidgen_hf.processors.keywords import hide_formulas, join_words, keyword_extractor, require_yake, spell_out
from davidgen_hf.schema import FRAGMENT, PASSAGE
from davidgen_hf.sources.code import grammar_of
from davidgen_hf.sources.sentences import iterate_sentences, sentences, take_fallbacks, trim
from davidgen_hf.sources.words import count_words, is_unspaced
from davidgen_hf.storage.settings import check_settings

OVERLONG = ("cut", "skip")
Fragment = tuple[str, int | None, int | None]  # the text and its place in the passage, if it is one span of it
CHARS_PER_TOKEN = 16  # a token is rarely longer; more of a passage is read only if this does not fill the limit


@dataclass(frozen=True)
class LimitPassages:
    """Keep passages within the context of the models that will read them. Our own rule.

    Batch in:  ``text`` (n,) str; ``language`` (n,) str if there is one.
    Batch out: all columns of the rows kept, with ``text`` cut if it was too long.

    Args:
        engine: The model whose tokens are counted and whose context is the upper limit.
        max_tokens: Longest passage, in tokens.
        reserve_tokens: Part of the model's context kept for the prompt and the candidate, in tokens.
        overlong: ``cut`` ends a longer passage after the last whole sentence that fits, and skips it if none does;
            ``skip`` leaves it out, and so it is done with code.
        language: Language of the texts, a code or a name, without such a column.

    Raises:
        SettingError: ``overlong`` is unknown, or leaves no room for a passage.
    """

    reads: ClassVar[tuple[str, ...]] = ("text",)
    writes: ClassVar = Features({"text": PASSAGE["text"]})
    changes_row_count: ClassVar[bool] = True

    engine: EngineSettings = field(default_factory=EngineSettings, metadata={"role": "tokenizer"})
    max_tokens: int = 512
    reserve_tokens: int = 256
    overlong: str = "cut"
    language: str = "en"
    version: int = 2

    def __post_init__(self) -> None:
        check_settings(self)
        if self.overlong not in OVERLONG:
            raise SettingError(f"overlong must be one of {OVERLONG}, got {self.overlong!r}.")
        if self.max_tokens < 1 or self.reserve_tokens < 0:
            raise SettingError(
                f"max_tokens must be at least 1 and reserve_tokens at least 0, got {self.max_tokens} and "
                f"{self.reserve_tokens}."
            )

    def __call__(self, batch: Batch) -> Batch:
        engine = load_engine(self.engine)
        limit = min(
            self.max_tokens, (engine.max_length or self.max_tokens + self.reserve_tokens) - self.reserve_tokens
        )
        if limit < 1:
            raise SettingError(
                f"reserve_tokens={self.reserve_tokens} leaves no room for a passage in the {engine.max_length} tokens "
                f"that {self.engine.model!r} can read. Lower reserve_tokens."
            )
        whole = texts(batch)
        heads = [text[: CHARS_PER_TOKEN * limit] for text in whole]
        codes = languages(batch, self.language)
        for row, n_tokens in enumerate(engine.count_tokens(heads)):
            text, width = whole[row], len(heads[row])
            while n_tokens <= limit and width < len(text):
                width *= 2
                n_tokens = engine.count_tokens([text[:width]])[0]
            if n_tokens > limit:  # code has no sentences to be cut after
                whole[row] = self._cut(text, width, codes[row], limit)
        return take(batch | {"text": whole}, [row for row, text in enumerate(whole) if text])

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of passages, of those left out as over-long, and of those cut."""
        counts = Counter(passages=len(given["text"]), over_long_skipped=len(given["text"]) - len(made["text"]))
        counts["over_long_cut"] = (Counter(made["text"]) - Counter(given["text"])).total()
        return counts

    def _cut(self, text: str, width: int, language: str, limit: int) -> str:
        """Return the longest run of whole sentences that fits; it ends within the first ``width`` characters."""
        if self.overlong == "skip" or grammar_of(language):
            return ""
        ends = list(takewhile(lambda end: end <= width, (end for _, _, end in iterate_sentences(text, language))))
        low, high = 0, len(ends)
        while low < high:
            middle = (low + high + 1) // 2
            fits = load_engine(self.engine).count_tokens([text[: ends[middle - 1]]])[0] <= limit
            low, high = (middle, high) if fits else (low, middle - 1)
        return text[: ends[low - 1]] if low else ""


@dataclass(frozen=True)
class KeepWhole:
    """Take the whole passage as output, without the whitespace around it.

    Batch in:  ``text`` (n,) str.
    Batch out: all columns of the rows that hold a fragment, with ``output``, ``strategy``, ``start``, ``end`` (m,).
    """

    reads: ClassVar[tuple[str, ...]] = ("text",)
    writes: ClassVar = FRAGMENT
    changes_row_count: ClassVar[bool] = True

    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)

    def __call__(self, batch: Batch) -> Batch:
        return fragments(batch, "whole", [trim(text, 0, len(text)) for text in texts(batch)])


@dataclass(frozen=True)
class ExtractKeywords:
    """Take the keywords that YAKE finds (Campos et al. 2020), joined by commas; a formula or quantity is one word.

    Batch in:  ``text`` (n,) str; ``language`` (n,) str if there is one.
    Batch out: as ``KeepWhole``; ``start`` and ``end`` are None, because keywords are not a single span.

    Args:
        max_words: Longest keyword, in words.
        top: Number of keywords.
        language: Language of the texts, a code or a name, without such a column; it decides the stop words.
    """

    reads: ClassVar[tuple[str, ...]] = ("text",)
    writes: ClassVar = FRAGMENT
    changes_row_count: ClassVar[bool] = True

    max_words: int = 3
    top: int = 5
    language: str = "en"
    version: int = 2

    def __post_init__(self) -> None:
        check_settings(self)
        if self.max_words < 1 or self.top < 1:
            raise SettingError(f"max_words and top must be at least 1, got {self.max_words} and {self.top}.")
        require_yake()

    def __call__(self, batch: Batch) -> Batch:
        rows = zip(texts(batch), languages(batch, self.language), strict=True)
        spans: list[Fragment] = [(", ".join(self._keywords(text, language)), None, None) for text, language in rows]
        return fragments(batch, "keywords", spans)

    def _keywords(self, text: str, language: str) -> list[str]:
        extractor = keyword_extractor(language, self.max_words, self.top)
        text, formulas = hide_formulas(text)
        if not is_unspaced(text):
            found = [keyword.split() for keyword, _ in extractor.extract_keywords(text)]
            return [" ".join(formulas.get(part.lower(), part) for part in parts) for parts in found]
        spelled, words = spell_out(text, language)
        parts = (
            [words.get(part, part) for part in keyword.split()] for keyword, _ in extractor.extract_keywords(spelled)
        )
        return [join_words([formulas.get(part, part) for part in one]) for one in parts]


@dataclass(frozen=True)
class ExtractSentence:
    """Take one sentence of the passage at random.

    Batch in:  ``text`` (n,) str; ``language`` (n,) str if there is one.
    Batch out: as ``KeepWhole``.

    Args:
        min_words: Shortest sentence that may be drawn, in words of ``sources.words``; if none is that long, the
            longest sentence is taken, so that a passage always yields one.
        seed: Decides the draw, together with the text.
        language: Language of the texts, a code or a name, without such a column.
    """

    reads: ClassVar[tuple[str, ...]] = ("text",)
    writes: ClassVar = FRAGMENT
    changes_row_count: ClassVar[bool] = True

    min_words: int = 5
    seed: int = 0
    language: str = "en"
    version: int = 2

    def __post_init__(self) -> None:
        check_settings(self)

    def __call__(self, batch: Batch) -> Batch:
        rows = zip(texts(batch), languages(batch, self.language), strict=True)
        return fragments(batch, "sentence", [self._sentence(text, language) for text, language in rows])

    def _sentence(self, text: str, language: str) -> Fragment:
        found = sentences(text, language)
        if not found:
            return "", None, None
        long_enough = [span for span in found if count_words(span[0]) >= self.min_words]
        candidates = long_enough or [max(found, key=lambda span: len(span[0]))]
        return candidates[draw(len(candidates), self.seed, text)]


@dataclass(frozen=True)
class ExtractWithModel:
    """Let a model select key segments of the passage (Table 10).

    Batch in:  ``text`` (n,) str.
    Batch out: as ``KeepWhole``; ``start`` and ``end`` are None if the selection is not a span of the passage.

    Args:
        engine: The instruction follower that selects.
        sampling: How it writes; greedy by default, for one faithful selection.
    """

    reads: ClassVar[tuple[str, ...]] = ("text",)
    writes: ClassVar = FRAGMENT
    changes_row_count: ClassVar[bool] = True

    engine: EngineSettings = field(default_factory=EngineSettings, metadata={"role": "extractor"})
    sampling: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=128, temperature=0.0))
    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)

    def __call__(self, batch: Batch) -> Batch:
        batch = take(batch, [row for row, text in enumerate(batch["text"]) if text])
        requests = [prompts.render_extraction(text) for text in batch["text"]]
        answers = load_engine(self.engine).generate(requests, n=1, sampling=self.sampling)
        selected = [answer[0].strip() if answer else "" for answer in answers]
        places = [text.find(part) for text, part in zip(batch["text"], selected, strict=True)]
        spans: list[Fragment] = [
            (part, start, start + len(part)) if start >= 0 else (part, None, None)
            for part, start in zip(selected, places, strict=True)
        ]
        return fragments(batch, "model", spans)


@dataclass(frozen=True)
class ExtractFragments:
    """Take a fragment of each passage with each of several strategies, one strategy after the other.

    Batch in:  ``text`` (n,) str.
    Batch out: as ``KeepWhole``, at most ``n * len(strategies)`` rows.

    Args:
        strategies: The processors that extract, such as ``KeepWhole()``.
    """

    reads: ClassVar[tuple[str, ...]] = ("text",)
    writes: ClassVar = FRAGMENT
    changes_row_count: ClassVar[bool] = True

    strategies: tuple[Processor, ...] = (KeepWhole(),)
    version: int = 1

    def __call__(self, batch: Batch) -> Batch:
        extracted = [strategy(batch) for strategy in self.strategies]
        return {name: [value for columns in extracted for value in columns[name]] for name in extracted[0]}

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of fragments by strategy, and how often a strategy found none in a passage."""
        counts = Counter(f"fragments.{strategy}" for strategy in made["strategy"])
        counts["without_fragment"] = len(given["text"]) * len(self.strategies) - len(made["text"])
        if fallbacks := take_fallbacks():  # of this shard, since the passages were limited
            counts["cut_by_punctuation"] = fallbacks
        return counts


def fragments(batch: Batch, strategy: str, spans: Sequence[Fragment]) -> Batch:
    """Return the batch with the fragments added; a row whose fragment is empty is left out."""
    kept = [row for row, (output, _, _) in enumerate(spans) if output]
    return take(batch, kept) | {
        "output": [spans[row][0] for row in kept],
        "strategy": [strategy] * len(kept),
        "start": [spans[row][1] for row in kept],
        "end": [spans[row][2] for row in kept],
    }
