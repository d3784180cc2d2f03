"""Turn failures of a running training into errors that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from transformers import PreTrainedTokenizerBase, Trainer, TrainingArguments

from davidgen_hf.errors import DavidgenError, SettingError, TrainingError


class StopOnNonFiniteLoss(Trainer):
    """Makes a ``Trainer`` stop at the first loss that is not finite, rather than continue."""

    def training_step(self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], *args: Any) -> torch.Tensor:
        """Take one step.

        Raises:
            TrainingError: The loss is NaN or infinite; the error shows how the batch's rows begin.
        """
        input_ids = inputs["input_ids"]
        loss = super().training_step(model, inputs, *args)
        if not torch.isfinite(loss):
            rows = beginnings(cast(PreTrainedTokenizerBase, self.processing_class), input_ids)
            raise TrainingError(
                f"The loss is {loss.item()} after {self.state.global_step} steps. The rows of this batch begin: "
                f"{rows}. Look at them, lower learning_rate, or train in float32 (`bf16: false`, `dtype: float32`)."
            )
        return loss


def beginnings(tokenizer: PreTrainedTokenizerBase, input_ids: torch.Tensor, characters: int = 60) -> list[str]:
    """Return how each row of ``input_ids``, ``(batch, length)``, begins."""
    return [text[:characters] for text in tokenizer.batch_decode(input_ids, skip_special_tokens=True)]


@contextmanager
def explain_settings(*refusals: type[Exception]) -> Iterator[None]:
    """Turn an exception by which a library refuses a setting into an error of ours.

    Args:
        refusals: The classes of exceptions that can have no other cause here.

    Raises:
        SettingError: Two settings contradict each other, or one needs a package that is not installed.
    """
    try:
        yield
    except DavidgenError:
        raise
    except refusals as error:
        reason = "need a package that is not installed" if isinstance(error, ImportError) else "do not fit together"
        raise SettingError(f"The settings of the training {reason}: {error}") from error


@contextmanager
def explain_out_of_memory(args: TrainingArguments) -> Iterator[None]:
    """Turn torch's error about memory into one that says which settings to lower, and to what.

    Raises:
        TrainingError: Out of memory.
    """
    try:
        yield
    except RuntimeError as error:  # on the CPU torch has no class of its own for it
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise TrainingError(f"Out of memory. {_smaller(args)}") from error


def _smaller(args: TrainingArguments) -> str:
    rows, accumulation = args.per_device_train_batch_size, args.gradient_accumulation_steps
    advice = []
    if rows > 1:
        advice.append(
            f"set per_device_train_batch_size to {rows // 2} and gradient_accumulation_steps to "
            f"{accumulation * rows // (rows // 2)} (they are {rows} and {accumulation})"
        )
    if not args.activation_checkpointing:
        advice.append("set activation_checkpointing to true")
    length = vars(args).get("max_length")
    if length:
        advice.append(f"set max_length to {length // 2} (it is {length})")
    advice.append("train an adapter (use_peft: true), or share the weights out with recipes/accelerate/fsdp2.yaml")
    return "In this order: " + "; ".join(advice) + "."
