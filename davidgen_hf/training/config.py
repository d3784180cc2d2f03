"""A training recipe is a plain TRL YAML; here it is read strictly, with everything that is wrong shown at once."""

import dataclasses
import difflib
import typing
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic_core import PydanticCustomError
from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, SFTConfig

from davidgen_hf.errors import SettingError
from davidgen_hf.secrecy import refuse_secrets


@dataclasses.dataclass
class StoppingArguments:
    """What neither TRL nor transformers has a setting for, though both have the callback."""

    early_stopping_patience: int | None = dataclasses.field(
        default=None,
        metadata={"help": "Evaluations without a better loss after which to stop; needs load_best_model_at_end."},
    )


SECTIONS = (SFTConfig, ModelConfig, ScriptArguments, DatasetMixtureConfig, StoppingArguments)

# TRL and transformers check few ranges themselves, and one at a time.
BOUNDS = {
    "learning_rate": Interval(gt=0, le=10),  # 2e5 is a 2e-5 whose sign was lost
    **dict.fromkeys(("num_train_epochs", "adam_epsilon", "lora_alpha"), Gt(0)),
    **dict.fromkeys(("weight_decay", "warmup_steps", "max_grad_norm", "eval_delay"), Ge(0)),
    **dict.fromkeys(("seed", "data_seed"), Interval(ge=0, lt=2**32)),
    **dict.fromkeys(("per_device_train_batch_size", "per_device_eval_batch_size", "lora_r"), Interval(ge=1, le=2**20)),
    **dict.fromkeys(("gradient_accumulation_steps", "save_total_limit"), Ge(1)),
    "dataset_num_proc": Interval(ge=1, le=1024),
    "dataloader_num_workers": Interval(ge=0, le=1024),
    **dict.fromkeys(("adam_beta1", "adam_beta2", "lora_dropout", "label_smoothing_factor"), Interval(ge=0, lt=1)),
    **dict.fromkeys(("logging_steps", "eval_steps", "save_steps"), Gt(0)),
    **dict.fromkeys(("max_length", "max_source_length", "max_target_length"), Ge(2)),
    "early_stopping_patience": Ge(1),
    "test_split_size": Gt(0),
    "max_steps": Ge(-1),
}
# Settings that publish something or run somebody else's code, and why they are refused when they are switched on.
_PUBLISHES = 'would publish without the checks of "davidgen push"; remove it, and push the finished model with that'
_SHOWS = "would publish a page that shows this training; remove it, and use `report_to: tensorboard`"
_RUNS_CODE = "would run code from the model's repository; remove it, and name a model that transformers itself has"
OUTSIDE = {
    **dict.fromkeys(("push_to_hub", "hub_token", "hub_private_repo", "hub_model_id"), _PUBLISHES),
    **dict.fromkeys(("hub_strategy", "hub_always_push", "hub_revision"), _PUBLISHES),
    **dict.fromkeys(("trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"), _SHOWS),
    "trust_remote_code": _RUNS_CODE,
}
_LOSSES = (None, "loss", "eval_loss")
RENAMED = {
    "warmup_ratio": "warmup_steps, where a number below 1 is a share of all steps",
    "max_seq_length": "max_length",
    "evaluation_strategy": "eval_strategy",
    "torch_dtype": "dtype",
    "tokenizer_name_or_path": "model_name_or_path, whose tokenizer is used",
}


def check_config(values: dict[str, Any], name: str, sections: Iterable[type] = SECTIONS) -> dict[str, Any]:
    """Return ``values`` in the types that their fields declare, e.g. ``"2e-5"`` (a string to YAML) as a number.

    Args:
        values: What the recipe says, with the names of TRL's and transformers' own dataclasses.
        name: What to call the recipe in an error, e.g. its file.
        sections: The dataclasses whose fields are the keys that exist.

    Raises:
        SettingError: A key is unknown, or its value is of the wrong type or out of range, and all of them are named;
            or one holds a token or password.
    """
    refuse_secrets(values, name)
    try:
        return _checker(tuple(sections)).model_validate(values).model_dump(exclude_unset=True)
    except ValidationError as error:
        problems = dict.fromkeys(_problem(problem, sections) for problem in error.errors())
        lines = [f"{key}: {text}" for key, text in sorted(problems)]
        raise SettingError(f"{name}: {len(lines)} problem(s).\n  " + "\n  ".join(lines)) from error


@lru_cache
def _checker(sections: tuple[type, ...]) -> type[BaseModel]:
    """Make the checker of one flat mapping that may hold every field of ``sections`` and nothing else."""
    fields = {}
    for section in sections:
        hints = typing.get_type_hints(section)
        for field in dataclasses.fields(section):
            fields[field.name] = (_strict(hints[field.name], field), None)
    config = ConfigDict(
        extra="forbid",
        use_enum_values=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        allow_inf_nan=False,
    )
    return create_model("TrainingRecipe", __config__=config, **fields)


def _strict(hint: Any, field: dataclasses.Field) -> Any:
    """Narrow a field's type to the choices and the range that it accepts."""
    if field.name == "resume_from_checkpoint":  # declared a string, yet `true` stands for the last checkpoint
        return bool | Path | None
    if field.name in ("bf16", "fp16"):
        return Annotated[bool | None, BeforeValidator(lambda value: None if value == "auto" else value)]
    parts = typing.get_args(hint) or (hint,)
    enums = [part for part in parts if isinstance(part, type) and issubclass(part, Enum)]
    if enums:
        hint = enums[0]
    elif field.metadata.get("choices"):
        hint = Literal[tuple(field.metadata["choices"])]
        hint = hint | None if type(None) in parts else hint
    checks = [BOUNDS[field.name]] if field.name in BOUNDS else []
    if field.name in OUTSIDE:
        checks.append(AfterValidator(partial(_refuse_outside, field)))
    if field.name in _BEST:
        checks.append(AfterValidator(_BEST[field.name]))
    return Annotated[hint, *checks] if checks else hint


def _refuse_outside(field: dataclasses.Field[Any], value: Any) -> Any:
    """Return a value that leaves a setting of ``OUTSIDE`` switched off."""
    if value and value != field.default:
        raise PydanticCustomError("refused", "{reason}", {"reason": OUTSIDE[field.name]})
    return value


def _refuse_other_metrics(name: str | None) -> str | None:
    if name not in _LOSSES:
        reason = f"only the held-out loss is computed; set `metric_for_best_model: loss`, got {name!r}"
        raise PydanticCustomError("refused", "{reason}", {"reason": reason})
    return name


def _refuse_greater_loss(greater: bool | None) -> bool | None:
    if greater:
        raise PydanticCustomError(
            "refused", "a lower loss is better, so the worst checkpoint would be kept; remove it"
        )
    return greater


_BEST = {"metric_for_best_model": _refuse_other_metrics, "greater_is_better": _refuse_greater_loss}


def _problem(problem: dict[str, Any], sections: Iterable[type]) -> tuple[str, str]:
    """Return the key that is at fault and what is the matter with it."""
    key = str(problem["loc"][0])
    if problem["type"] == "refused":
        return key, problem["msg"]
    if problem["type"] != "extra_forbidden":
        return key, f"{problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}"
    known = [field.name for section in sections for field in dataclasses.fields(section)]
    meant = [RENAMED[key]] if key in RENAMED else difflib.get_close_matches(key, known, n=1)
    return key, "unknown key" + (f"; did you mean {meant[0]}?" if meant else "")
