"""Tasks of lm-eval to scored answers of a model: the same tasks that ``lm_eval run`` takes."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from accelerate.utils.memory import should_reduce_batch_size
from jinja2 import TemplateError
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from davidgen_hf.engines.opening import explain_files
from davidgen_hf.errors import EvaluationError, ModelError, SettingError
from davidgen_hf.evaluation.benchmark import benchmarks, family, is_ours
from davidgen_hf.evaluation.harness import HarnessSettings
from davidgen_hf.prompts import render_follower


@dataclass(frozen=True)
class Answers:
    """A model's answers to a task or a group.

    Args:
        rows: One per instance: ``task``, ``category``, ``id``, ``prompt``, ``answer``, ``references`` and its scores.
            The scores of another filter than the task's first are named ``METRIC,FILTER``.
        figures: Overall value of each metric as the task computes it; empty for our benchmarks, whose values are
            means over the instances.
        higher_is_better: By metric, where the task says so.
        datasets: Where the task's data comes from, as its YAML names it.
    """

    rows: list[dict[str, Any]]
    figures: dict[str, float] = field(default_factory=dict)
    higher_is_better: dict[str, bool] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()


def answer_task(lm: LM, name: str, manager: TaskManager, settings: HarnessSettings) -> Answers:
    """Let a model answer a task or a group of tasks.

    Args:
        lm: The model.
        name: Name of the task or group.
        manager: Knows it: ``task_manager`` or ``tasks.other_tasks``.
        settings: Limit, length and template.

    Raises:
        ModelError: The model has no usable chat template, no room for an answer, or memory is short; or a task that
            is not ours cannot be loaded.
        SettingError: The chat template writes the benchmark's prompt a second time.
    """
    if settings.chat_template:
        _check_chat_template(lm, name, manager)
    if not is_ours(name):
        load_task(name, manager)
    try:
        results = simple_evaluate(
            lm,
            tasks=[name],
            task_manager=manager,
            limit=settings.limit,
            gen_kwargs={"max_gen_toks": settings.max_gen_toks} if settings.max_gen_toks else None,
            apply_chat_template=settings.chat_template,
            fewshot_as_multiturn=settings.chat_template,
            bootstrap_iters=0,
        )
    except AssertionError as error:
        if "max tokens to generate" not in str(error):
            raise
        raise ModelError(
            f"The answers of {name} may be longer than the model's context: {error} Lower --max-gen-toks, or take a "
            "model with a longer context."
        ) from error
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not should_reduce_batch_size(error):
            raise
        raise ModelError(
            f"Out of memory while the model answered {name} with batches of {settings.batch_size}. Lower "
            "--batch-size, or take a smaller model or dtype."
        ) from error
    return _read(name, manager, results)


def task_manager(folder: Path) -> TaskManager:
    """Return lm-eval's manager of the tasks in ``folder``, and of no others."""
    return TaskManager(include_path=str(folder), include_defaults=False)


def load_task(name: str, manager: TaskManager) -> dict[str, Any]:
    """Return the tasks that a name refers to, by their own names; a task that is not ours may lack data or packages.

    Raises:
        ModelError: One cannot be loaded.
    """
    advice = "Its data must be cached or within reach, and its packages installed. Run `lm_eval validate` on it."
    with explain_files(f"The task {name!r} cannot be loaded by lm-eval", advice):
        tasks: dict[str, Any] = manager.load([name])["tasks"]
        for task in tasks.values():
            len(task.eval_docs)
    return tasks


def row_of(
    manager: TaskManager, task: str, document: tuple[int, Mapping[str, Any]], target: Any, answer: str
) -> dict[str, Any]:
    """Return what is kept of an instance.

    Args:
        manager: Knows the task.
        task: Its name; a task in a group of ours is called ``group::task``.
        document: Its number within the task, and itself.
        target: What ``doc_to_target`` gives.
        answer: What the model wrote.
    """
    group, _, own = task.rpartition("::")
    return {
        "task": own,
        "category": manager.task_index[group].cfg.get("group_alias", group) if group else None,
        "id": id_of(task, document),
        "answer": answer,
        "references": [str(one) for one in target] if isinstance(target, list | tuple) else [str(target)],
    }


