"""Train causal language models, generators and followers alike."""

from functools import partial
from pathlib import Path
from typing import Any, cast

from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import SFTConfig, get_peft_config

from davidgen_hf.training.chat_template import are_follower_prompts, follower_template
from davidgen_hf.training.execution import carry_out
from davidgen_hf.training.job import Job, open_job, open_model
from davidgen_hf.training.preflight import check_chat_template
from davidgen_hf.training.rows import JoinIds
from davidgen_hf.training.sections import SECTIONS
from davidgen_hf.training.summary import TrainingSummary
from davidgen_hf.training.trainer import CompletionTrainer


def train(  # noqa: PLR0913 - one keyword a choice of the caller
    rows: Dataset,
    config: Path | dict[str, Any],
    *,
    output_dir: Path,
    eval_rows: Dataset | None = None,
    base_model: str | None = None,
    resume: bool = False,
    last_checkpoint: bool = True,
) -> TrainingSummary:
    """Fine-tune a causal language model on the completions of ``rows`` with TRL's ``SFTTrainer``.

    Where the prompts are those of Table 7, the tokenizer gets them as its chat template.

    Args:
        rows: Columns ``prompt`` and ``completion``; the loss is computed on the completion only.
        config: A YAML file or mapping with the names of ``SFTConfig`` and ``ModelConfig``. Its settings
            about datasets and ``output_dir`` are for the scripts under ``recipes/`` and are ignored here.
        output_dir: Folder for weights (safetensors), tokenizer, generation config, card and ``run.json``. If it
            holds this training, finished, it stays as it is, and its summary is returned.
        eval_rows: Held-out rows of the same columns, for the recipe's ``eval_strategy``.
        base_model: Trained instead of the recipe's ``model_name_or_path``; ``embedded`` for the demo's model.
        resume: Resume from the last checkpoint in ``output_dir``, if there is one, instead of starting over, as the
            recipe's ``resume_from_checkpoint: true`` does.
        last_checkpoint: Write the checkpoint of the last step too; without it, only the trained model is saved then.

    Raises:
        SettingError: The recipe has unknown keys or values that do not fit; all of them are named.
        ModelError: The model is absent, damaged, or not a causal language model.
        MissingColumnsError: ``prompt`` or ``completion`` is absent.
        TrainingError: No row is left to train on, the loss is not finite, or there is too little memory.
        RunFolderError: ``output_dir`` holds another training.
    """
    job = open_job(
        rows,
        config,
        output_dir=output_dir,
        base_model=base_model,
        resume=resume,
        section=SFTConfig,
        sections=SECTIONS,
    )
    finished = job.finished()
    if finished:
        return finished
    tokenizer = job.found.tokenizer()
    if job.args.eos_token:
        tokenizer.eos_token = job.args.eos_token
    check_chat_template(job.args, tokenizer)
    if are_follower_prompts(rows) and not job.args.chat_template_path:
        tokenizer.chat_template = follower_template(tokenizer)
    job.args.max_length = job.length("max_length")
    ids = JoinIds(tokenizer, job.args.max_length)
    return carry_out(job, rows, eval_rows, ids, partial(_make_trainer, job, tokenizer), last_checkpoint)


def _make_trainer(
    job: Job[SFTConfig], tokenizer: PreTrainedTokenizerBase, train_rows: Dataset, eval_rows: Dataset | None
) -> CompletionTrainer:
    """Load the model and set up its trainer, with an adapter or quantized where the recipe says so."""
    args = job.args
    options = args.model_init_kwargs or {}
    model = open_model(job, **cast(dict[str, Any], options))
    args.model_init_kwargs = None
    return CompletionTrainer(
        model=model,
        args=args,
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=tokenizer,
        peft_config=get_peft_config(job.model_args),
    )
