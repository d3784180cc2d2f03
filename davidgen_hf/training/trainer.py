"""TRL's ``SFTTrainer``, with the loss on the CPU from the completions' positions alone."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from trl import SFTTrainer

from davidgen_hf.training.checkpoints import WholeCheckpoints
from davidgen_hf.training.failures import StopOnNonFiniteLoss
from davidgen_hf.training.sampling import ResumableOrder


class CompletionTrainer(StopOnNonFiniteLoss, WholeCheckpoints, ResumableOrder, SFTTrainer):
    """``SFTTrainer`` that computes less on the CPU, stops at a loss that is not finite, and sends no telemetry."""

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the completion's loss (nats per token); on the CPU from the logits of its positions alone.

        Without Triton, TRL projects every position onto the vocabulary, multiplies gradients in float32, and computes
        entropy and accuracy as well. ``labels`` are ``(batch, length)``; the head sees ``(positions, hidden)``.
        """
        plain = vars(self.args)["loss_type"] == "nll" and self.label_smoother is None and not self.aux_loss_enabled
        if self.args.device.type != "cpu" or return_outputs or not plain:
            untyped: Any = super()
            return untyped.compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]
        predicted = labels != -100
        head = self.accelerator.unwrap_model(model).get_output_embeddings()
        with head.register_forward_pre_hook(lambda _, args: (args[0][:, :-1][predicted],)):
            logits = model(
                **{name: value for name, value in inputs.items() if name != "labels"}, use_cache=False
            ).logits
        loss = functional.cross_entropy(logits.float(), labels[predicted], reduction="sum")
        if num_items_in_batch is None:
            return loss / predicted.sum()
        # The count is over all processes, over whose gradients DDP takes the mean.
        return loss / num_items_in_batch * self.accelerator.num_processes

    def _send_telemetry(self) -> None:
        """Send nothing: this package uses the network only where the user says so."""
