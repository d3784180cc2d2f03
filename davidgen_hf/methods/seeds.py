"""The settings of 1_seeds.yaml: where seeds come from, which are held out, and what the generator learns from them."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from datasets import Dataset
from pydantic import Tag

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.processors import FollowSeeds, ListSeeds, ReverseSeeds, apply
from davidgen_hf.processors.base import draw
from davidgen_hf.sources.seeds import SeedSource, read_seeds
from davidgen_hf.sources.source import ONE_OR_MORE, Skipped, check_names

Seeds = Annotated[
    Annotated[SeedSource, Tag("One")] | Annotated[tuple[SeedSource, ...], Tag("More")],
    ONE_OR_MORE,
]


@dataclass(frozen=True)
class SeedSettings:
    """1_seeds.yaml: where the seeds come from, how they are laid out, and how many are kept for evaluation.

    Args:
        source: One source or several.
        held_out: Seeds that nothing is trained on.
        reverse: Layout ``reversed``: the generator learns to write the instruction of an output (Table 9).
        layout: What the generator is trained on: ``reversed``; ``following``, which trains an instruction follower
            (Table 7) for ``generate.prompt_format: following``; or ``tasks``, a list of tasks that the generator
            continues (Table 8), for ``method: self_instruct``.
        tasks: Layout ``tasks``; the prompts of ``method: self_instruct`` are laid out by it too.

    Raises:
        SettingError: ``held_out`` is negative, or two sources have the same name.
    """

    source: Seeds = field(default_factory=SeedSource)
    held_out: int = 16
    reverse: ReverseSeeds = field(default_factory=ReverseSeeds)
    layout: Literal["reversed", "following", "tasks"] = "reversed"
    tasks: ListSeeds = field(default_factory=ListSeeds)

    def __post_init__(self) -> None:
        if self.held_out < 0:
            raise SettingError(f"held_out must be at least 0, got {self.held_out}.")
        check_names("source", self.sources)

    @property
    def sources(self) -> tuple[SeedSource, ...]:
        """The sources of the seeds, one or more."""
        return (self.source,) if isinstance(self.source, SeedSource) else self.source

    def read(self, skipped: Skipped) -> dict[str, Dataset]:
        """Return the seeds ``train`` and ``held_out``, the same in every call.

        Raises:
            InputError: The seeds cannot be read, or ``held_out`` leaves none to train on.
        """
        seeds = read_seeds(self.sources, skipped)
        if self.held_out >= len(seeds):
            raise InputError(
                f"held_out={self.held_out} leaves nothing of {len(seeds)} seeds to train on. Lower seeds.held_out or "
                "give more."
            )
        order = sorted(range(len(seeds)), key=lambda row: draw(2**64, self.reverse.seed, seeds[row]["id"]))
        parts = {"held_out": order[: self.held_out], "train": order[self.held_out :]}
        return {name: seeds.select(sorted(rows)) for name, rows in parts.items()}

    def lay_out(self, seeds: dict[str, Dataset]) -> dict[str, Dataset]:
        """Return what ``read`` does with the columns of ``schema.TRAINING``, in the layout that the recipe names.

        Raises:
            InputError: There are too few seeds for a list of tasks.
        """
        if self.layout != "tasks":
            step = self.reverse if self.layout == "reversed" else FollowSeeds()
            return {name: apply(step, rows) for name, rows in seeds.items()}
        listed = {name: self.tasks.with_others(rows, seeds["train"]) for name, rows in seeds.items()}
        return {name: apply(self.tasks, rows).remove_columns("others") for name, rows in listed.items()}
