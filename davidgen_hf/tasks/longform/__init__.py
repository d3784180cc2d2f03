"""LongForm as an lm-eval task."""

from collections.abc import Collection, Mapping

from davidgen_hf.evaluation.benchmark import Benchmark
from davidgen_hf.evaluation.data import HUB_LONGFORM, longform_docs


def _versions(metrics: Collection[str]) -> Mapping[str, str]:
    if "meteor" in metrics:
        from davidgen_hf.evaluation.meteor import versions  # NLTK, which other benchmarks do without
    else:
        from davidgen_hf.evaluation.multilingual import versions
    return versions()


def _instructions() -> tuple[list[str], list[str], list[str]]:
    docs = longform_docs()
    return list(docs["instruction"]), list(docs["input"]), list(docs["reference"])


BENCHMARK = Benchmark(
    dataset=HUB_LONGFORM,
    headline="meteor",
    id_column="id",
    title="LongForm",
    titles={"longform_multilingual": "LongForm (chrF)"},
    position=2,
    runs_by_default=True,
    percent_factor=100.0,  # METEOR and chrF are from 0 to 1
    dataset_title="LongForm test set",
    versions=_versions,
    instructions=_instructions,
)
