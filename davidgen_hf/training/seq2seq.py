"""Train encoder-decoders such as T5, with the same rows, recipes and guarantees as causal models."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import get_peft_model
from torch.nn import functional
from transformers import (
    DataCollatorForSeq2Seq,
    PreTrainedTokenizerBase,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
)
from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, get_peft_config

from davidgen_hf.training.checkpoints import WholeCheckpoints
from davidgen_hf.training.execution import carry_out
from davidgen_hf.training.failures import StopOnNonFiniteLoss
from davidgen_hf.training.job import Job, open_job, open_model
from davidgen_hf.training.rows import PairIds
from davidgen_hf.training.sampling import ResumableOrder
from davidgen_hf.training.sections import StoppingArguments
from davidgen_hf.training.summary import TrainingSummary


@dataclass
class Seq2SeqConfig(Seq2SeqTrainingArguments):
    """``Seq2SeqTrainingArguments`` with what ``SFTConfig`` has for rows, under the names of transformers' examples."""

    max_source_length: int = field(
        default=1024, metadata={"help": "Tokens of a prompt; rows with longer ones are dropped."}
    )
    max_target_length: int = field(default=512, metadata={"help": "Tokens of a completion; longer ones are cut."})
    dataset_num_proc: int | None = field(default=None, metadata={"help": "Processes that tokenize."})
    logging_steps: float = field(default=10, metadata={"help": "Steps between two logs."})


SECTIONS = (Seq2SeqConfig, ModelConfig, ScriptArguments, DatasetMixtureConfig, StoppingArguments)


class PairTrainer(StopOnNonFiniteLoss, WholeCheckpoints, ResumableOrder, Seq2SeqTrainer):
    """``Seq2SeqTrainer`` that stops at a loss that is not finite, and resumes exactly."""


def completion_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Return the loss in nats per token, over the tokens of all processes and accumulated batches.

    T5 ignores that number and returns the mean of its own batch, so accumulation and processes would multiply loss and
    gradients. ``labels`` are ``(batch, length)``.
    """
    reduction = "mean" if num_items_in_batch is None else "sum"
    loss = functional.cross_entropy(outputs.logits.flatten(0, 1).float(), labels.flatten(), reduction=reduction)
    return loss if num_items_in_batch is None else loss / num_items_in_batch


def train_seq2seq(  # noqa: PLR0913 - one keyword a choice of the caller
    rows: Dataset,
    config: Path | dict[str, Any],
    *,
    output_dir: Path,
    eval_rows: Dataset | None = None,
    base_model: str | None = None,
    resume: bool = False,
) -> TrainingSummary:
    """Fine-tune an encoder-decoder: it reads the prompt, and the loss is taken on the completion.

    Arguments, result and errors are those of ``train``; the recipe has the names of ``Seq2SeqConfig`` in place of
    ``SFTConfig``'s.
    """
    job = open_job(
        rows,
        config,
        output_dir=output_dir,
        base_model=base_model,
        resume=resume,
        section=Seq2SeqConfig,
        sections=SECTIONS,
        encoder_decoder=True,
    )
    finished = job.finished()
    if finished:
        return finished
    tokenizer = job.found.tokenizer()
    source, target = job.length("max_source_length"), job.length("max_target_length")
    ids = PairIds(tokenizer, source, target, job.generation_config().forced_bos_token_id)
    return carry_out(job, rows, eval_rows, ids, partial(_make_trainer, job, tokenizer))


def _make_trainer(
    job: Job[Seq2SeqConfig], tokenizer: PreTrainedTokenizerBase, train_rows: Dataset, eval_rows: Dataset | None
) -> PairTrainer:
    """Load the model and set up its trainer, with an adapter or quantized where the recipe says so."""
    model: Any = open_model(job, device_map=None)
    adapter = get_peft_config(job.model_args)
    if adapter:
        adapter.task_type = "SEQ_2_SEQ_LM"
        model = get_peft_model(model, adapter)
        model.enable_input_require_grads()
    return PairTrainer(
        model=model,
        args=job.args,
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=tokenizer,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        compute_loss_func=None if job.args.label_smoothing_factor else completion_loss,
    )
