"""From the name of a model to its weights and tokenizer, or to an error that says why not."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from davidgen_hf.engines.adapters import Adapter, find_adapter, merge
from davidgen_hf.engines.base import check_numbers
from davidgen_hf.engines.number_types import choose_number_type, warn_if_emulated
from davidgen_hf.engines.opening import Configuration, explain_files, open_config, open_tokenizer, open_weights
from davidgen_hf.engines.ranks import local_rank
from davidgen_hf.engines.settings import EngineSettings, LocalSettings, TransformersSettings
from davidgen_hf.engines.threads import fit_threads
from davidgen_hf.errors import ModelError

EMBEDDED = "embedded"


@dataclass(frozen=True)
class LoadedModel:
    """A language model ready to run, its tokenizer, and the commit it came from (``None`` for a local folder)."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    commit: str | None


@dataclass(frozen=True)
class FoundModel:
    """A language model without its weights.

    Args:
        name: Its folder or Hub id.
        config: Its configuration; that of the base model for an adapter.
        commit: As in ``LoadedModel``.
        adapter: The adapter if the name is one of an adapter, else ``None``.
        files: What ``open_weights`` needs; of the base model for an adapter.
    """

    name: str
    config: PreTrainedConfig
    commit: str | None
    files: Configuration
    adapter: Adapter | None = None

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Load the tokenizer; that of the adapter for an adapter.

        Raises:
            ModelError: There is none, or it does not work.
        """
        return self.adapter.tokenizer() if self.adapter else open_tokenizer(self.name, self.commit)


def find_model(settings: EngineSettings, *, adapters: tuple[str, ...] = ()) -> FoundModel:
    """Find the language model or adapter that ``settings`` names, without its weights.

    Args:
        settings: Names the model.
        adapters: Adapters that led to it, each naming the next as its base model.

    Raises:
        ModelError: There is nothing under that name, or it is not a language model.
    """
    name = _resolve_name(settings.model)
    adapter = find_adapter(name, settings.revision)
    if adapter:
        if name in adapters:
            raise ModelError(f"{name!r} is an adapter that names itself as its base model.")
        try:
            named = replace(settings, model=adapter.base, revision=adapter.base_revision)
            base = find_model(named, adapters=(*adapters, name))
        except ModelError as error:
            raise ModelError(f"The base model of the adapter {name!r} cannot be used. {error}") from error
        return FoundModel(name, base.config, adapter.commit, base.files, adapter)
    found = open_config(name, settings.revision)
    check_language_model(found.config, name)
    return FoundModel(name, found.config, found.commit, found)


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model, of an adapter, or of a folder or repository that holds nothing else.

    Raises:
        ModelError: There is none, or it does not work.
    """
    resolved = _resolve_name(name)
    adapter = find_adapter(resolved, revision)
    return adapter.tokenizer() if adapter else open_tokenizer(resolved, revision)


def require_whole(found: FoundModel, purpose: str) -> None:
    """Refuse an adapter where a whole model is needed.

    Raises:
        ModelError: It is an adapter; ``purpose`` says what needs a whole model.
    """
    if found.adapter:
        raise ModelError(
            f"{found.name!r} is an adapter of {found.adapter.base!r}, and {purpose} needs a whole model. Merge it "
            "with `davidgen merge ADAPTER --output FOLDER`, and name that folder."
        )


def load_model(settings: LocalSettings) -> LoadedModel:
    """Load the causal or encoder-decoder language model that ``settings`` names, in evaluation mode.

    An adapter is its base model with the adapter merged into it, and its own tokenizer and end of text.

    Raises:
        ModelError: There is nothing under that name, it is not a language model, its files are incomplete or damaged,
            or it computes NaN.
    """
    found = find_model(settings)
    device = resolve_device(settings.device)
    chosen = choose_number_type(settings.dtype, device)
    warn_if_emulated(chosen, device, found.name)
    model, tokenizer = load_found(found, chosen.torch_dtype, device)
    _try_out(found.name, model, tokenizer)
    return LoadedModel(model, tokenizer, found.commit)


