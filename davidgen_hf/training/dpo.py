"""Train a causal language model on preferences, with the recipes and guarantees of the other trainings."""

from functools import partial
from pathlib import Path
from typing import Any, cast

from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import DatasetMixtureConfig, DPOConfig, DPOTrainer, ModelConfig, ScriptArguments, get_peft_config

from davidgen_hf.schema import PREFERENCE
from davidgen_hf.training.checkpoints import WholeCheckpoints
from davidgen_hf.training.execution import carry_out
from davidgen_hf.training.failures import StopOnNonFiniteLoss
from davidgen_hf.training.job import Job, open_job, open_model
from davidgen_hf.training.rows import PreferenceIds
from davidgen_hf.training.sampling import ResumableOrder
from davidgen_hf.training.sections import StoppingArguments
from davidgen_hf.training.summary import TrainingSummary

SECTIONS = (DPOConfig, ModelConfig, ScriptArguments, DatasetMixtureConfig, StoppingArguments)


class PreferenceTrainer(StopOnNonFiniteLoss, WholeCheckpoints, ResumableOrder, DPOTrainer):
    """``DPOTrainer`` for rows of ids that stops at a loss that is not finite, resumes, and sends no telemetry."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        """Return rows that are ids already; TRL would tokenize prompt and answer as one text."""
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        """Keep the column of lengths, for ``train_sampling_strategy: group_by_length``."""
        trl: Any = super()
        trl._set_signature_columns_if_needed()
        self._signature_columns: Any = [*dict.fromkeys([*vars(self)["_signature_columns"], "length"])]

    def _send_telemetry(self) -> None:
        """Send nothing: this package uses the network only where the user says so."""


def train_preferences(  # noqa: PLR0913 - one keyword a choice of the caller
    rows: Dataset,
    config: Path | dict[str, Any],
    *,
    output_dir: Path,
    eval_rows: Dataset | None = None,
    base_model: str | None = None,
    resume: bool = False,
) -> TrainingSummary:
    """Train a causal language model on preferences with TRL's ``DPOTrainer`` (Rafailov et al., 2023).

    The reference is the model as it was before. Its log-probabilities are computed once, before the first step, unless
    the recipe says ``precompute_ref_log_probs: false``.

    Args:
        rows: Columns ``prompt``, ``chosen`` and ``rejected``, as ``davidgen export --format dpo`` writes them.
        config: A YAML file or mapping with the names of ``DPOConfig`` and ``ModelConfig``.
        output_dir: As for ``train``, as are the others.
        eval_rows: Held-out rows of the same columns.
        base_model: Trained instead of the recipe's ``model_name_or_path``.
        resume: Resume from the last checkpoint.

    Raises:
        DavidgenError: As for ``train``.
    """
    job = open_job(
        rows,
        config,
        output_dir=output_dir,
        base_model=base_model,
        resume=resume,
        section=DPOConfig,
        sections=SECTIONS,
        columns=PREFERENCE,
    )
    finished = job.finished()
    if finished:
        return finished
    tokenizer = job.found.tokenizer()
    job.args.max_length = job.length("max_length")
    ids = PreferenceIds(tokenizer, job.args.max_length)
    return carry_out(job, rows, eval_rows, ids, partial(_make_trainer, job, tokenizer))


def _make_trainer(
    job: Job[DPOConfig], tokenizer: PreTrainedTokenizerBase, train_rows: Dataset, eval_rows: Dataset | None
) -> PreferenceTrainer:
    """Load the model and set up its trainer; a new adapter is its own reference when it is switched off."""
    args, adapter = job.args, get_peft_config(job.model_args)
    options = cast(dict[str, Any], args.model_init_kwargs or {})
    model = open_model(job, **options)
    reference = None if adapter or args.precompute_ref_log_probs else open_model(job, **options)
    args.model_init_kwargs = None
    return PreferenceTrainer(
        model=model,
        ref_model=reference,
        args=args,
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=tokenizer,
        peft_config=adapter,
    )
