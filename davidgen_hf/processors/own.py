"""A user's own processor in a recipe: named as ``package.module:Class``, checked as strictly as ours."""

import json
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import partial
from keyword import iskeyword
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, Discriminator, Field, Tag, TypeAdapter, ValidationError

from davidgen_hf.errors import SettingError
from davidgen_hf.plugins import Table, load_object
from davidgen_hf.processors.base import Processor
from davidgen_hf.storage.validation import brief

Settings = TypeVar("Settings")
CONTRACT = ("reads", "writes", "changes_row_count", "version", "__call__")


def check_processor(name: str, found: Any) -> None:
    """Refuse what a recipe cannot use as a step.

    Raises:
        SettingError: It is not a processor.
    """
    missing = [one for one in CONTRACT if not hasattr(found, one)]
    if not isinstance(found, type) or not is_dataclass(found) or missing:
        lack = f"lacks {missing}" if missing else "is not a dataclass"
        raise SettingError(
            f"{name} is not a processor: it {lack}. A processor is a frozen dataclass with {', '.join(CONTRACT)}. See "
            "docs/add_a_strategy.md."
        )


# What ``own`` can name besides ``package.module:Class``.
PROCESSORS = Table("processors", {}, check_processor)


def with_steps(table: Table) -> Callable[[type[Settings]], type[Settings]]:
    """Give a class of settings an optional field for each step of a table; apply it before ``dataclass``.

    A plugin's step is imported when a recipe names it: its module may need this one.

    Args:
        table: Name of each field in a recipe, and its processor as ``package.module:Class``.
    """

    def add(settings: type[Settings]) -> type[Settings]:
        for name, step in table.items():
            plugged = Annotated[Any, AfterValidator(partial(_plugged, table, name))]
            shipped = not any(one.name == name for one in table.plugins)
            step_type = load_object(step) | None if shipped else plugged
            settings.__annotations__[field_of(name)] = Annotated[step_type, Field(alias=name)]
            setattr(settings, field_of(name), None)
        return settings

    return add


def field_of(name: str) -> str:
    """Return the field of a step in a table; Python allows none that is called ``class``."""
    return f"{name}_" if iskeyword(name) else name


def _plugged(table: Table, name: str, settings: Any) -> Processor:
    return _step(table.load(name), name, settings)


def own_step(name: str, settings: Any) -> Processor:
    """Return a user's processor with the settings that a recipe gives it.

    Raises:
        SettingError: The class cannot be imported, is not a processor, or does not take these settings.
    """
    if name in PROCESSORS:
        return _step(PROCESSORS.load(name), name, settings)
    found = load_object(name)
    check_processor(name, found)
    return _step(found, name, settings)


def _step(found: type, name: str, settings: Any) -> Processor:
    try:
        step: Any = TypeAdapter(found).validate_json(json.dumps(settings or {}), strict=True, extra="forbid")
    except ValidationError as error:
        raise SettingError(f"{name}: {'; '.join(describe(one) for one in error.errors())}") from error
    return cast(Processor, step)


def describe(problem: Mapping[str, Any]) -> str:
    """Return one of pydantic's errors as ``key: what is wrong with it``."""
    *parents, last = problem["loc"] or ("",)
    # Names of types, which pydantic puts between the keys, start with a capital; a user's unknown key may too.
    is_unknown = problem["type"] == "unexpected_keyword_argument"
    keys = [str(part) for part in parents if not str(part)[:1].isupper()]
    key = ".".join([*keys, str(last)] if is_unknown or not str(last)[:1].isupper() else keys)
    if is_unknown:
        return f"{key}: unknown key"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"])
    return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {brief(problem['input'])}"


def _steps(named: Mapping[str, Any]) -> tuple[Processor, ...]:
    return tuple(own_step(name, settings) for name, settings in named.items())


def _one_step(named: Mapping[str, Mapping[str, Any]]) -> Processor:
    steps = _steps(named["own"])
    if len(steps) != 1:
        raise SettingError(f"own names {len(steps)} steps. It takes the place of one step. Name one.")
    return steps[0]


Shipped = TypeVar("Shipped")
if TYPE_CHECKING:
    OwnSteps = tuple[Processor, ...]
    ShippedOrOwn = Annotated[Shipped, "or a step of a user's own"]
    ShippedOwnOrNone = Annotated[Shipped | Literal["none"], "or a step of a user's own"]
else:
    # ``own: {package.module:Class: {settings}}`` next to shipped steps: it adds steps to them.
    OwnSteps = Annotated[dict[str, Any], AfterValidator(_steps)]
    # ``{own: {package.module:Class: {settings}}}`` instead of the settings of one shipped step: it takes its place.
    _Own = Annotated[dict[Literal["own"], dict[str, Any]], AfterValidator(_one_step), Tag("Own")]
    ShippedOrOwn = Annotated[
        _Own | Annotated[Shipped, Tag("Shipped")],
        Discriminator(lambda given: "Own" if isinstance(given, dict) and "own" in given else "Shipped"),
    ]
    # As above, or ``none`` where the step is left out.
    ShippedOwnOrNone = Annotated[
        Annotated[Literal["none"], Tag("None")] | Annotated[ShippedOrOwn[Shipped], Tag("Step")],
        Discriminator(lambda given: "None" if isinstance(given, str) else "Step"),
    ]
