"""The engines within a step's settings: found, and replaced, wherever a step of ours or of a user keeps them."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from davidgen_hf.engines.settings import EngineSettings

Settings = TypeVar("Settings")


def engines_in(settings: Any, role: str = "") -> Iterator[tuple[str, EngineSettings]]:
    """Yield every engine within nested settings, with its role.

    The role is ``field(metadata={"role": ...})`` of the field that holds the engine, or of the nearest field around
    it that names one. ``generator`` and ``extractor`` write text, ``scorer`` judges it, and ``tokenizer`` only counts
    tokens.
    """
    if isinstance(settings, EngineSettings):
        yield role, settings
    elif is_dataclass(settings):
        for one in fields(settings):
            yield from engines_in(getattr(settings, one.name), one.metadata.get("role", role))
    elif isinstance(settings, tuple):
        for value in settings:
            yield from engines_in(value, role)


def with_engines(
    settings: Settings, change: Callable[[str, EngineSettings], EngineSettings], role: str = ""
) -> Settings:
    """Return nested settings with every engine replaced by ``change(role, engine)``; roles as in ``engines_in``."""
    value: Any = settings
    if isinstance(value, EngineSettings):
        return change(role, value)  # type: ignore[return-value]
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            one.name: with_engines(getattr(value, one.name), change, one.metadata.get("role", role))
            for one in fields(value)
            if one.init
        }
        kept = all(changed[name] is getattr(value, name) for name in changed)
        return settings if kept else replace(value, **changed)  # type: ignore[return-value]
    if isinstance(value, tuple):
        made = tuple(with_engines(one, change, role) for one in value)
        return value if all(new is old for new, old in zip(made, value, strict=True)) else made  # type: ignore[return-value]
    return settings
