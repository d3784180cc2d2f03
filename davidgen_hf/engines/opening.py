"""The only way to a model's files: whatever is wrong with them ends in a ``ModelError`` that says what to do.

No code from a model's folder or repository is ever run, and no question is put on the terminal.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING
from transformers.utils.hub import cached_file, extract_commit_hash

from davidgen_hf.errors import DavidgenError, ModelError
from davidgen_hf.storage.validation import describe

_NAME_ANOTHER = "Name a folder with config.json, weights and tokenizer, or a Hub id that is cached or can be reached."
_INCOMPLETE = (
    "Its weights (safetensors) and its tokenizer must be next to config.json. Copy or download the model again if "
    "they are."
)
_SHOWN = 240  # characters of what a library says
# A tied embedding is stored once and counted once; what else may be described and not stored is far below this.
_DESCRIBED_PER_STORED = 2
_SIZES = (
    *("hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings", "head_dim", "d_model", "d_ff"),
    *("d_kv", "n_embd", "n_positions", "num_hidden_layers", "num_layers", "n_layer", "num_attention_heads"),
    *("num_heads", "n_head", "num_key_value_heads"),
)
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "num_decoder_layers", "decoder_layers", "encoder_layers")


class ConfigFile(BaseModel):
    """The part of ``config.json`` that every architecture shares; libraries trust it, so it is checked before them."""

    model_type: str | None = None
    architectures: Annotated[list[str], Field(min_length=1)] = ["any"]  # absent in some old models, but never null


@dataclass(frozen=True)
class Configuration:
    """A model's configuration, and the commit that it came from (``None`` for a local folder)."""

    config: PreTrainedConfig
    commit: str | None
    folder: Path


@contextmanager
def explain_files(found: str, advice: str) -> Iterator[None]:
    """Turn anything that a library raises about a model's files into an error that says what to do.

    The libraries that read a model raise nearly every class there is, down to ``Exception`` itself and the panics of
    tokenizers' Rust code, so that no list of classes would be complete. Keep the block to their calls.

    Args:
        found: What could not be done, such as "The model 'x' could not be loaded"; the library's words follow.
        advice: What was expected and what to do.

    Raises:
        ModelError: The block raised anything but a ``DavidgenError``.
    """
    try:
        yield
    except DavidgenError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise  # the user, or the end of the process
        raise ModelError(f"{found}: {_words_of(error)} {advice}") from error


def open_config(name: str, revision: str | None = None) -> Configuration:
    """Read and check the configuration of a model.

    Args:
        name: Folder or Hub id.
        revision: Branch, tag or commit of a Hub model.

    Raises:
        ModelError: The configuration is missing, or describes a model that cannot exist.
    """
    with explain_files(f"No model configuration could be read from {name!r}", _NAME_ANOTHER):
        file = cached_file(name, "config.json", revision=revision)
        if file is None:
            raise FileNotFoundError("there is no config.json.")
        commit = None if Path(name).is_dir() else extract_commit_hash(file, None)
        ConfigFile.model_validate_json(Path(file).read_bytes())
        config = AutoConfig.from_pretrained(name, revision=commit, trust_remote_code=False)
        _check_numbers(config)
        _check_quantization(config)
    return Configuration(config, commit, Path(file).parent)


