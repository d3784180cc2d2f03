"""Seeds to training rows of an instruction follower: the instruction is in the prompt, the output the completion."""

from dataclasses import dataclass
from typing import ClassVar

from davidgen_hf import prompts
from davidgen_hf.processors.base import Batch, take
from davidgen_hf.schema import TRAINING
from davidgen_hf.storage.settings import check_settings


@dataclass(frozen=True)
class FollowSeeds:
    """Write a seed as an instruction follower is trained on it (Table 7).

    Batch in:  ``instruction`` (n,) str, ``input`` (n,) str, ``output`` (n,) str.
    Batch out: all columns of the rows that have instruction and output, with ``prompt`` (m,) str and ``completion``
    (m,) str, m <= n.
    """

    reads: ClassVar[tuple[str, ...]] = ("instruction", "input", "output")
    writes: ClassVar = TRAINING
    changes_row_count: ClassVar[bool] = True

    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)

    def __call__(self, batch: Batch) -> Batch:
        kept = [row for row, output in enumerate(batch["output"]) if output is not None and batch["instruction"][row]]
        rows = take(batch, kept)
        pairs = zip(rows["instruction"], rows["input"], strict=True)
        return rows | {
            "prompt": [prompts.render_follower(instruction, given or "") for instruction, given in pairs],
            "completion": rows["output"],
        }
