"""Tokens and passwords: recognised where they come in, so that none is ever written down."""

import os
import re

from davidgen_hf.errors import SettingError

HIDDEN = "[hidden]"
# Tokens of the Hub and of common servers, and what stands before the @ of an address.
_SECRET = re.compile(r"\b(?:hf|api_org|sk|ghp|glpat)[_-][A-Za-z0-9_-]{6,}|(?<=://)[^\s/@]+(?=@)")
_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "DAVIDGEN_API_KEY")


def hide(text: str) -> str:
    """Return the text with every token and password in it replaced."""
    for name in _VARIABLES:
        if len(value := os.environ.get(name, "")) >= 4:
            text = text.replace(value, HIDDEN)
    return _SECRET.sub(HIDDEN, text)


def refuse_secrets(values: object, name: str) -> None:
    """Refuse settings that hold a token or password, since settings are recorded and published.

    Args:
        values: Settings, nested as they may be.
        name: What to call them in the error.

    Raises:
        SettingError: One does; its key is named, and not what it holds.
    """
    if isinstance(values, dict):
        for key, value in values.items():
            refuse_secrets(value, f"{name}.{hide(str(key))}")
    elif isinstance(values, list | tuple):
        for number, value in enumerate(values):
            refuse_secrets(value, f"{name}.{number}")
    elif isinstance(values, str) and hide(values) != values:
        raise SettingError(
            f"{name} holds a token or password. Settings are recorded and published, so none may stand in them. Take "
            "it out: the Hub's token is read from HF_TOKEN or `hf auth login`, a server's key from DAVIDGEN_API_KEY."
        )
