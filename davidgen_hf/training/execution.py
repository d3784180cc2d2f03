"""Run a training: check it, resume it, take its steps, save its model, and record the result."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME, TRAINING_ARGS_NAME
from transformers.utils import logging
from trl import DPOConfig

from davidgen_hf.engines.threads import fit_threads
from davidgen_hf.storage.files import explain_refusals
from davidgen_hf.storage.progress import Bar, is_shown
from davidgen_hf.training.card import write_card
from davidgen_hf.training.checkpoints import choose_checkpoint
from davidgen_hf.training.curve import draw_losses
from davidgen_hf.training.failures import explain_out_of_memory, explain_settings
from davidgen_hf.training.job import Job
from davidgen_hf.training.preflight import check_ready, leave_no_empty_folder, model_of, save_trained
from davidgen_hf.training.rows import RowCounts, RowIds, encode_rows
from davidgen_hf.training.summary import TrainingSummary, write_record

logger = logging.get_logger(__name__)


def carry_out(  # noqa: PLR0913, PLR0917 - what is trained, on what, and how
    job: Job[Any],
    rows: Dataset,
    eval_rows: Dataset | None,
    ids: RowIds,
    make_trainer: Callable[[Dataset, Dataset | None], Trainer],
    last_checkpoint: bool = True,
) -> TrainingSummary:
    """Tokenize rows, train, save the model with a card and a picture of the loss, and write ``run.json``.

    Args:
        job: The training.
        rows: As for ``encode_rows``.
        eval_rows: Held-out rows of the same columns.
        ids: How texts become ids and labels.
        make_trainer: Loads the model and sets up its trainer, given the encoded rows of both.
        last_checkpoint: Write the checkpoint of the last step too.

    Raises:
        MissingColumnsError, InputError: As ``encode_rows``.
        TrainingError: No row is left, the loss or the weights are infinite or not a number, or memory is too small.
        SettingError: Settings do not fit together, or need a package that is not installed.
        ModelError: The model cannot be loaded, or could not be saved.
        RunFolderError: The folder cannot be written to, or the checkpoint to resume from is damaged or another's.
    """
    fit_threads()
    train_rows, counts = encode_rows(rows, ids, job.args.dataset_num_proc)
    held_out = encode_rows(eval_rows, ids)[0] if eval_rows else None
    folder, clock = job.folder, Clock()
    with explain_refusals(folder), explain_out_of_memory(job.args), leave_no_empty_folder(folder):
        with explain_settings(ValueError, ImportError):
            trainer = make_trainer(train_rows, held_out)
            check_ready(trainer)
        checkpoint = choose_checkpoint(folder, job.resume, model_of(trainer))
        if trainer.is_world_process_zero():
            logger.warning(f"{counts}; {job.batch}; {job.precision}")
        # Read now, because the training removes old checkpoints.
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)) if checkpoint else TrainerState()
        if job.patience:
            trainer.add_callback(EarlyStoppingCallback(job.patience))
        for callback in (KeepRecord(job.identity, last_checkpoint), clock, *([ShowProgress()] if is_shown() else [])):
            trainer.add_callback(callback)
        with explain_settings(ImportError):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        clock.stop()
        save_trained(trainer, folder)
        epochs = (trainer.state.epoch or 0.0) - (state.epoch or 0.0)
        summary = _summarize(job, trainer.state, counts, epochs, clock)
        if trainer.is_world_process_zero():
            (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)  # a pickle that holds paths of this machine
            draw_losses(summary)
            write_card(summary)
            summary.save()
        trainer.end()  # finishes trackers and the group of processes
    return summary


class KeepRecord(TrainerCallback):
    """Writes the folder's record right before the first step, and logs the loss at each checkpoint and at the end.

    With a log at each checkpoint, a resumed training logs the same means as one that was never interrupted. Where the
    caller removes all checkpoints as soon as the model is saved, that of the last step would be written for nothing,
    with an optimizer twice as large as the model.
    """

    def __init__(self, identity: dict[str, Any], last_checkpoint: bool) -> None:
        self.identity, self.last_checkpoint = identity, last_checkpoint

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Record what is trained, so that only this training can resume in this folder."""
        if state.is_world_process_zero:
            write_record(Path(str(args.output_dir)), {"finished": False, **self.identity})

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> TrainerControl:
        """Request a log where a checkpoint follows or the training ends."""
        control.should_log |= control.should_save or control.should_training_stop
        control.should_save &= self.last_checkpoint or not control.should_training_stop or args.load_best_model_at_end
        return control

    on_epoch_end = on_step_end


class ShowProgress(TrainerCallback):
    """Shows steps and losses in the display of a run."""

    def __init__(self) -> None:
        self._bar = Bar("training", "steps")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Begin the bar, where an earlier call stopped."""
        self._bar = Bar("training", "steps", state.max_steps, state.global_step).__enter__()

    def on_step_end(self, *_: object, **__: object) -> None:
        """Count a step."""
        self._bar.update()

    def on_log(self, *_: object, logs: dict[str, float] | None = None, **__: object) -> None:
        """Show a loss of the training."""
        if logs and "loss" in logs:
            self._bar.add_loss(logs["loss"])

    def on_train_end(self, *_: object, **__: object) -> None:
        """End the bar."""
        self._bar.__exit__(None, None, None)


class Clock(TrainerCallback):
    """Measures the seconds of a training, and those that it spends on writing checkpoints."""

    def __init__(self) -> None:
        self.seconds = self.checkpoint_seconds = 0.0
        self._started = self._since = time.perf_counter()

    def stop(self) -> None:
        """End the measurement."""
        self.seconds = time.perf_counter() - self._started

    def on_step_end(self, *_: object, **__: object) -> None:
        """Remember the time of the last event that can precede a checkpoint."""
        self._since = time.perf_counter()

    on_epoch_end = on_log = on_evaluate = on_step_end

    def on_save(self, *_: object, **__: object) -> None:
        """Add the time since then, which is what the checkpoint took."""
        self.checkpoint_seconds += time.perf_counter() - self._since


def _summarize(job: Job[Any], state: TrainerState, counts: RowCounts, epochs: float, clock: Clock) -> TrainingSummary:
    losses, held_out = (
        [(int(entry["step"]), entry[key]) for entry in state.log_history if key in entry]
        for key in ("loss", "eval_loss")
    )
    return TrainingSummary(
        output_dir=str(job.folder),
        **job.identity,
        rows=counts,
        batch=str(job.batch),
        precision=job.precision,
        steps=state.global_step,
        loss_start=losses[0][1],
        loss_end=losses[-1][1],
        loss_history=losses,
        eval_history=held_out,
        tokens_seen=round(counts.tokens * epochs),
        seconds=clock.seconds,
        checkpoint_seconds=clock.checkpoint_seconds,
        trainer="dpo" if isinstance(job.args, DPOConfig) else "sft",
    )
