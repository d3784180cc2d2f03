"""The columns of every stage, in the order of the way.

Each stage keeps the columns of the one before it and adds its own, so a pair can be followed back to the characters
of its passage. Declared rather than inferred: a column that is ``None`` in the first rows would be typed null.
"""

from datasets import Features, List, Value

_STRING, _INT, _FLOAT = Value("string"), Value("int64"), Value("float64")

# Where a row comes from: dataset id or file name, its configuration, the commit, the licence and the address.
ORIGIN = Features({"source": _STRING, "config": _STRING, "revision": _STRING, "license": _STRING, "url": _STRING})

# ``document`` is the id of the row that a passage was read from, and ``document_start`` and ``document_end`` say where
# in its text, in characters; of a passage that a model could not read whole, only the beginning of that is kept.
# ``supervised`` is True where the text is the answer of instruction data, not plain text.
PASSAGE = Features(
    {"id": _STRING, "text": _STRING, "language": _STRING, "supervised": Value("bool")}
    | {"document": _STRING, "document_start": _INT, "document_end": _INT}
    | ORIGIN
)

# What a run adds to its passages, and every later row has: the parts that the row is made with, by their ids in the
# ``provenance`` of ``run.json``, and whether one of them, or the passage's own source, is restricted.
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

# ``start`` and ``end`` count characters of ``text``; both are None for a fragment that is no single span (keywords).
FRAGMENT = Features({"output": _STRING, "strategy": _STRING, "start": _INT, "end": _INT})

# ``finished`` is False where the generator was stopped at its limit of tokens; ``closed_source`` is True where a host
# of closed models wrote; ``nll`` is in nats, summed over the ``n_tokens`` tokens of the output, ``token_nll`` has it
# token by token where the recipe asks for that; all are None where nothing was scored.
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

# Of the same tokens of the output: its nll without any instruction, in nats, and where each token ends, in characters
# of ``output``. Both are None where the recipe does not ask for them.
SCORED = Features(CANDIDATES | {"unconditional_nll": _FLOAT, "token_ends": List(_INT)})

# ``perplexity`` is exp(nll / n_tokens) of the winner; ``margin`` is how many nats a token the next best
# lies behind it, None where there is no other; ``ifd`` is the perplexity divided by that without any instruction, None
# where that was not scored.
PAIR = Features(
    {"instruction": _STRING, "input": _STRING, "perplexity": _FLOAT, "margin": _FLOAT, "ifd": _FLOAT} | TRAINING
)


def empty_candidate(**fields: str | float | None) -> dict:
    """Return a candidate in which every field that is not given is ``None``."""
    return dict.fromkeys(CANDIDATE) | fields