def open_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a tokenizer, and see that it cuts a text into tokens.

    Args:
        name: Folder or Hub id.
        revision: Branch, tag or commit of a Hub model.

    Raises:
        ModelError: The tokenizer is missing or does not work.
    """
    with explain_files(f"The tokenizer of {name!r} could not be loaded", _INCOMPLETE):
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
        ids = tokenizer("Name a river. It is long, 1 2 3.").input_ids
        if not ids or not tokenizer.decode(ids):
            raise ValueError("it has no tokens for a plain sentence.")
        tokenizer(["a", "a b"], padding=tokenizer.pad_token is not None)  # what length limits and padding need
    return tokenizer


def open_weights(name: str, found: Configuration, **options: Any) -> PreTrainedModel:
    """Load a causal or encoder-decoder language model in full.

    Args:
        name: Folder or Hub id.
        found: Its configuration.
        options: More arguments of ``from_pretrained``, such as ``dtype``.

    Raises:
        ModelError: The weights are absent, damaged, incomplete, or not those that the configuration describes.
    """
    auto_class: Any = AutoModelForSeq2SeqLM if found.config.is_encoder_decoder else AutoModelForCausalLM
    with explain_files(f"The model {name!r} could not be loaded", _INCOMPLETE):
        _check_size(name, found, auto_class)
        model: PreTrainedModel
        model, report = auto_class.from_pretrained(
            name, revision=found.commit, trust_remote_code=False, output_loading_info=True, **options
        )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelError(
            f"The weights of {name!r} lack {len(missing)} tensors, e.g. {missing[0]!r}, which would be random "
            "numbers. Copy or download the checkpoint again, or name the one that it was derived from."
        )
    return model


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors in a folder's safetensors files, read from their headers alone."""
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            shapes |= {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
    return shapes


def _check_numbers(config: PreTrainedConfig) -> None:
    """Refuse sizes below one and numbers that are NaN; infinite ones have a meaning for some architectures.

    Raises:
        ValueError: There is one.
    """
    text_config = config.get_text_config(decoder=True)
    for key, value in text_config.to_dict().items():
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"{key} is NaN.")
        if key in _SIZES and (isinstance(value, str) or (isinstance(value, int) and not 1 <= value <= 2**40)):
            raise ValueError(f"{key} is {str(value)[:40]!r}, which is not a size.")


def _check_quantization(config: PreTrainedConfig) -> None:
    settings = getattr(config, "quantization_config", None)
    if settings is None:
        return
    method = settings.get("quant_method") if isinstance(settings, dict) else getattr(settings, "quant_method", None)
    bits = isinstance(settings, dict) and (settings.get("load_in_4bit") or settings.get("load_in_8bit"))
    if method not in AUTO_QUANTIZATION_CONFIG_MAPPING and not bits:
        raise ValueError(f"quant_method is {str(method)[:40]!r}, and transformers knows no such method.")


def _check_size(name: str, found: Configuration, auto_class: Any) -> None:
    """Refuse a configuration that describes far more than the weights hold, before memory is taken for it.

    Raises:
        ModelError: It does.
    """
    stored = stored_shapes(found.folder)
    if not stored or getattr(found.config, "quantization_config", None) is not None:
        return  # not downloaded yet, or several values in one
    values = sum(math.prod(shape) for shape in stored.values())
    text_config = found.config.get_text_config(decoder=True)
    layers = max((getattr(text_config, key, None) or 0 for key in _LAYERS), default=0)
    if layers > len(stored):
        raise _too_large(name, f"{layers:,} layers", f"{len(stored):,} tensors")
    if is_deepspeed_zero3_enabled():  # every model that is made is then shared out, which needs values
        return
    with torch.device("meta"):
        model = auto_class.from_config(found.config, trust_remote_code=False)
    described = sum(one.numel() for one in model.parameters())
    if described > _DESCRIBED_PER_STORED * values:
        raise _too_large(name, f"{described:,} weights", f"{values:,} of them")


def _too_large(name: str, described: str, stored: str) -> ModelError:
    return ModelError(
        f"The configuration of {name!r} describes {described}, but its files hold {stored}. Both must belong to the "
        "same model. Copy or download config.json and the weights again."
    )


def _words_of(error: BaseException) -> str:
    text = describe(error) if isinstance(error, ValidationError) else str(error).strip() or type(error).__name__
    if "trust_remote_code" in text:
        return "it needs Python code of its own, which davidgen_hf does not run."
    if "Weights only load failed" in text:  # torch then recommends what would run the pickle's code
        return "its weights are a pickle that is damaged or holds other things than tensors."
    if isinstance(error, KeyError):
        return f"{text} is missing."
    text = " ".join(text.split())
    return (text if len(text) <= _SHOWN else text[:_SHOWN] + "…").rstrip(".:") + "."
