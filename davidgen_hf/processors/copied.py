"""Which tokens of an output belong to words that an instruction has copied."""

from davidgen_hf.processors.guard import runs
from davidgen_hf.sources.words import fold, word_spans, words


def copied_tokens(output: str, token_ends: list[int], text: str, min_run: int) -> set[int]:
    """Return the positions of the tokens of ``output`` in runs of at least ``min_run`` words that ``text`` has too.

    Args:
        output: The text that the tokens belong to.
        token_ends: Where its tokens end, in characters; the first tokens suffice.
        text: The text that may copy.
        min_run: Shortest run that counts, in words.
    """
    spans = list(word_spans(output))
    own = [fold(output[start:end]) for start, end in spans]
    known = runs(words(text), min_run)
    starts = [place for place in range(len(own) - min_run + 1) if tuple(own[place : place + min_run]) in known]
    copied = sorted({start + step for start in starts for step in range(min_run)})
    tokens = list(zip([0, *token_ends], token_ends, strict=False))
    return {
        place
        for start, end in (spans[word] for word in copied)
        for place, (token_start, token_end) in enumerate(tokens)
        if token_start < end and token_end > start
    }