def load_found(
    found: FoundModel, dtype: torch.dtype | str, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the weights and tokenizer of a model, with its adapter merged into it.

    Args:
        found: The model.
        dtype: Type of the weights; ``auto`` takes the checkpoint's.
        device: Where to put them.

    Raises:
        ModelError: As ``load_model``.
    """
    if device.type == "cpu":
        fit_threads()
    if not found.adapter:
        tokenizer = found.tokenizer()
        model: Any = open_weights(found.name, found.files, dtype=dtype)
        return model.to(device).eval(), tokenizer
    adapter = found.adapter
    base = find_model(EngineSettings(model=adapter.base, revision=adapter.base_revision))
    model, _ = load_found(base, dtype, device)
    tokenizer = adapter.tokenizer()
    return merge(adapter, model, tokenizer), tokenizer


@torch.inference_mode()
def _try_out(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Run the model on a few tokens, since some damage shows only then.

    Raises:
        ModelError: It cannot be run, or computes NaN.
    """
    advice = "Its configuration, weights and tokenizer must belong together. Copy or download the model again."
    with explain_files(f"The model {name!r} cannot be run", advice):
        ids = torch.tensor([tokenizer("Name a river.").input_ids[:8]], device=model.device)
        inputs = {"input_ids": ids} | ({"decoder_input_ids": ids} if model.config.is_encoder_decoder else {})
        is_number = not model(**inputs).logits.isnan().any()
    check_numbers([True if is_number else None], name, model.dtype)


def check_language_model(config: PreTrainedConfig, name: str) -> None:
    """Refuse a model that cannot continue a text.

    Raises:
        ModelError: The architecture is neither a causal nor a sequence-to-sequence language model.
    """
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES | MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    architectures = config.architectures or [known.get(config.model_type, config.model_type)]
    if not set(architectures) & set(known.values()):
        raise ModelError(
            f"{name!r} is a {' / '.join(architectures)}, which does not write text. Name a causal language model "
            "(such as LlamaForCausalLM) or an encoder-decoder (such as T5ForConditionalGeneration)."
        )


def resolve_device(device: str) -> torch.device:
    """Return the torch device that ``device`` names; ``auto`` prefers CUDA, and a GPU for each process of a machine.

    Raises:
        ModelError: A CUDA device is named that torch does not see.
    """
    if device == "auto":
        rank = local_rank()
        if rank is not None and torch.cuda.is_available():
            return torch.device("cuda", rank % torch.cuda.device_count())
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise ModelError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}.")
    resolved = torch.device(device)
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"device is {device!r}, but torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices. "
            "Set device to auto or cpu, or install a CUDA build of torch."
        )
    return resolved


def number_types(engines: Iterable[tuple[str, EngineSettings]]) -> dict[str, str]:
    """Return the type that each engine of transformers computes in on this machine, with the reason, by role."""
    return {
        role: str(choose_number_type(one.dtype, resolve_device(one.device)))
        for role, one in engines
        if isinstance(one, TransformersSettings) and role != "tokenizer"
    }


def model_limit(config: PreTrainedConfig, tokenizer_name: str, max_length: int | None) -> int | None:
    """Return how many tokens fit: ``max_length`` if given, else the model's positions, ``None`` if it has no such end.

    Raises:
        ModelError: ``max_length`` is above what the model's positions allow.
    """
    positions = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    if max_length and positions and max_length > positions:
        raise ModelError(
            f"max_length is {max_length}, but {tokenizer_name!r} has {positions} positions. Lower max_length, or "
            "leave it out to use them all."
        )
    return max_length or positions


def _resolve_name(name: str) -> str:
    if name == EMBEDDED:
        from davidgen_hf.sources.embedded import model_folder

        return str(model_folder())
    if not name:
        raise ModelError("No model is named. Set model to a local folder, a Hub id, or 'embedded'.")
    path = Path(name).expanduser()
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1
    if path.is_dir() or not looks_local:
        return str(path) if path.is_dir() else name
    found = "is a file, not a folder" if path.exists() else "does not exist"
    raise ModelError(
        f"The model folder {name!r} {found}. Name a folder with config.json, weights and tokenizer, a Hub id, or "
        "'embedded'."
    )
