"""A model to scored answers, through the same lm-eval tasks that ``lm_eval run`` takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager
from lm_eval.utils import simple_parse_args_string

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.loading import FoundModel, find_model, load_found, require_whole, resolve_device
from davidgen_hf.engines.opening import explain_files
from davidgen_hf.errors import ModelError, SettingError
from davidgen_hf.secrecy import refuse_secrets

BACKENDS = ("hf", "vllm")
_ADVICE = (
    "Its files must fit together, and model_args and batch_size must be what lm-eval takes. Correct them, or name "
    "another model."
)
# What names an instance in its document, by benchmark: SuperNI and LongForm, Vicuna.
_ID_COLUMNS = ("id", "question_id")


@dataclass(frozen=True)
class HarnessSettings:
    """How lm-eval runs a model.

    Args:
        revision: Branch, tag or commit of a Hub model; a branch is resolved to its commit.
        backend: One of ``BACKENDS``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; vLLM has its own.
        dtype: As for lm-eval, ``auto`` takes the checkpoint's.
        batch_size: Prompts of one batch; ``auto`` for vLLM.
        limit: Instances of each task: a share below 1, a number from 1 on; ``None`` takes all.
        max_gen_toks: Longest answer in tokens; ``None`` takes each benchmark's own.
        chat_template: Put each prompt into the model's chat template.
        model_args: More arguments for lm-eval's model, such as ``max_model_len``.

    Raises:
        SettingError: A value is out of range.
    """

    revision: str | None = None
    backend: str = "hf"
    device: str = "auto"
    dtype: str = "auto"
    batch_size: str = "8"
    limit: float | None = None
    max_gen_toks: int | None = None
    chat_template: bool = False
    model_args: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise SettingError(f"backend must be one of {BACKENDS}, got {self.backend!r}.")
        if self.limit is not None and self.limit <= 0:
            raise SettingError(f"limit must be above 0, got {self.limit}: a share below 1, a number from 1 on.")
        if self.max_gen_toks is not None and self.max_gen_toks < 1:
            raise SettingError(f"max_gen_toks must be at least 1, got {self.max_gen_toks}.")


def parse_model_args(text: str) -> dict[str, object]:
    """Return lm-eval's model arguments from ``key=value,key=value``.

    Raises:
        SettingError: A part is no ``key=value``.
    """
    refuse_secrets(text, "model_args")
    if not all("=" in part for part in text.split(",") if text):
        raise SettingError(f"model_args must be key=value,key=value, got {text!r}.")
    return simple_parse_args_string(text)


def open_model(model: str, settings: HarnessSettings) -> tuple[LM, dict]:
    """Load a model for lm-eval.

    Args:
        model: Folder or Hub id of a decoder or an encoder-decoder, or ``embedded``.
        settings: How it is to run.

    Returns:
        The model, and what is to be recorded of it: its commit and its number of parameters (``None`` with vLLM).

    Raises:
        ModelError: There is no such model, it does not write text, or its files are damaged.
        SettingError: ``model_args`` would let code of the model's folder run.
    """
    if settings.model_args.get("trust_remote_code"):
        raise SettingError(
            "model_args sets trust_remote_code, but davidgen_hf never runs code from a model's folder. Leave it out, "
            "and name a model that transformers knows."
        )
    found = find_model(EngineSettings(model=model, revision=settings.revision))
    arguments = _arguments(found, settings)
    try:
        model_class = get_model(settings.backend)
    except ImportError as error:
        raise ModelError(f"The backend {settings.backend} cannot be used here: {error}. Install it.") from error
    with explain_files(f"The model {model!r} could not be loaded for lm-eval", _ADVICE):
        lm = model_class(**arguments, batch_size=settings.batch_size, **settings.model_args)
    parameters = lm.get_model_info()["model_num_parameters"] if settings.backend == "hf" else None
    return lm, {"commit": found.commit, "parameters": parameters}


def answer_task(lm: LM, name: str, folder: Path, settings: HarnessSettings) -> list[dict]:
    """Let a model answer a task or a group of tasks.

    Args:
        lm: The model.
        name: Name of the task or group.
        folder: Where its YAML lies.
        settings: Limit, length and template.

    Returns:
        A row an instance: ``task``, ``category``, ``id``, ``prompt``, ``answer``, ``references`` and its scores.
    """
    manager = task_manager(folder)
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
    return [
        row_of(manager, task, sample["doc"], sample["target"], sample["filtered_resps"][0])
        | {"prompt": sample["arguments"][0][0]}
        | {metric: sample[metric] for metric in sample["metrics"]}
        for task, samples in results["samples"].items()
        for sample in samples
    ]


def _arguments(found: FoundModel, settings: HarnessSettings) -> dict[str, Any]:
    """Return lm-eval's arguments that name a model; with its ``hf`` an adapter is merged into its base model here."""
    if settings.backend == "vllm":
        require_whole(found, "vLLM")
    if found.adapter:
        model, tokenizer = load_found(found, settings.dtype, resolve_device(settings.device))
        return {"pretrained": model, "tokenizer": tokenizer}
    arguments = {"pretrained": found.name, "dtype": settings.dtype, "trust_remote_code": False}
    if found.commit:
        arguments["revision"] = found.commit
    if settings.backend == "hf":
        found.tokenizer()  # lm-eval would fail on a damaged one without saying which file
        arguments["device"] = str(resolve_device(settings.device))
    return arguments


def task_manager(folder: Path) -> TaskManager:
    """Return lm-eval's manager of the tasks in ``folder``, and of no others."""
    return TaskManager(include_path=str(folder), include_defaults=False)


def row_of(manager: TaskManager, task: str, doc: Mapping, target: str | Sequence[str], answer: str) -> dict:
    """Return what is kept of an instance; a task in a group is called ``group::task`` there."""
    group, _, own = task.rpartition("::")
    return {
        "task": own,
        "category": manager.task_index[group].cfg["group_alias"] if group else None,
        "id": id_of(doc),
        "answer": answer,
        "references": [target] if isinstance(target, str) else list(target),
    }


def id_of(doc: Mapping) -> str:
    """Return what names an instance."""
    return str(next(doc[column] for column in _ID_COLUMNS if column in doc))
