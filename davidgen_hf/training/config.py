"""Check a training recipe, which is a plain TRL YAML, strictly, and show all of its problems at once."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Gt, Interval
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic_core import PydanticCustomError

from davidgen_hf.errors import SettingError
from davidgen_hf.secrecy import refuse_secrets
from davidgen_hf.storage.validation import brief
from davidgen_hf.training.fields import FIELDS, VERSIONS


class Field(NamedTuple):
    """A key of a training recipe: the type that its dataclass declares, and its default."""

    type: Any
    default: Any


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
    "beta": Interval(gt=0, le=100),
    "label_smoothing": Interval(ge=0, le=0.5),
    **dict.fromkeys(("max_length", "max_source_length", "max_target_length"), Ge(2)),
    **dict.fromkeys(("early_stopping_patience", "precompute_ref_batch_size"), Ge(1)),
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


def check_config(values: dict[str, Any], name: str, sections: Iterable[type] | None = None) -> dict[str, Any]:
    """Return ``values`` in the types that their fields declare, e.g. ``"2e-5"`` (a string to YAML) as a number.

    Args:
        values: The recipe, with the names of the dataclasses of TRL and transformers.
        name: What to call the recipe in an error, e.g. its file.
        sections: The dataclasses whose fields are the keys that exist; ``None`` for those of ``sections.SECTIONS``,
            which are known without the seconds that an import of TRL takes.

    Raises:
        SettingError: A key is unknown, or its value is of the wrong type or out of range, and all of them are named;
            or one holds a token or password.
    """
    refuse_secrets(values, name)
    checker = _checker(None if sections is None else tuple(sections))
    try:
        return checker.model_validate(values).model_dump(exclude_unset=True)
    except ValidationError as error:
        problems = dict.fromkeys(_problem(problem, list(checker.model_fields)) for problem in error.errors())
        lines = [f"{key}: {text}" for key, text in sorted(problems)]
        raise SettingError(f"{name}: {len(lines)} problem(s).\n  " + "\n  ".join(lines)) from error


@lru_cache
def _checker(sections: tuple[type, ...] | None) -> type[BaseModel]:
    """Create the model of a flat mapping that may hold every field of ``sections`` and nothing else."""
    fields = known_fields() if sections is None else None
    if fields is None:
        from davidgen_hf.training.sections import SECTIONS, fields_of

        fields = fields_of(SECTIONS if sections is None else sections)
    config = ConfigDict(
        extra="forbid",
        use_enum_values=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        allow_inf_nan=False,
    )
    checked: dict[str, Any] = {name: (_strict(name, field), None) for name, field in fields.items()}
    checker: type[BaseModel] = create_model("TrainingRecipe", __config__=config, **checked)
    return checker


def known_fields() -> dict[str, Field] | None:
    """Return the fields that ``fields.py`` lists, if it was written for the installed versions."""
    if any(version(package) != known for package, known in VERSIONS.items()):
        return None
    return {name: Field(*declared) for name, declared in FIELDS.items()}


def _strict(name: str, field: Field) -> Any:
    """Narrow a field's type to the range that it accepts."""
    if name == "resume_from_checkpoint":  # declared a string, but `true` means the last checkpoint
        return bool | Path | None
    if name in ("bf16", "fp16"):
        return Annotated[bool | None, BeforeValidator(lambda value: None if value == "auto" else value)]
    checks: list[Any] = [BOUNDS[name]] if name in BOUNDS else []
    if name in OUTSIDE:
        checks.append(AfterValidator(partial(_refuse_outside, name, field.default)))
    if name in _BEST:
        checks.append(AfterValidator(_BEST[name]))
    return Annotated[field.type, *checks] if checks else field.type


def _refuse_outside(name: str, default: Any, value: Any) -> Any:
    """Return a value that leaves a setting of ``OUTSIDE`` switched off."""
    if value and value != default:
        raise PydanticCustomError("refused", "{reason}", {"reason": OUTSIDE[name]})
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


_BEST: dict[str, Callable[[Any], Any]] = {
    "metric_for_best_model": _refuse_other_metrics,
    "greater_is_better": _refuse_greater_loss,
}


def _problem(problem: Mapping[str, Any], known: list[str]) -> tuple[str, str]:
    """Return the key that is wrong, and what is wrong with it."""
    key = str(problem["loc"][0])
    if problem["type"] == "refused":
        return key, problem["msg"]
    if problem["type"] != "extra_forbidden":
        return key, f"{problem['msg'][0].lower()}{problem['msg'][1:]}, got {brief(problem['input'])}"
    meant = [RENAMED[key]] if key in RENAMED else difflib.get_close_matches(key, known, n=1)
    return key, "unknown key" + (f"; did you mean {meant[0]}?" if meant else "")
