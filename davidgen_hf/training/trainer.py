"""TRL's ``SFTTrainer``; on the CPU, with the loss from completions' positions alone, in passes of a bounded size."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from trl import SFTTrainer

from davidgen_hf.training.checkpoints import WholeCheckpoints
from davidgen_hf.training.failures import StopOnNonFiniteLoss
from davidgen_hf.training.sampling import ResumableOrder

# Of one forward and backward pass on a CPU: activations of more tokens fill gigabytes, and no product gets faster.
PASS_TOKENS = 1024


class CompletionTrainer(StopOnNonFiniteLoss, WholeCheckpoints, ResumableOrder, SFTTrainer):
    """``SFTTrainer`` that computes less on the CPU, stops at a loss that is not finite, and sends no telemetry."""

    def training_step(self, model: nn.Module, inputs: dict[str, torch.Tensor], *args: Any) -> torch.Tensor:
        """Take one step; on the CPU in several passes whose gradients add up, each of rows of similar length.

        The loss of a step is a sum over its tokens, so the passes give the gradients that one pass would give.
        Processes that train together must take as many passes as each other, so they split nothing.
        """
        step = super().training_step
        is_sum = bool(args) and args[0] is not None and self._is_plain  # over the number of tokens in `args[0]`
        if self.args.device.type != "cpu" or self.accelerator.num_processes > 1 or not is_sum:
            return step(model, inputs, *args)
        losses = [step(model, one, *args) for one in split_rows(inputs, PASS_TOKENS)]
        return torch.stack(losses).sum()

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
        if self.args.device.type != "cpu" or return_outputs or not self._is_plain:
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

    @property
    def _is_plain(self) -> bool:
        return vars(self.args)["loss_type"] == "nll" and self.label_smoother is None and not self.aux_loss_enabled

    def _send_telemetry(self) -> None:
        """Send nothing: this package uses the network only where the user says so."""


def split_rows(inputs: dict[str, torch.Tensor], tokens: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield all rows of a batch, the shortest first, in parts of a bounded size without needless padding.

    A batch without ``attention_mask``, with padding on the left, or with columns of other shapes stays whole.

    Args:
        inputs: Columns of the batch, ``(rows, length)``; ``attention_mask`` is 0 at padding.
        tokens: Largest size of a part, padding included; a longer row is a part of its own.
    """
    mask = inputs.get("attention_mask")
    if mask is None or not mask[:, 0].all() or any(value.shape != mask.shape for value in inputs.values()):
        yield inputs
        return
    lengths = mask.sum(dim=1)
    order = lengths.argsort().tolist()
    part: list[int] = []
    for row in order:
        if part and (len(part) + 1) * int(lengths[row]) > tokens:
            yield _part(inputs, part, int(lengths[part[-1]]))
            part = []
        part.append(row)
    yield _part(inputs, part, int(lengths[part[-1]]))


def _part(inputs: dict[str, torch.Tensor], rows: list[int], length: int) -> dict[str, torch.Tensor]:
    return {name: value[rows, :length] for name, value in inputs.items()}
