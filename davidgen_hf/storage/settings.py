"""Settings given in Python, checked against the types that their dataclass declares."""

from dataclasses import fields
from functools import cache
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from davidgen_hf.errors import SettingError
from davidgen_hf.storage.validation import describe

# Metadata of a field that was added to settings later: its default gives the rows of before, so only another value
# counts for the identity of a shard, and shards of earlier versions stay valid.
UNLESS_DEFAULT = MappingProxyType({"counts_at_default": False})


def check_settings(settings: Any) -> None:
    """Check each field of a frozen dataclass against its annotation; call this first in ``__post_init__``.

    Values of similar types are converted: a list to a tuple, ``"3"`` to 3.

    Raises:
        SettingError: Fields have values of other types; all of them are named.
    """
    problems = []
    for field in fields(settings):
        annotation: Any = field.type
        adapter = _adapter(annotation)
        try:
            object.__setattr__(settings, field.name, adapter.validate_python(getattr(settings, field.name)))
        except ValidationError as error:
            problems.append(f"{field.name}: {describe(error)}")
    if problems:
        raise SettingError(
            f"{type(settings).__name__} has settings of the wrong type. {'; '.join(problems)}. Its docstring lists "
            "them; several values are a tuple or a list."
        )


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)
