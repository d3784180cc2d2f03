"""The settings that name an engine: ``EngineSettings(kind=...)`` is an instance of the class of that kind."""

import logging
import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from davidgen_hf.errors import SettingError
from davidgen_hf.plugins import Table
from davidgen_hf.storage.settings import check_settings

if TYPE_CHECKING:
    from davidgen_hf.engines.base import Engine

logger = logging.getLogger(__name__)

# The settings of each kind of engine, as "module:Class". Their modules are imported to check a recipe: they must not
# import a library that loads models; ``load`` of the class does that.
ENGINES = Table(
    "engines",
    {
        "transformers": "davidgen_hf.engines.settings:TransformersSettings",
        "vllm": "davidgen_hf.engines.settings:VllmSettings",
        "server": "davidgen_hf.engines.server_settings:ServerSettings",
        "echo": "davidgen_hf.engines.settings:EchoSettings",
    },
    lambda kind, found: _check_settings_class(kind, found),
)
DTYPES = ("auto", "float32", "bfloat16", "float16")
Problems = tuple[tuple[bool, str], ...]


def where_and_how_fast(default: Any) -> Any:
    """Declare a setting that changes no row: it enters neither a shard's identity nor a card."""
    return field(default=default, metadata={"affects_rows": False})


class _ByKind(type):
    """Makes a call of ``EngineSettings``, or of a class of one kind, an instance of the class of the given kind.

    Settings of other kinds are left out, so that a recipe may change the kind of an engine and nothing else.
    """

    kind: str  # of the class

    def __call__(cls, *args: Any, **values: Any) -> Any:
        given = dict(zip(_ORDER, args, strict=False)) | values
        chosen = _class_of(given.setdefault("kind", cls.kind))
        return type.__call__(chosen, **_own(chosen, given))


