"""``results.json`` as the Hub reads scores: the ``model-index`` of the card, and files in ``.eval_results/``."""

from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import EvalResult, EvalResultEntry, eval_result_entries_to_yaml

from davidgen_hf.evaluation.benchmark import PREFIX, Benchmark, benchmarks, family

EVAL_RESULTS = ".eval_results"


def eval_results(results: Mapping[str, Any]) -> list[EvalResult]:
    """Return the overall scores of each of our benchmarks, as a card's ``model-index`` takes them.

    Args:
        results: The content of ``results.json``. A score on part of a benchmark says so in its dataset's name.
    """
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=benchmark.dataset,
            dataset_name=f"{benchmark.dataset_title or benchmark.dataset} ({name}, {result['n']} instances)",
            metric_type=metric,
            metric_value=score["value"],
            metric_args={"interval_95": score["interval"]},
        )
        for name, benchmark, result in _scored(results)
        for metric, score in result["scores"].items()
    ]


def eval_result_files(results: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the same scores as the files that the Hub reads in a model's repository, by path, as values of YAML.

    An entry has one value, so each metric is a task of its own: ``superni_rougeL``. Without a benchmark of that name
    on the Hub, the model page shows the score, and no leaderboard does.

    Args:
        results: The content of ``results.json``.

    Source: https://huggingface.co/docs/hub/eval-results
    """
    found = {}
    for name, benchmark, result in _scored(results):
        entries = []
        for metric, score in result["scores"].items():
            interval = "; 95% interval {:.4g} to {:.4g}".format(*score["interval"]) if score["interval"] else ""
            notes = f"davidgen eval, {result['n']} instances, {metric}{interval}"
            entries.append(EvalResultEntry(benchmark.dataset, f"{name}_{metric}", score["value"], notes=notes))
        found[f"{EVAL_RESULTS}/{PREFIX}{name}.yaml"] = eval_result_entries_to_yaml(entries)
    return found


def _scored(results: Mapping[str, Any]) -> Iterator[tuple[str, Benchmark, Mapping[str, Any]]]:
    """Yield name, benchmark and result of what compares models."""
    for name, result in results["benchmarks"].items():
        benchmark = benchmarks().get(family(name) or "")
        if benchmark is not None and benchmark.is_scored:
            yield name, benchmark, result
