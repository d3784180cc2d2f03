"""Closed models by their names: what tags, ids, paths and rows call them."""

import re

# "gpt2", "gpt-j", "gpt4all" and "gpt-oss" are not among them: what follows the number must not be a letter.
CLOSED_MODEL = re.compile(
    r"(?<![a-z0-9])(chatgpt|gpt[-_ ]?(?:3(?:[.-]?5)?|4(?:o|[.-]\d)?|5(?:[.-]\d)?)(?:[-_]?turbo)?"
    r"|text-davinci-\d{3}|davinci|o[134]-(?:mini|pro|preview)|claude|gemini)(?![a-z0-9])"
)

OPENAI_TERMS_URL = "https://openai.com/policies/terms-of-use"


def closed_model(text: str) -> str | None:
    """Return the closed model that a tag, an id or a path names in its last part; None if it names none."""
    found = CLOSED_MODEL.search(text.rstrip("/").rpartition("/")[2].lower())
    return found.group(0) if found else None
