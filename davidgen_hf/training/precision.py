"""The number type that a training computes in: what the machine is fast with, unless the recipe says otherwise."""

import os
from dataclasses import dataclass
from typing import Any

import torch
from transformers.utils import logging

from davidgen_hf.engines.number_types import describe_device, is_bfloat16_native
from davidgen_hf.errors import SettingError

logger = logging.get_logger(__name__)

_SETTINGS = {"bf16": "bfloat16", "fp16": "float16"}

# Six steps of the demo took 58 s in emulated bfloat16 and 18 s in float32, on two cores with AVX-512.
_EMULATED = (
    "The training computes in bfloat16 ({reason}), but {device} has no native bfloat16: steps take about three times "
    "as long as in float32. Leave the setting out, and the machine decides, or set `bf16: false`."
)


@dataclass(frozen=True)
class Precision:
    """The number type of a training's matrix products, in which autocast computes; the weights stay as they are.

    Args:
        dtype: ``bfloat16``, ``float16`` (with loss scaling) or ``float32``.
        reason: Why.
    """

    dtype: str
    reason: str

    def __str__(self) -> str:
        return f"computes in {self.dtype} ({self.reason})"

    def settings(self) -> dict[str, bool]:
        """Return the settings of transformers that select the type."""
        return {setting: self.dtype == dtype for setting, dtype in _SETTINGS.items()}


def choose_precision(values: dict[str, Any], *, encoder_decoder: bool = False) -> Precision:
    """Return the type that a recipe sets, or else the fastest that the machine computes natively.

    Args:
        values: The recipe; ``bf16`` and ``fp16`` are true, false, or absent for the machine to decide.
        encoder_decoder: The model is an encoder-decoder, which is never trained in float16 unless the recipe says so:
            T5 overflows in it.

    Raises:
        SettingError: The recipe sets both types.
    """
    if values.get("bf16") and values.get("fp16"):
        raise SettingError(
            "The recipe sets both bf16 and fp16. A training computes in one of them. Set one, or leave both out, and "
            "the machine decides."
        )
    device = None if values["use_cpu"] else torch.accelerator.current_accelerator()
    device = device or torch.device("cpu")
    name = describe_device(device)
    native = is_bfloat16_native(device)
    chosen = _named(values)
    if chosen:
        if chosen.dtype == "bfloat16" and not native:
            logger.warning(_EMULATED.format(reason=chosen.reason, device=name))
        return chosen
    if native:
        return Precision("bfloat16", f"{name} computes it natively")
    if device.type == "cuda" and not encoder_decoder and values.get("fp16") is None:
        return Precision("float16", f"{name} has no native bfloat16")
    return Precision("float32", f"{name} has no native bfloat16")


def _named(values: dict[str, Any]) -> Precision | None:
    """Return the type that the recipe or `accelerate launch` sets, ``None`` where they leave it open."""
    for setting, dtype in _SETTINGS.items():
        if values.get(setting):
            return Precision(dtype, f"the recipe sets {setting}: true")
    if values.get("bf16") is False:
        return Precision("float32", "the recipe sets bf16: false")
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION")
    if launched in _SETTINGS:
        return Precision(_SETTINGS[launched], f"accelerate sets mixed_precision: {launched}")
    return None
