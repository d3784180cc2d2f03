"""The columns of every stage, in the order of the stages.

Each stage keeps the columns of the one before it and adds its own, so every pair can be traced to the characters of
its passage. Declared rather than inferred: a column that is ``None`` in the first rows would be typed null.
"""

from typing import Any

from datasets import Features, List, Value

Row = dict[str, Any]
Candidate = dict[str, Any]  # a record with the fields of CANDIDATE

_STRING, _INT, _FLOAT = Value("string"), Value("int64"), Value("float64")

# Where a row comes from: dataset id or file name, its configuration, commit, license and address.
ORIGIN = Features({"source": _STRING, "config": _STRING, "revision": _STRING, "license": _STRING, "url": _STRING})

# ``id`` is the row's own id, or its place in the source: ``wiki.jsonl:12``, or ``en/wiki.jsonl:12`` if several folders
# have a file of that name; a paragraph's id ends in its characters, ``#340-1021``. Own ids need not be unique.
# ``document`` is the id of the row that a passage was read from; ``document_start`` and ``document_end`` are its
# place in that text, in characters. If a passage is too long for a model, only its beginning is kept. ``supervised``
# is True if the text is the answer of instruction data rather than plain text.
PASSAGE = Features(
    {"id": _STRING, "text": _STRING, "language": _STRING, "supervised": Value("bool")}
    | {"document": _STRING, "document_start": _INT, "document_end": _INT}
    | ORIGIN
)

# What a run adds to its passages and every later row has: what the row was made with, by the ids in the
# ``provenance`` of ``run.json``, and whether any of it, or the passage's own source, is restricted.
MADE_WITH = Features(
    {
        "made_with": {"seeds": List(_STRING), "generator": _STRING, "extractor": _STRING, "scorer": _STRING},
        "restricted": Value("bool"),
    }
)
SEED = Features(
    {"id": _STRING, "instruction": _STRING, "input": _STRING, "output": _STRING, "language": _STRING} | ORIGIN
)

# What TRL trains on: the loss is taken on the completion only.
TRAINING = Features({"prompt": _STRING, "completion": _STRING})
# What TRL's DPOTrainer trains on: two answers to the prompt, of which the first is better.
PREFERENCE = Features({"prompt": _STRING, "chosen": _STRING, "rejected": _STRING})

# ``start`` and ``end`` count characters of ``text``; both are None for a fragment that is not a single span
# (keywords).
FRAGMENT = Features({"output": _STRING, "strategy": _STRING, "start": _INT, "end": _INT})

# The model that wrote ``output``, in a run by its id in the ``provenance`` of ``run.json``; null, or no such column,
# where people wrote it.
WRITTEN_BY = Features({"output_written_by": _STRING})

# ``finished`` is False if the generator was stopped by its token limit; ``closed_source`` is True if a host of closed
# models wrote the candidate; ``nll`` is in nats, summed over the ``n_tokens`` tokens of the output; ``token_nll`` has
# it per token if the recipe asks for that. All are None for a candidate that was not scored.
# ``nll`` and ``n_tokens`` of a candidate with the reason ``ELIMINATED`` are those of the output's first tokens alone.
ELIMINATED = "eliminated"
CANDIDATE = {
    "instruction": _STRING,
    "input": _STRING,
    "style": _STRING,
    "finished": Value("bool"),
    "closed_source": Value("bool"),
    "reject_reason": _STRING,
    "nll": _FLOAT,
    "n_tokens": _INT,
    "token_nll": List(Value("float32")),
}
CANDIDATES = Features({"candidates": List(CANDIDATE)})

# For the same tokens of the output: its nll without any instruction, in nats, and where each token ends, in
# characters of ``output``. Both are None unless the recipe asks for them.
SCORED = Features(CANDIDATES | {"unconditional_nll": _FLOAT, "token_ends": List(_INT)})

# ``perplexity`` is exp(nll / n_tokens) of the instruction, None if nothing was scored; ``margin`` is its lead over the
# first candidate that is not kept, in nats per token, None without one; ``ifd`` is the perplexity divided by that
# without any instruction, None if that was not scored.
PAIR = Features(
    {"instruction": _STRING, "input": _STRING, "perplexity": _FLOAT, "margin": _FLOAT, "ifd": _FLOAT} | TRAINING
)


def empty_candidate(**fields: str | float | None) -> Candidate:
    """Return a candidate in which every field that is not passed is ``None``."""
    return dict.fromkeys(CANDIDATE) | fields
