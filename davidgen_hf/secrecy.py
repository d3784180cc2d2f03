"""Tokens and passwords: recognized where they come in, so that none is ever written down."""

import json
import os
import re
from urllib.parse import quote

from davidgen_hf.errors import SettingError

HIDDEN = "[hidden]"
# Tokens by their real form and length, so that files such as hf_articles.jsonl and sk-wikipedia.jsonl are none.
_TOKENS = (
    r"(?:hf|api_org)_[A-Za-z0-9]{30,}",
    r"sk-(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32,}",
    r"sk-(?:proj|svcacct|admin|None|ant|or|lf)-[A-Za-z0-9_-]{32,}",
    r"gh[oprsu]_[A-Za-z0-9]{36,}",
    r"github_pat_[A-Za-z0-9_]{50,}",
    r"glpat-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}",
    r"gsk_[A-Za-z0-9]{48,}",
    r"nvapi-[A-Za-z0-9_-]{60,}",
    r"AIza[A-Za-z0-9_-]{35}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"xox[abeprs]-(?=[A-Za-z-]*[0-9])[A-Za-z0-9-]{20,}",
    r"[sr]k_live_[A-Za-z0-9]{20,}",
    r"npm_(?=[A-Za-z]*[0-9])[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_-]{50,}",
    r"SG\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{40,}",
    r"hvs\.(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{24,}",
    r"dapi(?=[a-f]*[0-9])[a-f0-9]{32}",
    r"\d{8,10}:AA[A-Za-z0-9_-]{33}",
    r"[MN][A-Za-z0-9_-]{23,}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",
    r"GOCSPX-[A-Za-z0-9_-]{20,}",
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
)
_TOKEN = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_TOKENS)})")
# Between :// and @ of an address: a password with any character but white space, or a user without one. A port
# and a path that holds an @ are neither.
_USER = re.compile(r"(?<=://)(?:[^\s/@:]*:(?!\d+(?:/|$))[^\s@]+|[^\s/@:]+)(?=@)")
_USER_OF_PATH = re.compile(r"(?<=:/)[^\s/@:]*:(?!\d+(?:/|$))[^\s@]+(?=@)")  # an address read as a path has one slash
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|$)", re.DOTALL
)
# In code, only a password in an address is one, since examples have users: s3://anonymous@data and git@host.
_PASSWORD = re.compile(r"(?<=://)([^\s/@:\"'<>]{0,100}):(?!\d+(?:/|$))([^\s@/\"']{1,200})(?=@)")
# A value that code gives to a name such as API_KEY, and what a header or an environment's file gives.
_NAME = r"(?:passw(?:or)?d|secret|(?:api|access|account|private|auth|signing|encryption)_?key|client_?secret|token)"
_ASSIGNED = re.compile(
    rf"{_NAME}(?!s|i[sz]|_?(?:id|type|name|file|path|url|hash))\w{{0,20}}[\"'\]]{{0,2}}\s*(?::\s*\w+\s*)?[:=]+>?\s*[\"'`]([^\"'`\s]{{12,}})[\"'`]"
    rf"|^[ \t]*(?:export )?[A-Z0-9_]{{0,40}}{_NAME}[A-Z0-9_]{{0,40}}[:=][ \t]*([^\"'`\s()\[\],]{{12,}})$"
    r"|\bBearer ([\w.~+/-]{20,}=*)|hooks\.slack\.com/services/(\w+/\w+/\w{16,})|AccountKey=([\w+/]{40,}=*)",
    re.IGNORECASE | re.MULTILINE,
)
_STAND_IN = re.compile(
    r"[<>{}*\[\]]|%[sd(]|\$\w+$|x{4}|example|your|change|dummy|test|placeholder|^(?:pass(?:word|wd)?|my_?pass(?:word)?|pwd|pw|guest|user|token)$",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Za-z]+\d*|\d+")
_BREAK = re.compile(r"(?:\s|\\[nrt])+")
KEY_VARIABLE = "DAVIDGEN_API_KEY"
_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", KEY_VARIABLE)
_SHORTEST = 4  # of a token or a part of it that is replaced; shorter ones are found in ordinary words


def api_key() -> str:
    """Return the key of a server from the environment, without white space around it; empty if there is none.

    Raises:
        SettingError: It holds what no header can carry.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingError(
            f"{KEY_VARIABLE} holds a line break or a character outside ASCII. A key is one line of ASCII characters. "
            "Set the variable again, from the key that the server gave you."
        )
    return key


def hide(text: str) -> str:
    """Return the text with every token and password in it replaced."""
    for secret in _from_environment():
        text = text.replace(secret, HIDDEN)
    for pattern in (_PRIVATE_KEY, _USER, _USER_OF_PATH, _TOKEN):
        text = pattern.sub(HIDDEN, text)
    return text


def holds_secret(code: str) -> bool:
    """Return whether code holds a token or password, or gives what looks like one to a name such as ``API_KEY``.

    Of an address, its password counts, unless it stands for one, as in ``user:password@``.
    """
    if _PRIVATE_KEY.search(code) or _TOKEN.search(code) or any(one in code for one in _from_environment()):
        return True
    if any(found[1] != found[2] and not _STAND_IN.search(found[2]) for found in _PASSWORD.finditer(code)):
        return True
    return any(_is_random("".join(filter(None, found.groups()))) for found in _ASSIGNED.finditer(code))


def _is_random(value: str) -> bool:
    """Return whether a value is no word, name or version, and stands for no other one: it mixes letters and digits."""
    if _STAND_IN.search(value) or not (re.search(r"\d", value) and re.search("[A-Za-z]", value)):
        return False
    return not all(_WORDS.fullmatch(part) for part in re.split(r"[^A-Za-z0-9]+", value) if part)


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
            if _is_secret(str(key)):
                _refuse(f"A key of {name}")
            refuse_secrets(value, f"{name}.{key}")
    elif isinstance(values, list | tuple):
        for number, value in enumerate(values):
            refuse_secrets(value, f"{name}.{number}")
    elif isinstance(values, str) and _is_secret(values):
        _refuse(name)


def _is_secret(text: str) -> bool:
    """Whether a text holds a secret, also one that line breaks divide."""
    return any(hide(form) != form for form in (text, _BREAK.sub("", text)))


def _refuse(name: str) -> None:
    raise SettingError(
        f"{name} holds a token or password. Settings are recorded and published, so they must not contain any. Remove "
        f"it: the Hub's token is read from HF_TOKEN or `hf auth login`, a server's key from {KEY_VARIABLE}."
    )


def _from_environment() -> list[str]:
    """Return the secrets of the environment as they may appear in a text, whole or line by line, longest first."""
    found: set[str] = set()
    for name in _VARIABLES:
        secret = os.environ.get(name, "").strip()
        for part in {secret, *secret.splitlines()}:
            forms = {
                part,
                quote(part),
                quote(part, safe=""),
                *(write(part)[1:-1] for write in (repr, ascii, json.dumps)),
            }
            found.update(form for form in forms if len(form) >= _SHORTEST)
    return sorted(found, key=len, reverse=True)
