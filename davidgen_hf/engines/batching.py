"""Batches of similar length under a budget of tokens, which shrinks when memory runs out."""

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size

from davidgen_hf.errors import TooLongError
from davidgen_hf.storage.progress import Bar

logger = logging.getLogger(__name__)

# On a CPU, more tokens in one pass leave its caches: a quarter slower at 8192 than at 2048.
CPU_PASS_TOKENS = 2048

Item = TypeVar("Item", bound=Hashable)


def split_by_budget(sizes: Mapping[Item, int], budget: int) -> Iterator[list[Item]]:
    """Yield the items in groups whose padded size, longest times count, stays within ``budget``.

    The longest come first, so that memory runs out early or never. An item above the budget gets a group of its own.
    """
    batch: list[Item] = []
    for item in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if batch and sizes[batch[0]] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


class TokenBudget:
    """Runs work in batches of at most ``tokens`` tokens, and halves that when memory runs out."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._warned = False

    def run(
        self,
        sizes: Mapping[Item, int],
        work: Callable[[list[Item]], None],
        description: str,
        name: Callable[[Item], str] = str,
    ) -> None:
        """Call ``work`` with groups of items until each was in one that went through.

        Args:
            sizes: Tokens that each item takes in a forward pass.
            work: Handles the items it is given, and may be called again for them after running out of memory.
            description: Word next to the progress bar.
            name: What to call an item in a message.

        Raises:
            TooLongError: A single item does not fit into memory; the message names it.
        """
        pending = dict(sizes)
        with Bar(description, "texts", len(sizes), delay=2) as bar:
            while pending:
                for batch in split_by_budget(pending, self.tokens):
                    if not self._fits(work, batch):
                        self._shrink(batch, sizes[batch[0]], name)
                        break
                    for item in batch:
                        del pending[item]
                    bar.update(len(batch))

    @staticmethod
    def _fits(work: Callable[[list[Item]], None], batch: list[Item]) -> bool:
        try:
            work(batch)
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not should_reduce_batch_size(error):
                raise
            return False
        return True

    def _shrink(self, batch: list[Item], longest: int, name: Callable[[Item], str]) -> None:
        if len(batch) == 1:
            raise TooLongError(
                f"{name(batch[0])} with its {longest} tokens does not fit into memory, even alone. Shorten it, lower "
                "max_length so that it is refused earlier, or take a smaller model or dtype."
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.tokens = min(self.tokens, longest * len(batch)) // 2
        if not self._warned:
            logger.warning("Out of memory; continuing with at most %d tokens per batch.", self.tokens)
            self._warned = True
