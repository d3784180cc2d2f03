"""The dataclasses of TRL and transformers whose fields are the keys of a training recipe, and their types."""

import dataclasses
import typing
from collections.abc import Iterable
from enum import Enum
from typing import Any, Literal

from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, SFTConfig

from davidgen_hf.training.config import Field


@dataclasses.dataclass
class StoppingArguments:
    """A setting that TRL and transformers lack, although they have the callback for it."""

    early_stopping_patience: int | None = dataclasses.field(
        default=None,
        metadata={"help": "Evaluations without a better loss after which to stop; needs load_best_model_at_end."},
    )


SECTIONS = (SFTConfig, ModelConfig, ScriptArguments, DatasetMixtureConfig, StoppingArguments)


def fields_of(sections: Iterable[type]) -> dict[str, Field]:
    """Return the type and the default of every field of ``sections``, with choices as literals."""
    fields = {}
    for section in sections:
        hints = typing.get_type_hints(section)
        for field in dataclasses.fields(section):
            fields[field.name] = Field(_narrow(hints[field.name], field), field.default)
    return fields


def _narrow(hint: Any, field: dataclasses.Field[Any]) -> Any:
    """Narrow a field's type to the choices that it accepts."""
    parts = typing.get_args(hint) or (hint,)
    enums = [part for part in parts if isinstance(part, type) and issubclass(part, Enum)]
    if enums:
        return Literal[tuple(one.value for one in enums[0])]
    if field.metadata.get("choices"):
        hint = Literal[tuple(field.metadata["choices"])]
        return hint | None if type(None) in parts else hint
    return hint
