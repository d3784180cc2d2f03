"""``results.json`` to the ``model-index`` of the follower's card."""

from huggingface_hub import EvalResult

DATASETS = {
    "superni": ("Muennighoff/natural-instructions", "Super-NaturalInstructions test tasks"),
    "longform": ("akoksal/LongForm", "LongForm test set"),
}


def eval_results(results: dict) -> list[EvalResult]:
    """Return the overall scores of each benchmark with a dataset on the Hub, as a card's ``model-index`` takes them.

    Args:
        results: The content of ``results.json``. A score on part of a benchmark says so in its dataset's name.
    """
    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=DATASETS[family][0],
            dataset_name=f"{DATASETS[family][1]} ({name}, {benchmark['n']} instances)",
            metric_type=metric,
            metric_value=score["value"],
            metric_args={"interval_95": score["interval"]},
        )
        for name, benchmark in results["benchmarks"].items()
        if (family := name.partition("_")[0]) in DATASETS
        for metric, score in benchmark["scores"].items()
    ]