def id_of(task: str, document: tuple[int, Mapping[str, Any]]) -> str:
    """Return the id of a document: what its benchmark names, else ``id``, else its task and its number.

    Raises:
        EvaluationError: The document lacks the column that its benchmark names.
    """
    number, doc = document
    column = benchmarks()[family(task) or ""].id_column if is_ours(task) else "id"
    if column in doc:
        return str(doc[column])
    if is_ours(task):
        raise EvaluationError(
            f"A document of {task} has the columns {sorted(doc)}, and its benchmark names {column!r} as id_column. "
            "Correct id_column, or add the column in the task's load function."
        )
    return f"{task}:{number}"


def numbers_of(scores: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores that are finite numbers; what a metric computes over all instances at once is not one."""
    return {
        metric: float(value) for metric, value in scores.items() if isinstance(value, Real) and math.isfinite(value)
    }


def _read(name: str, manager: TaskManager, results: Mapping[str, Any]) -> Answers:
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    first_filters = set()
    for task, samples in results["samples"].items():
        first = samples[0]["filter"] if samples else None
        first_filters.add(first)
        for sample in samples:
            place = (task, sample["doc_id"])
            if sample["filter"] == first:
                document = (sample["doc_id"], sample["doc"])
                rows[place] = row_of(manager, task, document, sample["target"], _answer(sample["filtered_resps"]))
                rows[place]["prompt"] = str(sample["arguments"][0][0])
            suffix = "" if sample["filter"] == first else f",{sample['filter']}"
            scores = numbers_of({metric: sample[metric] for metric in sample["metrics"]})
            rows[place] |= {f"{metric}{suffix}": value for metric, value in scores.items()}
    if is_ours(name):
        return Answers(list(rows.values()))
    figures = {}
    for key, value in numbers_of(results["results"].get(name, {})).items():
        metric, comma, filter_name = key.partition(",")
        if comma and not metric.endswith("_stderr"):
            figures[metric if filter_name in first_filters else key] = value
    paths = {config.get("dataset_path") for config in results["configs"].values()}
    return Answers(
        _with_common_scores(list(rows.values())),
        figures,
        dict(results["higher_is_better"].get(name, {})),
        tuple(sorted(str(path) for path in paths if path)),
    )


def _answer(responses: Sequence[Any]) -> str:
    """Return the text that was generated; of a choice, the log-likelihoods that decided it."""
    return responses[0] if isinstance(responses[0], str) else json.dumps(responses, default=str)


def _with_common_scores(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows without scores that some of them lack, such as those of one task of a group."""
    common = set.intersection(*(set(row) for row in rows)) if rows else set()
    return [{name: value for name, value in row.items() if name in common} for row in rows]


def _check_chat_template(lm: LM, name: str, manager: TaskManager) -> None:
    """Refuse a chat template that does not work, or that writes the task's prompt a second time."""
    message = "message"
    try:
        text = lm.apply_chat_template([{"role": "user", "content": message}])
    except (ValueError, TemplateError) as error:
        raise ModelError(
            f"The model's chat template cannot be used: {str(error).partition('!')[0]}. --chat-template needs a "
            "tokenizer whose template shows a single message of a user. Leave the option out, or name another model."
        ) from error
    header = render_follower(message).partition(message)[0].splitlines()[-1]
    if header not in text:
        return
    for task in load_task(name, manager).values():
        doc = next(iter(task.eval_docs), None)
        if doc is not None and header in str(task.doc_to_text(doc)):
            raise SettingError(
                f"The model's chat template writes {header!r} itself: it is the follower's prompt (Table 7), which "
                f"{name} has too, so that one would be within the other. Leave --chat-template out: the model is then "
                "prompted as it was trained."
            )
