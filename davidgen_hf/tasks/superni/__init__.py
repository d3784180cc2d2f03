"""Super-NaturalInstructions as lm-eval tasks."""

from importlib.metadata import version
from pathlib import Path

import yaml

from davidgen_hf.errors import InputError
from davidgen_hf.evaluation.benchmark import Benchmark
from davidgen_hf.evaluation.data import HUB_SUPERNI, superni_docs, superni_file, task_file

# What the official script reports of these categories; of the others, ROUGE-L.
_EXACT_MATCH_CATEGORIES = (
    "Textual Entailment",
    "Cause Effect Classification",
    "Coreference Resolution",
    "Dialogue Act Recognition",
    "Answerability Classification",
    "Word Analogy",
)


def _instructions() -> tuple[list[str], list[str], list[str]]:
    """Read the test instances of the default track from the Hub, as the tasks here do."""
    paths = sorted(Path(__file__).with_name("default").glob("*.yaml"))
    tasks = [task["task"] for path in paths for task in yaml.safe_load(path.read_text("utf-8"))["task"]]
    rows = [row for task in tasks for row in superni_docs(task)]
    return (
        [row["definition"] for row in rows],
        [row["input"] for row in rows],
        [row["references"][0] for row in rows],
    )


def _check_data(task: str, folder: Path) -> None:
    path = task_file(task, folder)
    if not path.exists():
        raise InputError(f"{path} is not there.")  # one of many in a list, which says what to do
    superni_file(path)


BENCHMARK = Benchmark(
    dataset=HUB_SUPERNI,
    headline="rougeL",
    id_column="id",
    title="SuperNI",
    titles={"superni_xlingual": "SuperNI (cross-lingual)"},
    position=1,
    runs_by_default=True,
    dataset_title="Super-NaturalInstructions test tasks",
    category_metrics=dict.fromkeys(_EXACT_MATCH_CATEGORIES, "exact_match"),
    versions=lambda _: {"rouge-score": version("rouge-score")},
    check_data=_check_data,
    instructions=_instructions,
)
