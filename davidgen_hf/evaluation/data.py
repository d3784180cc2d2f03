"""The test data of the benchmarks, from the Hub or from local files, as rows of one form each."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from annotated_types import MinLen
from datasets import Dataset, Features, List, Value, load_dataset
from huggingface_hub import hf_hub_download
from pydantic import BaseModel, Field

from davidgen_hf.errors import InputError
from davidgen_hf.sources.rows import read_rows
from davidgen_hf.storage.validation import Text, read_json, validate

HUB_SUPERNI, HUB_LONGFORM = "Muennighoff/natural-instructions", "akoksal/LongForm"
# A test task counts with its first instances; they were put first because their labels are balanced.
N_INSTANCES = 100
_TASK_ADVICE = (
    "A SuperNI task file has Definition, Positive Examples, and Instances with id, input and a list of outputs. "
    "Download it again from allenai/natural-instructions."
)

_STRING = Value("string")
# ``examples`` are the positive examples of the task; the Hub's copy has none.
SUPERNI_DOC = Features(
    {"task": _STRING, "id": _STRING, "definition": _STRING, "input": _STRING, "references": List(_STRING)}
    | {"examples": List({"input": _STRING, "output": _STRING})}
)
LONGFORM_DOC = Features({"id": _STRING, "instruction": _STRING, "input": _STRING, "reference": _STRING})


class _TaskExample(BaseModel):
    input: Text
    output: Text


class _TaskInstance(BaseModel):
    id: Text
    input: Text
    output: Annotated[list[Text], MinLen(1)]


class _TaskFile(BaseModel):
    """The parts of an official SuperNI task file that a benchmark needs."""

    definition: Annotated[list[Text], MinLen(1), Field(alias="Definition")]
    examples: Annotated[list[_TaskExample], Field(alias="Positive Examples")]
    instances: Annotated[list[_TaskInstance], Field(alias="Instances")]


class _Instance(BaseModel):
    input: Text | None = None
    output: Text | None = None


class _Example(BaseModel):
    """A row in any of the three forms of ``longform_docs``."""

    id: Text | int | None = None
    instruction: Text | None = None
    input: Text | None = None
    output: Text | None = None
    instances: list[_Instance] | None = None


def superni_docs(task: str, folder: str | Path | None = None) -> Dataset:
    """Return the test instances of one SuperNI task as ``SUPERNI_DOC``.

    Args:
        task: Name of the task, as in the official list.
        folder: Folder of the official task files, or the repository that has them under ``tasks/``; ``None`` reads
            the Hub.

    Raises:
        InputError: The task is not there, or its file is not a task file.
    """
    rows = _hub_superni(task) if folder is None else superni_file(task_file(task, folder))
    return Dataset.from_list(list(rows), features=SUPERNI_DOC)


def task_file(task: str, folder: str | Path) -> Path:
    """Return the path that a task's file has, or should have, in ``folder``."""
    folder = Path(folder)
    return (folder / "tasks" if (folder / "tasks").is_dir() else folder) / f"{task}.json"


def superni_file(path: Path) -> list[dict[str, Any]]:
    """Return the test instances of an official task file, as rows of ``SUPERNI_DOC``.

    Raises:
        InputError: The file is absent, is not JSON, or lacks what a task file has.
    """
    if not path.is_file():
        raise InputError(f"There is no task file {path}. Pass the folder of the official SuperNI task files.")
    content = read_json(path, _TaskFile, _TASK_ADVICE)
    shared = {
        "task": path.stem,
        "definition": content.definition[0],
        "examples": [one.model_dump() for one in content.examples],
    }
    rows = [
        {"id": one.id, "input": one.input, "references": one.output} | shared
        for one in content.instances[:N_INSTANCES]
    ]
    if not rows:
        raise InputError(f"{path} has no instances. {_TASK_ADVICE}")
    return rows


def longform_docs(source: str | Path | None = None) -> Dataset:
    """Return instructions with one long answer each as ``LONGFORM_DOC``.

    Args:
        source: File or folder as for ``read_rows``, whose rows have ``input`` and ``output`` (LongForm: the input is
            the instruction), ``instruction`` and ``output`` (and perhaps ``input``), or ``instruction`` and
            ``instances`` (Self-Instruct); ``None`` reads LongForm's test split from the Hub.

    Raises:
        InputError: There is nothing at ``source``, or a row has none of these shapes.
    """
    if source is None:
        rows = read_rows(HUB_LONGFORM, split="test", revision=hub_commit(HUB_LONGFORM))
    else:
        rows = read_rows(str(source))
    return Dataset.from_list([_longform_row(place, row) for place, row in rows], features=LONGFORM_DOC)


@lru_cache
def hub_commit(dataset: str) -> str:
    """Return the commit of a Hub dataset's main branch, or of its cached copy: what is read, and what is recorded.

    Raises:
        InputError: The Hub cannot be reached, or has no such dataset.
    """
    try:
        card = hf_hub_download(dataset, "README.md", repo_type="dataset")
    except OSError as error:
        raise InputError(
            f"The test data could not be read from {dataset} on the Hub ({type(error).__name__}). Pass local data, "
            "or download it where there is a network."
        ) from error
    return Path(card).parent.name  # .../snapshots/COMMIT/README.md


def describe_source(dataset: str, source: str | Path | None) -> str:
    """Return where test data came from, for the record: the name of a local path, or a Hub dataset with its commit."""
    return f"{dataset}@{hub_commit(dataset)}" if source is None else Path(source).name


def _hub_superni(task: str) -> Iterator[dict[str, Any]]:
    """Yield the first instances of a task; the Hub's copy has one row an output, so outputs are gathered by id."""
    try:
        rows = load_dataset(
            HUB_SUPERNI, data_files={"test": f"test/{task}*"}, split="test", revision=hub_commit(HUB_SUPERNI)
        )
    except (FileNotFoundError, ConnectionError, ValueError) as error:
        raise InputError(
            f"{HUB_SUPERNI} has no test task {task}; it holds the default track only. Name a folder of the official "
            "task files (superni_data)."
        ) from error
    instances: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["id"] not in instances:
            if len(instances) == N_INSTANCES:
                break
            instances[row["id"]] = {
                "task": task,
                "id": row["id"],
                "definition": row["definition"],
                "input": row["inputs"],
                "references": [],
                "examples": [],
            }
        instances[row["id"]]["references"].append(row["targets"])
    yield from instances.values()


def _longform_row(place: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row of ``LONGFORM_DOC`` from any of the three forms."""
    read = validate(_Example, row, place, "Instructions, inputs and outputs are texts. Fix that row.")
    if read.instances:
        instruction, given, reference = read.instruction, read.instances[0].input, read.instances[0].output
    elif "instruction" in row:
        instruction, given, reference = read.instruction, read.input, read.output
    else:
        instruction, given, reference = read.input, None, read.output
    if not instruction or reference is None:
        raise InputError(
            f"{place} has the fields {sorted(row)}; it needs input and output (LongForm), instruction and output, or "
            "instruction and instances. Fix that row."
        )
    return {
        "id": place if read.id is None else str(read.id),
        "instruction": instruction,
        "input": given or "",
        "reference": reference,
    }
