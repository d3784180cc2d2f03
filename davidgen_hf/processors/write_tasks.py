"""Prompts to tasks: the generator continues a list with instructions, inputs and outputs of its own (Table 8)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from datasets import Features

from davidgen_hf import prompts
from davidgen_hf.engines import EngineSettings, Sampling, load_engine
from davidgen_hf.processors.base import Batch
from davidgen_hf.processors.counting import TOKENS, count_candidates, n_rows
from davidgen_hf.schema import CANDIDATES, FRAGMENT, PASSAGE, WRITTEN_BY, Candidate, empty_candidate
from davidgen_hf.storage.settings import check_settings

STRATEGY = "self_instruct"
_TEXT = Features({"text": PASSAGE["text"]})


@dataclass(frozen=True)
class WriteTasks:
    """Let a generator continue a list of tasks, and cut what it writes into tasks.

    Batch in:  ``text`` (n,) str, a prompt as ``prompts.render_meta`` makes it; ``id`` (n,) str and ``made_with`` if
    there are such columns.
    Batch out: a row for each task that was begun, m >= n, with all other columns of its prompt. ``text`` is what was
    written after the last line of the prompt, and that line; the seeds in the prompt are not in it. ``output`` is a
    part of it from ``start`` to ``end``, ``strategy`` is ``self_instruct``.
    ``candidates`` (m, 1) has the instruction and its input; a broken task has its reason there:

    - ``engine_failed``: the engine failed permanently on the prompt.
    - ``no_task``: the prompt does not end as Table 8 does, and no task was begun after it either.
    - ``prompt_too_long``: the prompt leaves no room for ``sampling.max_new_tokens``.
    - ``unfinished``: the task was cut by the limit of tokens.
    - ``wrong_number``, ``repeated_part``, ``no_input``, ``no_output``, ``empty_instruction``, ``empty_output``: it
      does not have the layout of Table 8.

    ``output_written_by`` (m,) str is the model that wrote the output: the generator in ``made_with``, or the name of
    the engine's model. The tasks of a prompt after its first one get the ``id`` of the prompt and ``-1``, ``-2``, ….

    Args:
        engine: The generator.
        sampling: How lists are drawn; the paper's top-p 0.9, top-k 40, temperature 0.7.
    """

    reads: ClassVar[tuple[str, ...]] = ("text",)
    writes: ClassVar = Features(_TEXT | FRAGMENT | WRITTEN_BY | CANDIDATES)
    changes_row_count: ClassVar[bool] = True

    engine: EngineSettings = field(default_factory=EngineSettings, metadata={"role": "generator"})
    sampling: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=512))
    version: int = 1

    def __post_init__(self) -> None:
        check_settings(self)

    def __call__(self, batch: Batch) -> Batch:
        engine = load_engine(self.engine)
        fits = [left >= self.sampling.max_new_tokens for left in engine.tokens_left(batch["text"])]
        fitting = [prompt for prompt, fit in zip(batch["text"], fits, strict=True) if fit]
        written = iter(engine.generate(fitting, n=1, sampling=self.sampling) if fitting else [])
        return self.cut(batch, [next(written) if fit else None for fit in fits], fits)

    def cut(self, batch: Batch, written: Sequence[list[str] | None], fits: Sequence[bool]) -> Batch:
        """Return the rows of a call.

        Args:
            batch: Its prompts.
            written: What followed each prompt, in a list of one; None if nothing did.
            fits: Whether there was room for it.
        """
        rows: Batch = {name: [] for name in {**batch, **self.writes}}
        for place, (answer, fit) in enumerate(zip(written, fits, strict=True)):
            tasks = self._tasks(batch["text"][place], answer[0] if answer else None, fit=fit)
            for number, task in enumerate(tasks):
                row = {name: batch[name][place] for name in batch} | task
                if number and isinstance(row.get("id"), str):
                    row["id"] = f"{row['id']}-{number}"
                row["output_written_by"] = (row.get("made_with") or {}).get("generator") or self.engine.model
                for name, values in rows.items():
                    values.append(row[name])
        return rows

    def counts(self, given: Batch, made: Batch) -> Counter[str]:
        """Return the number of prompts, of tasks, whole ones, and broken ones by reason, and the tokens of both."""
        engine = load_engine(self.engine)
        counts = count_candidates(made) + Counter(prompts=n_rows(given))
        counts[f"{TOKENS}prompts"] = sum(engine.count_tokens(given["text"]))
        counts[f"{TOKENS}candidates"] = sum(engine.count_tokens(list(dict.fromkeys(made["text"]))))
        return counts

    def _tasks(self, prompt: str, written: str | None, *, fit: bool) -> list[dict[str, Any]]:
        # The prompt ends with the number of the task that the generator writes next.
        opening = prompt.rstrip("\n").rpartition("\n")[2] + "\n"
        if written is None:
            reason = "engine_failed" if fit else "prompt_too_long"
            return [_row(opening, prompts.ListedTask("", start=len(opening), broken=reason), empty_candidate())]
        engine = load_engine(self.engine)
        text = opening + written
        found = prompts.split_tasks(text) or [prompts.ListedTask("", start=len(text), broken="no_task")]
        (n_tokens,) = engine.count_tokens([written])
        is_cut = n_tokens >= self.sampling.max_new_tokens
        return [
            _row(
                text,
                task,
                empty_candidate(finished=not (is_cut and task is found[-1]), closed_source=engine.restricted),
            )
            for task in found
        ]


def _row(text: str, task: prompts.ListedTask, candidate: Candidate) -> dict[str, Any]:
    reason = "unfinished" if candidate["finished"] is False else task.broken
    return {
        "text": text,
        "output": task.output,
        "strategy": STRATEGY,
        "start": task.start,
        "end": task.start + len(task.output),
        "candidates": [candidate | {"instruction": task.instruction, "input": task.input, "reject_reason": reason}],
    }
