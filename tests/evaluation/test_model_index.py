"""The figures of results.json as a card's model-index takes them."""

from huggingface_hub import parse_eval_result_entries

from davidgen_hf.evaluation.model_index import eval_result_files, eval_results


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
    written = eval_result_files({"benchmarks": benchmarks})
    assert list(written) == [".eval_results/davidgen_superni.yaml", ".eval_results/davidgen_longform.yaml"]
    entries = [entry for content in written.values() for entry in parse_eval_result_entries(content)]
    assert [(one.dataset_id, one.task_id, one.value) for one in entries] == [
        ("Muennighoff/natural-instructions", "superni_rougeL", 10.5),
        ("Muennighoff/natural-instructions", "superni_exact_match", 2.0),
        ("akoksal/LongForm", "longform_meteor", 0.08),
    ]
    benchmarks["superni"]["scores"]["rougeL"]["interval"] = None  # not the mean of its instances
    (superni,) = eval_result_files({"benchmarks": {"superni": benchmarks["superni"]}}).values()
    assert superni[0]["notes"] == "davidgen eval, 118 instances, rougeL"
    assert entries[0].notes == "davidgen eval, 118 instances, rougeL; 95% interval 10.3 to 10.7"


def test_what_has_no_dataset_on_the_hub_is_left_out():
    unscored = {"benchmarks": {"vicuna": benchmark("answer_words", 70, answer_words=1.0)}}
    assert (eval_results(unscored), eval_result_files(unscored)) == ([], {})
