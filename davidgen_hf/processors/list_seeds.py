"""Seeds to training rows of a task writer: some open a list of tasks, others continue it (section 2.5, Table 8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

from datasets import Dataset, Features, List, Value

from davidgen_hf import prompts
from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.processors.base import Batch, draw, take
from davidgen_hf.schema import TRAINING
from davidgen_hf.sources.words import count_words
from davidgen_hf.storage.settings import check_settings

Task = tuple[str, str, str]  # instruction, input, output
COLUMNS = ["instruction", "input", "output"]
OTHERS = Features({"others": List({name: Value("string") for name in COLUMNS})})


@dataclass(frozen=True)
class ListSeeds:
    """Write seeds as a list of tasks in the layout of Table 8: the first ones are the prompt, the rest the completion.

    Batch in:  ``instruction`` (n,) str, ``input`` (n,) str, ``output`` (n,) str; ``others`` (n, examples + new_tasks -
    1), the other tasks of each row's list as ``with_others`` draws them.
    Batch out: all columns of the rows that have instruction and output, with ``prompt`` (m,) str and ``completion``
    (m,) str, m <= n. A row's own task is the first of its completion.

    Args:
        examples: Tasks in the prompt; Table 8 shows three.
        new_tasks: Tasks in the completion. Table 8 has 17, which takes about 2,000 tokens.
        max_example_words: Longest task that is drawn as an example, in words of instruction, input and output.
        seed: Decides the draw, together with a row's own texts.

    Raises:
        SettingError: A number is below 1.
    """

    reads: ClassVar[tuple[str, ...]] = (*COLUMNS, "others")
    writes: ClassVar = TRAINING
    changes_row_count: ClassVar[bool] = True

    examples: int = 3
    new_tasks: int = 2
    max_example_words: int = 200
    seed: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)
        if min(self.examples, self.new_tasks, self.max_example_words) < 1:
            raise SettingError(
                f"examples, new_tasks and max_example_words must be at least 1, got {self.examples}, "
                f"{self.new_tasks} and {self.max_example_words}."
            )

    def __call__(self, batch: Batch) -> Batch:
        kept = [row for row, output in enumerate(batch["output"]) if output is not None and batch["instruction"][row]]
        rows = take(batch, kept)
        pairs = [
            self._pair([_task(one) for one in others], own)
            for others, *own in zip(rows["others"], *(rows[name] for name in COLUMNS), strict=True)
        ]
        return rows | {"prompt": [pair[0] for pair in pairs], "completion": [pair[1] for pair in pairs]}

    def with_others(self, rows: Dataset, seeds: Dataset) -> Dataset:
        """Return rows with the column ``others``: tasks drawn from ``seeds``, none with the row's own instruction.

        Raises:
            InputError: As ``pool``.
        """
        pool, n = self.pool(seeds), self.examples + self.new_tasks - 1
        texts = zip(rows["instruction"], rows["output"], strict=True)
        drawn = [self.draw_tasks(pool, n, *own, without=own[0]) for own in texts]
        named = [[dict(zip(COLUMNS, task, strict=True)) for task in many] for many in drawn]
        return rows.add_column("others", named, feature=OTHERS["others"])

    def pool(self, seeds: Dataset) -> list[Task]:
        """Return the seeds that are short enough to be drawn.

        Raises:
            InputError: They have fewer different instructions than a list has tasks.
        """
        tasks = [_task(row) for row in seeds.select_columns(COLUMNS)]
        short = [task for task in tasks if sum(map(count_words, task)) <= self.max_example_words]
        needed = self.examples + self.new_tasks
        if len({instruction for instruction, *_ in short}) < needed:
            raise InputError(
                f"{len(short)} of {len(tasks)} seeds have at most {self.max_example_words} words. A list of tasks "
                f"needs {needed} of them with different instructions. Give more seeds, or change examples, new_tasks "
                "or max_example_words of seeds.tasks."
            )
        return short

    def draw_tasks(self, pool: Sequence[Task], n: int, *parts: object, without: str | None = None) -> list[Task]:
        """Return ``n`` tasks of ``pool`` with different instructions, drawn by ``seed`` and ``parts`` alone.

        Args:
            pool: As the method of that name returns it.
            n: How many; fewer than there are different instructions.
            parts: What the draw depends on besides ``seed``.
            without: An instruction that must not be among them.
        """
        chosen: dict[str, Task] = {}
        for turn in count():
            if len(chosen) == n:
                break
            task = pool[draw(len(pool), self.seed, *parts, turn)]
            if task[0] != without:
                chosen.setdefault(task[0], task)
        return list(chosen.values())

    def render(self, examples: Sequence[Task]) -> str:
        """Return the prompt that opens a list of tasks with these examples."""
        return prompts.render_meta(examples, len(examples) + self.new_tasks)

    def _pair(self, others: list[Task], own: list[Any]) -> tuple[str, str]:
        examples, following = others[: self.examples], others[self.examples :]
        tasks = [(own[0], own[1] or "", own[2]), *following]
        return self.render(examples), prompts.render_tasks(tasks, len(examples) + 1)


def _task(row: dict[str, Any]) -> Task:
    return row["instruction"], row["input"] or "", row["output"]
