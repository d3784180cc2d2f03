"""What every training does around its trainer: read the recipe, find the model, resume, write down the outcome."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType
from datasets import Dataset
from transformers import (
    EarlyStoppingCallback,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME, TRAINING_ARGS_NAME
from transformers.utils import logging
from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, get_quantization_config

from davidgen_hf.engines.loading import FoundModel, find_model, require_whole
from davidgen_hf.engines.opening import open_config, open_tokenizer, open_weights
from davidgen_hf.engines.settings import EngineSettings
from davidgen_hf.errors import ModelError, SettingError
from davidgen_hf.storage.digests import folder_digest, without_folders
from davidgen_hf.storage.files import explain_refusals
from davidgen_hf.storage.yaml_files import read_config
from davidgen_hf.training.arguments import Batch, make_arguments
from davidgen_hf.training.card import write_card
from davidgen_hf.training.checkpoints import choose_checkpoint
from davidgen_hf.training.config import check_config
from davidgen_hf.training.curve import draw_losses
from davidgen_hf.training.failures import explain_out_of_memory, explain_settings
from davidgen_hf.training.precision import Precision
from davidgen_hf.training.preflight import check_folder, check_ready, fit_length, leave_no_empty_folder, save_trained
from davidgen_hf.training.rows import RowCounts, check_columns, digest
from davidgen_hf.training.summary import TrainingSummary, find_finished, write_record

logger = logging.get_logger(__name__)

# Settings that say where a training reads and writes, not what comes of it; rows and model are compared themselves.
PLACES = {"output_dir", "resume_from_checkpoint", "model_name_or_path", "model_revision"} | {
    field.name for section in (ScriptArguments, DatasetMixtureConfig) for field in dataclasses.fields(section)
}


@dataclass(frozen=True)
class Job:
    """One training, read and checked.

    Args:
        args: The trainer's arguments.
        model_args: What to load, with its name resolved to a folder or Hub id, and its revision to a commit.
        config: The model's configuration.
        batch: How the global batch comes about.
        precision: The number type to compute in.
        identity: What decides the result, as ``run.json`` keeps it.
        resume: Whether, or from which checkpoint, to go on.
        patience: Evaluations without a better loss after which to stop; ``None`` never stops early.
    """

    args: TrainingArguments
    model_args: ModelConfig
    config: PreTrainedConfig
    batch: Batch
    precision: Precision
    identity: dict[str, Any]
    resume: bool | Path
    patience: int | None

    def finished(self) -> TrainingSummary | None:
        """Return the summary of this very training if its folder holds it, finished; else see that it can be trained.

        Raises:
            RunFolderError: The folder holds another training, or cannot be written to.
        """
        folder = Path(self.args.output_dir)
        summary = find_finished(folder, self.identity)
        if summary is None:
            check_folder(folder)
        return summary

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Load the model's tokenizer."""
        return open_tokenizer(self.model_args.model_name_or_path, self.model_args.model_revision)

    def generation_config(self) -> GenerationConfig:
        """Load the model's generation config; that of a model without one comes from its configuration."""
        try:
            return GenerationConfig.from_pretrained(
                self.model_args.model_name_or_path, revision=self.model_args.model_revision
            )
        except OSError:
            return GenerationConfig.from_model_config(self.config)

    def length(self, setting: str) -> int | None:
        """Return how many tokens a row may have by a setting and the model's positions; ``None`` for any number."""
        named = setting in self.identity["recipe"]
        name = self.model_args.model_name_or_path
        return fit_length(setting, getattr(self.args, setting), named=named, config=self.config, model=name)


def open_model(job: Job, **options: Any) -> PreTrainedModel:
    """Load the model that a job trains, with the recipe's dtype, attention and quantization.

    Args:
        job: The training.
        options: More arguments of ``from_pretrained``; a recipe's ``model_init_kwargs``.

    Raises:
        ModelError: Its files are absent, damaged or incomplete.
    """
    named, state = job.model_args, PartialState()
    # As TRL: one process with a GPU places the model while it loads it; several each take it to their own device.
    spread = state.device.type not in ("cpu", "mps") and state.distributed_type is DistributedType.NO
    given = {
        "dtype": named.dtype,
        "attn_implementation": named.attn_implementation,
        "quantization_config": get_quantization_config(named),
        "device_map": "auto" if spread else None,
    }
    files = open_config(named.model_name_or_path, named.model_revision)
    try:
        return open_weights(named.model_name_or_path, files, **given | options)
    except ModelError as error:
        if isinstance(error.__cause__, ImportError):  # a setting needs a package; see explain_settings
            raise error.__cause__ from None
        raise


def open_job(  # noqa: PLR0913 - one keyword a choice of the caller
    rows: Dataset,
    config: Path | dict[str, Any],
    *,
    output_dir: Path,
    base_model: str | None,
    resume: bool,
    sections: Iterable[type],
    encoder_decoder: bool = False,
) -> Job:
    """Read a recipe, and find its model. The first of ``sections`` holds the trainer's arguments.

    Raises:
        SettingError: The recipe has unknown keys or values that do not fit, or names no model.
        ModelError: The model is absent or of the other family.
        MissingColumnsError: ``prompt`` or ``completion`` is absent.
    """
    check_columns(rows)
    name = str(config) if isinstance(config, Path) else "The training recipe"
    values = check_config(read_config(config) if isinstance(config, Path) else config, name, sections)
    args, model_args, batch, precision = make_arguments(values, Path(output_dir), next(iter(sections)))
    named = base_model or model_args.model_name_or_path
    found = _find_trainable(named, model_args.model_revision, encoder_decoder)
    model_args.model_name_or_path, model_args.model_revision = found.name, found.commit
    identity = {
        "base_model": without_folders(named),
        "base_revision": model_args.model_revision,
        "base_digest": folder_digest(Path(named)) if Path(named).is_dir() else None,
        "recipe": {key: without_folders(value) for key, value in values.items() if key not in PLACES},
        "rows_digest": digest(rows),
    }
    resume = values.get("resume_from_checkpoint") or resume
    return Job(
        args, model_args, found.config, batch, precision, identity, resume, values.get("early_stopping_patience")
    )