@dataclass(frozen=True)
class EngineSettings(metaclass=_ByKind):
    """Names a model and how it runs, without loading it: safe inside a processor.

    ``EngineSettings(kind=...)`` takes the settings of every kind, and has those of its own kind: see
    ``TransformersSettings``, ``VllmSettings``, ``ServerSettings`` and ``EchoSettings``.

    Args:
        kind: One of ``ENGINES``.
        model: Hub id, local folder, or ``embedded`` for the model that the demo's package ships.
        revision: Branch, tag or commit; a branch is resolved to its commit when the model is loaded.

    Raises:
        SettingError: A value is outside the range that its field accepts; all of them are named.
    """

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}
    # How an engine without a model answers, in a sentence for cards; and whether this process loads the model, so that
    # its commit can be looked up.
    without_model: ClassVar[str] = ""
    loads_model: ClassVar[bool] = False

    kind: str = "transformers"
    model: str = ""
    revision: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.model, os.PathLike):
            object.__setattr__(self, "model", os.fspath(self.model))
        check_settings(self)
        known = (self.kind not in ENGINES, f"kind must be one of {tuple(ENGINES)}, got {self.kind!r}")
        problems = [message for broken, message in (known, *self._problems()) if broken]
        if problems:
            raise SettingError("Engine settings: " + "; ".join(problems) + ".")

    @property
    def scores(self) -> bool:
        """Whether the engine can score texts."""
        return True

    def load(self) -> "Engine":
        """Load the engine; ``load_engine`` does so once per process.

        Raises:
            ModelError: The model is absent or cannot do what the engine needs, or the engine's extra is not installed.
        """
        raise NotImplementedError

    def _problems(self) -> Problems:
        """Return what may be wrong with the settings of a kind: whether it is, and how to say it."""
        return ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate a mapping as the class of its kind; pydantic does not call the class."""
        if source is not EngineSettings:
            return handler(source)
        # Names with a capital are not keys: an error can leave them out of the path to a setting.
        choices = {one.__name__: handler.generate_schema(one) for one in _classes()}
        union = core_schema.tagged_union_schema(choices, lambda given: _class_of(_kind(given)).__name__)
        return core_schema.no_info_before_validator_function(
            lambda given: _own(_class_of(_kind(given)), given) if isinstance(given, Mapping) else given, union
        )


@dataclass(frozen=True)
class EchoSettings(EngineSettings):
    """An engine without a model, for tests and dry runs."""

    without_model: ClassVar[str] = "It repeats words of its prompt, without a model."

    kind: str = "echo"

    def load(self) -> "Engine":
        """Return an ``EchoEngine``."""
        from davidgen_hf.engines.echo import EchoEngine

        return EchoEngine(self)


@dataclass(frozen=True)
class LocalSettings(EngineSettings):
    """What both engines that load a model into this process need.

    Args:
        kind: As for ``EngineSettings``, like ``model`` and ``revision``.
        dtype: One of ``DTYPES``; ``auto`` takes bfloat16 where the processor multiplies it natively, else float32.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. Of several processes on a machine (``processors.ByRank``,
            ``accelerate launch``), ``auto`` gives each a GPU of its own.
        max_length: Tokens of context and target together; ``None`` takes the model's own limit.
        max_batch_tokens: Tokens of one forward pass, padding included.
    """

    loads_model: ClassVar[bool] = True

    dtype: str = "auto"
    device: str = where_and_how_fast("auto")
    max_length: int | None = None
    max_batch_tokens: int = where_and_how_fast(16384)

    def _problems(self) -> Problems:
        return (
            (self.dtype not in DTYPES, f"dtype must be one of {DTYPES}, got {self.dtype!r}"),
            (self.max_batch_tokens < 1, f"max_batch_tokens must be at least 1, got {self.max_batch_tokens}"),
            too_short(self.max_length),
        )


@dataclass(frozen=True)
class TransformersSettings(LocalSettings):
    """A model that ``transformers`` runs in this process."""

    def load(self) -> "Engine":
        """Load the model into a ``LocalEngine``; raises as ``EngineSettings.load``."""
        from davidgen_hf.engines.local import LocalEngine

        return LocalEngine(self)


@dataclass(frozen=True)
class VllmSettings(LocalSettings):
    """A model that vLLM runs in this process.

    Args:
        kind: As for ``LocalSettings``, like all others but ``memory_share``.
        memory_share: Part of the device's memory that vLLM takes, in (0, 1); below a half, a generator and a scorer
            fit next to each other.
    """

    kind: str = "vllm"
    memory_share: float = where_and_how_fast(0.45)

    def load(self) -> "Engine":
        """Load the model into a ``VllmEngine``; raises as ``EngineSettings.load``."""
        from davidgen_hf.engines.vllm import VllmEngine

        return VllmEngine(self)

    def _problems(self) -> Problems:
        broken = not 0 < self.memory_share < 1
        return (*super()._problems(), (broken, f"memory_share must be in (0, 1), got {self.memory_share}"))


# As positional arguments come.
_ORDER = (
    *("kind", "model", "revision", "dtype", "device", "max_length", "max_batch_tokens", "memory_share"),
    *("base_url", "concurrency", "timeout_seconds", "allow_closed_source", "endpoint"),
)


def silent_settings() -> frozenset[str]:
    """Return the names of the settings that change no row, of all kinds."""
    return frozenset(name for name, one in _fields().items() if not one.metadata.get("affects_rows", True))


@cache
def _class(kind: str) -> type[EngineSettings]:
    found: type[EngineSettings] = ENGINES.load(kind)
    return found


def _check_settings_class(kind: str, found: Any) -> None:
    is_settings = isinstance(found, type) and issubclass(found, EngineSettings) and is_dataclass(found)
    if not is_settings or found.kind != kind:
        raise SettingError(
            f"{found!r} does not hold the settings of an engine of the kind {kind!r}. They are a frozen dataclass "
            f'derived from davidgen_hf.engines.EngineSettings, with kind: str = "{kind}". See docs/add_an_engine.md.'
        )


def _classes() -> list[type[EngineSettings]]:
    """Return the classes of all kinds, except plugins that cannot be used; naming one raises an error."""
    found = []
    for kind in ENGINES:
        try:
            found.append(_class(kind))
        except SettingError as error:
            _tell_of_broken(str(error))
    return found


def _fields() -> dict[str, Field[Any]]:
    return {one.name: one for chosen in _classes() for one in fields(chosen)}


def _kind(given: Any) -> Any:
    return given.get("kind", EngineSettings.kind) if isinstance(given, Mapping) else getattr(given, "kind", None)


def _class_of(kind: Any) -> type[EngineSettings]:
    """Return the class of a kind; an unknown kind is for the class of the default one to refuse."""
    return _class(kind if isinstance(kind, str) and kind in ENGINES else EngineSettings.kind)


def _own(chosen: type[EngineSettings], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without those of other kinds; unknown ones stay, to be refused."""
    own = {one.name for one in fields(chosen)}
    # An address that is not there may be written as null.
    kept = {name: value for name, value in given.items() if (name, value) != ("base_url", None)}
    foreign = tuple(sorted(name for name in kept if name in _fields() and name not in own))
    if foreign and not chosen.without_model:
        _tell_of_foreign(chosen.kind, foreign)
    return {name: value for name, value in kept.items() if name not in foreign}


@cache  # one message is enough
def _tell_of_broken(problem: str) -> None:
    logger.warning("%s", problem)


@cache
def _tell_of_foreign(kind: str, foreign: tuple[str, ...]) -> None:
    logger.info("Engine settings: %s mean(s) nothing for kind %r and is ignored.", ", ".join(foreign), kind)


def too_short(max_length: int | None) -> tuple[bool, str]:
    return max_length is not None and max_length < 2, f"max_length must be at least 2 tokens, got {max_length}"
