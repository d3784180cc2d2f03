"""The figures of results.json as a card's model-index takes them."""

from davidgen_hf.evaluation.model_index import eval_results


def benchmark(metric: str, n: int, **scores: float) -> dict:
    return {
        "metric": metric,
        "n": n,
        "scores": {name: {"value": value, "interval": [value - 0.2, value + 0.2]} for name, value in scores.items()},
    }


def test_each_score_of_a_benchmark_on_the_hub():
    benchmarks = {
        "superni": benchmark("rougeL", 118, rougeL=10.5, exact_match=2.0),
        "longform": benchmark("meteor", 252, meteor=0.08),
    }
    found = eval_results({"benchmarks": benchmarks})
    assert {(one.dataset_type, one.metric_type): one.metric_value for one in found} == {
        ("Muennighoff/natural-instructions", "rougeL"): 10.5,
        ("Muennighoff/natural-instructions", "exact_match"): 2.0,
        ("akoksal/LongForm", "meteor"): 0.08,
    }
    assert found[0].dataset_name == "Super-NaturalInstructions test tasks (superni, 118 instances)"
    assert found[0].metric_args == {"interval_95": [10.3, 10.7]}


def test_what_has_no_dataset_on_the_hub_is_left_out():
    assert eval_results({"benchmarks": {"vicuna": benchmark("answer_words", 70, answer_words=1.0)}}) == []
