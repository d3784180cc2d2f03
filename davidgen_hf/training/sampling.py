"""Group rows of similar length, in an order that a resumed training can reproduce."""

from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import Trainer
from transformers.trainer_pt_utils import LengthGroupedSampler


class GroupedByEpoch(LengthGroupedSampler):
    """``LengthGroupedSampler`` whose order depends on seed and epoch alone.

    The original draws from the global generator, so a training that resumes in mid-epoch would shuffle that epoch
    again, see some of its rows twice, and others not at all.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths)
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Select the order of ``epoch``; the trainer calls this before each epoch."""
        self.generator = torch.Generator().manual_seed(self.seed + epoch)


class ResumableOrder(Trainer):
    """Makes a ``Trainer`` with ``train_sampling_strategy: group_by_length`` resume with the same order."""

    def _get_train_sampler(self, *args: Dataset, **kwargs: Any) -> Sampler[int] | None:
        sampler = super()._get_train_sampler(*args, **kwargs)
        if isinstance(sampler, LengthGroupedSampler):
            # Counted over all processes, so that a step sees the same rows whatever their number.
            return GroupedByEpoch(sampler.batch_size * self.args.world_size, sampler.lengths, self.args.seed)
        return sampler
