"""What the columns of a corpus hold, for its card."""

from collections.abc import Iterable

ABOUT = {
    "id": "of the passage in its source; a second pair of the same output ends in `#pair-2`",
    "text": "the whole passage, or the list of tasks that a model wrote",
    "language": "its language, ISO 639",
    "supervised": "whether the passage is the answer of instruction data, not plain text",
    "document": "id of the row of the source that the passage was read from",
    "document_start": "where the passage starts in the text of that row, in characters",
    "document_end": "where it ends there",
    "source": "dataset, package or file that the passage comes from",
    "config": "configuration of that dataset",
    "revision": "its commit, or the package's version",
    "license": "license of the passage",
    "url": "where it can be seen",
    "made_with": "seeds, generator, extractor and scorer that produced the row; see where it comes from",
    "restricted": "whether one of these, or the source, is restricted; see where it comes from",
    "output": "the text that answers the instruction",
    "strategy": "how it was taken from the passage: whole, keywords, sentence, model; or self_instruct",
    "output_written_by": "the model that wrote the output; null where people did",
    "start": "where it starts in the passage, in characters; null if it is not a single span",
    "end": "where it ends there",
    "instruction": "what the output answers",
    "instruction_written_by": "person where a reviewer wrote the instruction; null where a model did",
    "input": "what the instruction is about, often empty",
    "perplexity": "of the output given the instruction, by the model that scored; null if none did",
    "margin": "how far the next best candidate that was not kept is behind, in nats per token; null if there is none",
    "ifd": "the perplexity divided by that without any instruction; null where that was not scored",
    "prompt": "instruction and input in the form of the paper's Table 7, for TRL",
    "completion": "the output, for TRL",
    "candidates": "all instructions that were written to the output: style, why it was rejected, nll in nats",
    "unconditional_nll": "nll of the output without any instruction, in nats; null where that was not scored",
    "token_ends": "where each token of the output ends, in characters; null where that was not kept",
}


def columns_of(features: Iterable[Iterable[str]]) -> list[tuple[str, str]]:
    """Return name and meaning of the columns of several configurations, each once."""
    return [(name, ABOUT[name]) for name in dict.fromkeys(name for one in features for name in one)]
