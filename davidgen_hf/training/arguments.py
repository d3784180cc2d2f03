"""Turn a checked recipe into the arguments of a trainer, for the machine and the processes that run it."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate.utils import str_to_bool
from transformers import Seq2SeqTrainingArguments, TrainingArguments
from transformers.integrations import get_available_reporting_integrations
from trl import DPOConfig, ModelConfig, SFTConfig

from davidgen_hf.errors import SettingError
from davidgen_hf.training.failures import explain_settings
from davidgen_hf.training.precision import Precision, choose_precision

A = TypeVar("A", bound=TrainingArguments)

GLOBAL_BATCH_SIZE = 128  # the paper's
# The defaults of a recipe are the paper's training (section 3.1); its AdamW is TRL's default. The paper trains on no
# preferences: there, the learning rate is TRL's, and one epoch is our own rule.
DEFAULTS = {"learning_rate": 2e-5, "num_train_epochs": 3, "warmup_steps": 0.03}
PREFERENCE_DEFAULTS = {"num_train_epochs": 1, "warmup_steps": 0.03, "precompute_ref_log_probs": True}
# Settings of TRL that do not go with rows of prompt and completion, and why.
REFUSED = {
    ("completion_only_loss", False): "the loss is taken on completions alone",
    ("truncation_mode", "keep_end"): "a row that is too long loses the end of its completion, never its prompt",
    ("packing_strategy", "wrapped"): "it tears rows apart; `bfd` packs whole ones",
}
# The switch of each tracker that uploads weights or files of a training, not its figures alone.
UPLOADS = {
    "wandb": "WANDB_LOG_MODEL",
    "comet_ml": "COMET_LOG_ASSETS",
    "mlflow": "HF_MLFLOW_LOG_ARTIFACTS",
    "dagshub": "HF_DAGSHUB_LOG_ARTIFACTS",
    "clearml": "CLEARML_LOG_MODEL",
    "dvclive": "HF_DVCLIVE_LOG_MODEL",
    "swanlab": "SWANLAB_LOG_MODEL",
    "trackio": "TRACKIO_SPACE_ID",
}
_OFF = {"", "0", "false", "no", "none", "off"}


@dataclass(frozen=True)
class Batch:
    """How many rows one optimizer step sees, and how they are distributed.

    A recipe's ``per_device_train_batch_size`` times its ``gradient_accumulation_steps`` (128 rows where it names no
    accumulation) is the global batch, whatever the number of processes: more processes accumulate less.

    Args:
        per_device: Rows of one forward pass of one process.
        processes: Number of processes.
        accumulation: Forward passes before each optimizer step.
    """

    per_device: int
    processes: int
    accumulation: int

    def __str__(self) -> str:
        return (
            f"global batch {self.per_device * self.processes * self.accumulation} = {self.per_device} rows "
            f"x {self.processes} process(es) x {self.accumulation} accumulation step(s)"
        )


def plan_batch(per_device: int, accumulation: int | None, processes: int) -> Batch:
    """Distribute the global batch over ``processes``, with at most ``per_device`` rows in one forward pass.

    Raises:
        SettingError: The global batch cannot be divided evenly.
    """
    global_batch = per_device * accumulation if accumulation else max(GLOBAL_BATCH_SIZE, per_device)
    share, rest = divmod(global_batch, processes)
    if rest:
        raise SettingError(
            f"A global batch of {global_batch} rows cannot be divided evenly among {processes} processes. Set "
            "per_device_train_batch_size and gradient_accumulation_steps to numbers whose product can be."
        )
    rows = max(size for size in range(1, min(per_device, share) + 1) if share % size == 0)
    return Batch(rows, processes, share // rows)


def _fields(section: type, values: dict[str, Any]) -> dict[str, Any]:
    return {field.name: values[field.name] for field in dataclasses.fields(section) if field.name in values}


def _check_model_options(options: dict[str, Any]) -> None:
    """Refuse arguments of ``from_pretrained`` that run foreign code or have a setting of their own."""
    if options.pop("trust_remote_code", False):
        raise SettingError(
            "model_init_kwargs sets trust_remote_code, which would run code from the model's repository. Only models "
            "that transformers itself has can be trained. Remove trust_remote_code, or name another model."
        )
    taken = sorted({"name", "found", "revision", "output_loading_info"} & options.keys())
    if taken:
        raise SettingError(
            f"model_init_kwargs sets {', '.join(taken)}, which is not an option of the model. A recipe names the "
            "version of a model with model_revision. Remove it from model_init_kwargs."
        )


def _check_trackers(report_to: str | list[str] | None) -> None:
    """Refuse trackers that are not installed, or that are set to upload the model."""
    trackers = [report_to] if isinstance(report_to, str) else report_to or []
    installed = get_available_reporting_integrations()
    absent = sorted(set(trackers) - set(installed))
    if absent:
        raise SettingError(
            f"report_to names {', '.join(absent)}, which is not installed. Install it with pip, or report to "
            f"one of {['none', *installed]}."
        )
    for tracker in trackers:
        switch = UPLOADS.get(tracker, "")
        default = "true" if tracker == "clearml" else ""  # the only one that uploads weights unless it is forbidden
        if os.environ.get(switch, default).lower() not in _OFF:
            raise SettingError(
                f'report_to names {tracker}, and {switch} lets it upload the model without the checks of "davidgen '
                f'push". A tracker may only receive figures. Set {switch}=false, or report to another tracker.'
            )


def make_arguments(
    values: dict[str, Any],
    output_dir: Path,
    section: type[A] = SFTConfig,  # type: ignore[assignment] # mypy has no defaults of generic parameters
) -> tuple[A, ModelConfig, Batch, Precision]:
    """Build the trainer's arguments from a checked recipe, without its settings about datasets.

    Args:
        values: What ``check_config`` returned.
        output_dir: The model's folder, whatever the recipe names.
        section: The dataclass of the trainer's arguments.

    Raises:
        SettingError: The settings contradict each other, or need a GPU or a package that is absent.
    """
    for (key, value), reason in REFUSED.items():
        if values.get(key) == value:
            raise SettingError(f"{key}: {value!r} is not supported: {reason}. Leave it out.")
    defaults = PREFERENCE_DEFAULTS if section is DPOConfig else DEFAULTS
    values = defaults | values | {"output_dir": str(output_dir)}
    launched, has_gpu = os.environ.get("ACCELERATE_USE_CPU"), torch.accelerator.is_available()
    values.setdefault("use_cpu", not has_gpu if launched is None else str_to_bool(launched) == 1)
    # transformers has renamed it, and warns wherever TRL still says the old name.
    values.setdefault("activation_checkpointing", values.pop("gradient_checkpointing", True))
    if not values["use_cpu"] and not has_gpu:
        raise SettingError(
            "The recipe trains on a GPU, but torch sees none. Set `use_cpu: true` or add `--use_cpu` to train on the "
            "CPU; `accelerate launch --config_file recipes/accelerate/cpu.yaml` does so with several processes."
        )
    precision = choose_precision(values, encoder_decoder=issubclass(section, Seq2SeqTrainingArguments))
    values |= precision.settings()
    with explain_settings(ValueError, TypeError, OverflowError, OSError, ImportError):
        args = section(**_fields(section, values))
        model_args = ModelConfig(**_fields(ModelConfig, values))
    _check_trackers(args.report_to)
    _check_model_options(vars(args).get("model_init_kwargs") or {})
    if values.get("early_stopping_patience") and not args.load_best_model_at_end:
        raise SettingError(
            "early_stopping_patience needs the best checkpoint. Add `load_best_model_at_end: true`, with the "
            "same eval_strategy and save_strategy, `steps` or `epoch`."
        )
    batch = plan_batch(
        args.per_device_train_batch_size, values.get("gradient_accumulation_steps"), processes=args.world_size
    )
    args.per_device_train_batch_size, args.gradient_accumulation_steps = batch.per_device, batch.accumulation
    return args, model_args, batch, precision