def resolve_model(name: str | None, revision: str | None, encoder_decoder: bool = False) -> tuple[str, str | None]:
    """Return the folder or Hub id of a language model, and its commit (``None`` for a folder).

    Raises:
        SettingError: No model is named.
        ModelError: There is no such model, or it is of the other family.
    """
    found = _find_trainable(name, revision, encoder_decoder)
    return found.name, found.commit


def _find_trainable(name: str | None, revision: str | None, encoder_decoder: bool) -> FoundModel:
    if name is None:
        raise SettingError("The training recipe names no model. Set model_name_or_path to a folder or a Hub id.")
    found = find_model(EngineSettings(model=name, revision=revision))
    require_whole(found, "training")
    if found.config.is_encoder_decoder != encoder_decoder:
        families = ("a causal language model", "recipes/sft.py"), ("an encoder-decoder", "recipes/sft_seq2seq.py")
        (needed, _), (is_one, script) = families[encoder_decoder], families[not encoder_decoder]
        raise ModelError(
            f"{name!r} is {is_one} ({found.config.model_type}), and {needed} is needed here. Name one, or train this "
            f"model with {script}."
        )
    return found


def carry_out(job: Job, make_trainer: Callable[[], Trainer], counts: RowCounts) -> TrainingSummary:
    """Train, save the model with a card and the loss as a picture, and write ``run.json``.

    Raises:
        TrainingError: The loss or the weights are no longer numbers, or the memory does not suffice.
        SettingError: Settings do not fit together, or need a package that is not installed.
        ModelError: The model cannot be loaded, or could not be saved.
        RunFolderError: The folder cannot be written to, or the checkpoint to resume from is damaged or another's.
    """
    folder = Path(job.args.output_dir)
    clock = Clock()
    with explain_refusals(folder), explain_out_of_memory(job.args), leave_no_empty_folder(folder):
        with explain_settings(ValueError, ImportError):
            trainer = make_trainer()
            check_ready(trainer)
        checkpoint = choose_checkpoint(folder, job.resume, trainer.model)
        if trainer.is_world_process_zero():
            logger.warning(f"{counts}; {job.batch}; {job.precision}")
        # Read before the training, which removes old checkpoints.
        before = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)).epoch if checkpoint else 0.0
        if job.patience:
            trainer.add_callback(EarlyStoppingCallback(job.patience))
        for callback in (KeepRecord(job.identity), clock):
            trainer.add_callback(callback)
        with explain_settings(ImportError):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        clock.stop()
        save_trained(trainer, folder)
        summary = _summarise(job, trainer, counts, trainer.state.epoch - before, clock)
        if trainer.is_world_process_zero():
            (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # a pickle, with the machine's paths in it
            draw_losses(summary)
            write_card(summary)
            summary.save()
        trainer.end()  # finishes trackers and the group of processes
    return summary


class KeepRecord(TrainerCallback):
    """Begins the folder's record once nothing stands in the way of the first step, and keeps its losses complete.

    The loss is logged at each checkpoint and after the last step, so that a resumed training logs the same means.
    """

    def __init__(self, identity: dict[str, Any]) -> None:
        self.identity = identity

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Record what is trained, so that only the same training can resume in this folder."""
        if state.is_world_process_zero:
            write_record(Path(args.output_dir), {"finished": False, **self.identity})

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> TrainerControl:
        """Request a log where a checkpoint follows or the training ends."""
        control.should_log |= control.should_save or control.should_training_stop
        return control

    on_epoch_end = on_step_end


class Clock(TrainerCallback):
    """Counts the seconds of a training, and those from the last event before a checkpoint to the one behind it."""

    def __init__(self) -> None:
        self.seconds = self.checkpoint_seconds = 0.0
        self._started = self._since = time.perf_counter()

    def stop(self) -> None:
        self.seconds = time.perf_counter() - self._started

    def on_step_end(self, *_: object, **__: object) -> None:
        self._since = time.perf_counter()

    on_epoch_end = on_log = on_evaluate = on_step_end

    def on_save(self, *_: object, **__: object) -> None:
        self.checkpoint_seconds += time.perf_counter() - self._since


def _summarise(job: Job, trainer: Trainer, counts: RowCounts, epochs: float, clock: Clock) -> TrainingSummary:
    log = trainer.state.log_history
    losses, held_out = (
        [(entry["step"], entry[key]) for entry in log if key in entry] for key in ("loss", "eval_loss")
    )
    return TrainingSummary(
        output_dir=str(job.args.output_dir),
        **job.identity,
        rows=counts,
        batch=str(job.batch),
        precision=job.precision,
        steps=trainer.state.global_step,
        loss_start=losses[0][1],
        loss_end=losses[-1][1],
        loss_history=losses,
        eval_history=held_out,
        tokens_seen=round(counts.tokens * epochs),
        seconds=clock.seconds,
        checkpoint_seconds=clock.checkpoint_seconds,
    )
