"""``results.json`` to the ``model-index`` of the follower's card."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult

from davidgen_hf.evaluation.benchmark import benchmarks, family


def eval_results(results: Mapping[str, Any]) -> list[EvalResult]:
    """Return the overall scores of each of our benchmarks, as a card's ``model-index`` takes them.

    Args:
        results: The content of ``results.json``. A score on part of a benchmark says so in its dataset's name.
    """
    found = []
    for name, result in results["benchmarks"].items():
        benchmark = benchmarks().get(family(name) or "")
        if benchmark is None or not benchmark.is_scored:
            continue
        title = benchmark.dataset_title or benchmark.dataset
        found += [
            EvalResult(
                task_type="text-generation",
                dataset_type=benchmark.dataset,
                dataset_name=f"{title} ({name}, {result['n']} instances)",
                metric_type=metric,
                metric_value=score["value"],
                metric_args={"interval_95": score["interval"]},
            )
            for metric, score in result["scores"].items()
        ]
    return found
