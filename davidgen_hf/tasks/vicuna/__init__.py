"""The Vicuna questions as an lm-eval task."""

from davidgen_hf.evaluation.benchmark import Benchmark
from davidgen_hf.evaluation.vicuna import HUB_REPOSITORY

BENCHMARK = Benchmark(
    dataset=HUB_REPOSITORY,
    headline="answer_words",
    id_column="question_id",
    position=3,
    is_scored=False,  # `davidgen judge` reads the answers
)
