"""The follower's prompts (Table 7) as a chat template, so that a chat server need not know them."""

import re
from itertools import islice

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from davidgen_hf.engines.tokens import Tokens
from davidgen_hf.prompts import FOLLOWER_WITH_INPUT, FOLLOWER_WITHOUT_INPUT, parse_follower

# A message may hold an `input` next to its `content`, which is the instruction. For a server that drops such a key, as
# vLLM does, that of the last message can be passed as `chat_template_kwargs: {"input": …}`.
# `content` is a text, or a list of parts as in OpenAI's API, of which those with text are joined.
_TEMPLATE = (
    "{% macro text_of(content) %}{% if content is string %}{{ content }}{% elif content %}"
    "{% for part in content %}{% if part is string %}{{ part }}{% elif part.type == 'text' %}{{ part.text }}"
    "{% else %}{{ raise_exception('This model reads text alone.') }}{% endif %}{% endfor %}{% endif %}{% endmacro %}"
    "{{ OPENING }}{% for message in messages %}"
    "{% if message.role == 'user' %}{% set given = message.input or (loop.last and input) %}"
    "{% if given %}{{ WITH_INPUT }}{% else %}{{ WITHOUT_INPUT }}{% endif %}"
    "{% elif message.role == 'assistant' %}{{ text_of(message.content) ~ eos_token }}"
    "{% else %}{{ raise_exception('This model was trained on the roles user and assistant alone.') }}{% endif %}"
    "{% endfor %}"
)


def follower_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the Jinja template that gives one user message the ids that the follower is trained on.

    Args:
        tokenizer: The special tokens with which it opens a prompt are part of the template.
    """
    tokens = Tokens(tokenizer, None, tokenizer.name_or_path)
    opening = tokenizer.decode(tokens.contexts(["a"])[0][: -len(tokens.plain(["a"])[0])])
    expressions = {
        "OPENING": repr(opening),
        "WITH_INPUT": _expression(FOLLOWER_WITH_INPUT),
        "WITHOUT_INPUT": _expression(FOLLOWER_WITHOUT_INPUT),
    }
    return re.sub("OPENING|WITH_INPUT|WITHOUT_INPUT", lambda slot: expressions[slot.group()], _TEMPLATE)


def are_follower_prompts(rows: Dataset, looked_at: int = 100) -> bool:
    """Return whether the prompts of the first rows are all prompts of Table 7."""
    try:
        for prompt in filter(None, (row["prompt"] for row in islice(rows, looked_at))):
            parse_follower(prompt)
    except ValueError:
        return False
    return True


def _expression(template: str) -> str:
    """Turn a prompt with slots into a Jinja expression, e.g. ``'Say ' ~ message.content ~ '.'``."""
    slots = {"instruction": "text_of(message.content)", "input": "text_of(given)"}
    head, *parts = template.split("{")
    split = (part.split("}", 1) for part in parts)
    return " ~ ".join([repr(head), *(f"{slots[name]} ~ {rest!r}" for name, rest in split)])
