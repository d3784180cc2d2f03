"""Self-Instruct with an open model (section 2.5): a generator continues lists of seeds with tasks of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import ClassVar, Literal, Self

from davidgen_hf.errors import SettingError
from davidgen_hf.methods.base import Method, Stage
from davidgen_hf.methods.seeds import SeedSettings
from davidgen_hf.processors import Decontaminate, GuardTasks, NovelInstructions, SelectInstruction, WriteTasks
from davidgen_hf.processors.own import OwnSteps, ShippedOrOwn
from davidgen_hf.schema import PASSAGE, Row
from davidgen_hf.sources.source import Skipped

MAX_PROMPTS = 100_000_000


@dataclass(frozen=True)
class TaskGuards:
    """What rejects tasks: the two projects' rules, evaluation sets, a user's own steps, and earlier instructions."""

    rules: GuardTasks = field(default_factory=GuardTasks)
    decontaminate: Decontaminate | None = None
    novelty: NovelInstructions | Literal["none"] = field(default_factory=NovelInstructions)
    own: OwnSteps = ()


@dataclass(frozen=True)
class SelfInstruct(Method):
    """3_corpus.yaml for ``method: self_instruct``: the steps from seeds to tasks that a model wrote whole.

    It reads no passages. Each prompt is a list of seed tasks in the layout of Table 8, drawn by ``seeds.tasks`` of
    1_seeds.yaml, whose ``layout: tasks`` trains the generator on such lists. The outputs are a model's, which each row
    names in ``output_written_by``.

    Args:
        prompts: Number of prompts.
        generate: What the generator makes of them.
        guards: What rejects tasks; ``none`` keeps all that are whole.

    Raises:
        SettingError: ``prompts`` is out of range.
    """

    funnel: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "prompts": "prompts",
            "candidates": "tasks that were begun",
            "accepted": "tasks that no rule rejected",
            "pairs": "pairs",
        }
    )
    uses_seeds: ClassVar[bool] = True

    prompts: int = 200
    generate: ShippedOrOwn[WriteTasks] = field(default_factory=WriteTasks, metadata={"role": "generator"})
    guards: TaskGuards | Literal["none"] = field(default_factory=TaskGuards, metadata={"role": "scorer"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.prompts <= MAX_PROMPTS:
            raise SettingError(f"prompts must be 1 to {MAX_PROMPTS:,}, got {self.prompts}.")

    def rows(self, seeds: SeedSettings, skipped: Skipped) -> Iterator[Row]:
        """Yield the prompts; the seeds of each depend on its number and ``seeds.tasks.seed`` alone.

        Raises:
            InputError: The seeds cannot be read, or are too few.
        """
        step, train = seeds.tasks, seeds.read(Skipped())["train"]
        pool = step.pool(train)
        languages = set(train["language"])
        language = languages.pop() if len(languages) == 1 else None
        for number in range(self.prompts):
            name, text = f"prompt-{number}", step.render(step.draw_tasks(pool, step.examples, number))
            row = {"id": name, "document": name, "text": text, "language": language, "supervised": False}
            yield dict.fromkeys(PASSAGE) | row

    def with_seeds(self, seeds: SeedSettings) -> Self:
        """Return these settings with a run's seeds as the instructions that all others are compared with first."""
        if self.guards == "none" or self.guards.novelty == "none":
            return self
        novelty = replace(self.guards.novelty, seeds=self.guards.novelty.seeds or seeds.sources)
        return replace(self, guards=replace(self.guards, novelty=novelty))

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages in order; without guards, two of them are left out."""
        guarded = []
        if self.guards != "none":
            rules = [one for one in (self.guards.rules, self.guards.decontaminate) if one is not None]
            guarded.append(Stage("guarded", (*rules, *self.guards.own)))
            if self.guards.novelty != "none":
                guarded.append(Stage("novel", (self.guards.novelty,), whole_corpus=True))
        return (
            Stage("tasks", (self.generate,)),
            *guarded,
            Stage("corpus", (SelectInstruction(choose="first"),)),
        )
