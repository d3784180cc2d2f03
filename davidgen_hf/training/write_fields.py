"""``python -m davidgen_hf.training.write_fields``: write ``fields.py`` for the versions that are installed.

A recipe is then checked without an import of TRL. A test compares the file with the installed versions.
"""

import types
import typing
from dataclasses import MISSING
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from trl.scripts.utils import DatasetConfig

from davidgen_hf.training.sections import SECTIONS, fields_of

PACKAGES = ("trl", "transformers")
HEADER = '''"""Written by ``make fields``; do not edit. The fields of ``sections.SECTIONS``: name, type and default."""

from typing import Any, Literal

# fmt: off
VERSIONS = {versions}
FIELDS: dict[str, tuple[Any, Any]] = {{
{lines}
}}
'''


def field_lines() -> str:
    """Return the content of ``fields.py``."""
    fields = fields_of(SECTIONS)
    lines = "\n".join(f"    {name!r}: ({_write(one.type)}, {_default(one.default)})," for name, one in fields.items())
    return HEADER.format(versions={name: version(name) for name in PACKAGES}, lines=lines)


def _write(hint: Any) -> str:
    """Return a type as Python writes it; what YAML cannot hold is left out, and a dataclass is a mapping."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(text for one in parts if (text := _write(one)) != "object"))
    if origin is Literal or (isinstance(hint, type) and issubclass(hint, Enum)):
        values = parts if origin is Literal else tuple(one.value for one in hint)
        return f"Literal[{', '.join(map(repr, values))}]"
    if origin in (list, dict):
        return f"{origin.__name__}[{', '.join(map(_write, parts))}]"
    known = {type(None): "None", None: "None", Any: "Any", DatasetConfig: "dict[str, Any]"}
    return known.get(hint, hint.__name__ if hint in (bool, int, float, str, dict, list) else "object")


def _default(value: Any) -> str:
    value = value.value if isinstance(value, Enum) else value
    return repr(value) if value is not MISSING and isinstance(value, bool | int | float | str) else "None"


if __name__ == "__main__":
    Path(__file__).with_name("fields.py").write_text(field_lines(), "utf-8")
