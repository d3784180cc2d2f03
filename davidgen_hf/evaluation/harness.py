"""A model as lm-eval runs it, and the settings of that."""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import torch
from lm_eval.api.model import LM
from lm_eval.api.registry import get_model
from lm_eval.utils import simple_parse_args_string
from pydantic import BaseModel, ConfigDict, Field

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.loading import FoundModel, find_model, load_found, model_limit, require_whole, resolve_device
from davidgen_hf.engines.number_types import NumberType, choose_for_checkpoint, warn_if_emulated
from davidgen_hf.engines.opening import explain_files
from davidgen_hf.engines.settings import DTYPES
from davidgen_hf.errors import ModelError, SettingError
from davidgen_hf.secrecy import refuse_secrets
from davidgen_hf.storage.validation import validate

logger = logging.getLogger(__name__)

BACKENDS = ("hf", "vllm")
_ADVICE = (
    "Its files must fit together, and model_args and batch_size must be what lm-eval takes. Correct them, or name "
    "another model."
)
# What ``model_args`` must not set, and the option to use instead.
_OWN_OPTIONS = {
    "pretrained": "the model's name",
    "revision": "--revision",
    "device": "--device",
    "dtype": "--dtype",
    "batch_size": "--batch-size",
    "peft": "the adapter's folder",
    "lora_local_path": "the adapter's folder",
}
_Count = Annotated[int, Field(ge=1, strict=True)]
_Switch = Annotated[bool, Field(strict=True)]


class _ModelArgs(BaseModel):
    """The arguments of lm-eval's models whose range is known; others are left to lm-eval."""

    model_config = ConfigDict(extra="allow")

    max_length: Annotated[int, Field(ge=2, strict=True)] | None = None
    max_model_len: Annotated[int, Field(ge=2, strict=True)] | None = None
    max_gen_toks: _Count | None = None
    max_batch_size: _Count | None = None
    tensor_parallel_size: _Count | None = None
    data_parallel_size: _Count | None = None
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    parallelize: _Switch | None = None
    truncation: _Switch | None = None
    add_bos_token: _Switch | None = None
    enable_thinking: _Switch | None = None


@dataclass(frozen=True)
class HarnessSettings:
    """How lm-eval runs a model.

    Args:
        revision: Branch, tag or commit of a Hub model; a branch is resolved to its commit.
        backend: One of ``BACKENDS``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; vLLM has its own.
        dtype: One of ``DTYPES``; ``auto`` takes the checkpoint's, or float32 where the machine would only emulate it.
        batch_size: Prompts of one batch, or ``auto``.
        limit: Instances of each task: a share below 1, a whole number from 1 on; ``None`` takes all.
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
        limit = self.limit
        fits = limit is None or 0 < limit < 1 or (1 <= limit < math.inf and limit == int(limit))
        for broken, message in (
            (self.backend not in BACKENDS, f"backend must be one of {BACKENDS}, got {self.backend!r}."),
            (self.dtype not in DTYPES, f"dtype must be one of {DTYPES}, got {self.dtype!r}."),
            (
                not re.fullmatch(r"auto|[1-9][0-9]{0,5}", self.batch_size),
                f"batch_size must be a number from 1 to 999999, or auto, got {self.batch_size!r}.",
            ),
            (
                not fits,
                f"limit must be above 0, got {self.limit}: a share below 1, or a whole number from 1 on.",
            ),
            (
                self.max_gen_toks is not None and self.max_gen_toks < 1,
                f"max_gen_toks must be at least 1, got {self.max_gen_toks}.",
            ),
        ):
            if broken:
                raise SettingError(message)
        _check_model_args(dict(self.model_args))


def _check_model_args(arguments: dict[str, object]) -> None:
    for name, option in _OWN_OPTIONS.items():
        if name in arguments:
            raise SettingError(f"model_args must not set {name}, which has its own place: use {option}.")
    if arguments.get("trust_remote_code"):
        raise SettingError(
            "model_args sets trust_remote_code, but davidgen_hf never runs code from a model's folder. Leave it out, "
            "and name a model that transformers knows."
        )
    advice = "It must be what lm-eval's model accepts. Correct it, or leave it out."
    validate(_ModelArgs, arguments, "model_args", advice, error=SettingError)


def parse_model_args(text: str) -> dict[str, object]:
    """Return lm-eval's model arguments from ``key=value,key=value``.

    Raises:
        SettingError: A part is not ``key=value``.
    """
    refuse_secrets(text, "model_args")
    if text and not all(re.fullmatch(r"\s*[A-Za-z_]\w*\s*=.*", part, re.DOTALL) for part in text.split(",")):
        raise SettingError(f"model_args must be key=value,key=value, got {text!r}.")
    return {name.strip(): value for name, value in simple_parse_args_string(text).items()}


def open_model(model: str, settings: HarnessSettings) -> tuple[LM, dict[str, Any]]:
    """Load a model for lm-eval.

    Args:
        model: Folder or Hub id of a decoder or an encoder-decoder, or ``embedded``.
        settings: How it is to run.

    Returns:
        The model, and what to record about it: its commit, its number of parameters (``None`` with vLLM), and
        the number type that it computes in, with the reason for it.

    Raises:
        ModelError: The model does not exist, does not write text, its files are damaged, or lm-eval refuses it.
    """
    found = find_model(EngineSettings(model=model, revision=settings.revision))
    length = settings.model_args.get("max_length")
    if isinstance(length, int):
        model_limit(found.config, model, length)  # refuses more than the model has
    device = resolve_device(settings.device)
    chosen = choose_for_checkpoint(settings.dtype, getattr(found.config, "dtype", None), device)
    if settings.backend == "vllm":  # which chooses for its own device
        chosen = NumberType(settings.dtype, "vLLM chooses" if settings.dtype == "auto" else chosen.reason)
    else:
        warn_if_emulated(chosen, device, model)
    logger.warning("%s computes in %s.", model, chosen)
    arguments = _arguments(found, settings, chosen.dtype)
    try:
        model_class = get_model(settings.backend)
    except ImportError as error:
        raise ModelError(f"The backend {settings.backend} cannot be used here: {error}. Install it.") from error
    with explain_files(f"The model {model!r} could not be loaded for lm-eval", _ADVICE):
        lm = model_class(**arguments, batch_size=settings.batch_size, **settings.model_args)
    parameters = lm.get_model_info()["model_num_parameters"] if settings.backend == "hf" else None
    return lm, {"commit": found.commit, "parameters": parameters, "precision": asdict(chosen)}


def _arguments(found: FoundModel, settings: HarnessSettings, dtype: str) -> dict[str, Any]:
    """Return lm-eval's arguments that name a model; with its ``hf`` an adapter is merged into its base model here."""
    if settings.backend == "vllm":
        require_whole(found, "vLLM")
    if found.adapter:
        model, tokenizer = load_found(found, getattr(torch, dtype), resolve_device(settings.device))
        return {"pretrained": model, "tokenizer": tokenizer}
    arguments = {"pretrained": found.name, "dtype": dtype, "trust_remote_code": False}
    if found.commit:
        arguments["revision"] = found.commit
    if settings.backend == "hf":
        found.tokenizer()  # lm-eval would fail on a damaged one without saying which file
        arguments["device"] = str(resolve_device(settings.device))
    return arguments
