"""The number type that a model computes in: what the machine is fast with, unless the user says otherwise."""

import logging
from dataclasses import dataclass

import torch
from transformers.utils.import_utils import is_torch_bf16_gpu_available

logger = logging.getLogger(__name__)

# The capabilities that torch.cpu reports where bfloat16 products are native.
_NATIVE_BFLOAT16 = ("amx_bf16", "avx512_bf16", "avx_ne_convert", "bf16")
# A product of two matrices of 2,048 x 2,048 ran at 62 GFLOP/s in bfloat16 and at 320 in float32, on two cores with
# AVX-512 and without native bfloat16.
_EMULATED = (
    "%s computes in bfloat16 (%s), but %s has no native bfloat16: matrix products take up to five times as long as in "
    "float32. Leave the dtype at auto, or set it to float32."
)


@dataclass(frozen=True)
class NumberType:
    """A number type and the reason for it.

    Args:
        dtype: ``bfloat16``, ``float16`` or ``float32``.
        reason: Why.
    """

    dtype: str
    reason: str

    def __str__(self) -> str:
        return f"{self.dtype} ({self.reason})"

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type of torch."""
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.dtype]


def choose_number_type(dtype: str, device: torch.device) -> NumberType:
    """Return the type that ``dtype`` names; ``auto`` is bfloat16 where products of it are native, else float32."""
    if dtype != "auto":
        return NumberType(dtype, "the settings name it")
    if is_bfloat16_native(device):
        return NumberType("bfloat16", f"{describe_device(device)} computes it natively")
    return NumberType("float32", f"{describe_device(device)} has no native bfloat16")


def choose_for_checkpoint(dtype: str, checkpoint: torch.dtype | None, device: torch.device) -> NumberType:
    """Return the type that ``dtype`` names; ``auto`` is that of the checkpoint, unless the machine only emulates it.

    Args:
        dtype: ``auto``, ``bfloat16``, ``float16`` or ``float32``.
        checkpoint: Type of the stored weights; ``None`` if the configuration does not name one, and float32 counts.
        device: Where the model runs.
    """
    if dtype != "auto":
        return NumberType(dtype, "the settings name it")
    stored = str(checkpoint or torch.float32).removeprefix("torch.")
    if stored == "bfloat16" and not is_bfloat16_native(device):
        return NumberType("float32", f"the checkpoint's bfloat16 is not native to {describe_device(device)}")
    if stored == "float16" and device.type == "cpu":
        return NumberType("float32", "the checkpoint's float16 is slow on processors")
    return NumberType(stored, "the checkpoint's")


def warn_if_emulated(chosen: NumberType, device: torch.device, model: str) -> None:
    """Warn that a type which somebody named is emulated, and what that costs."""
    if chosen.dtype == "bfloat16" and not is_bfloat16_native(device):
        logger.warning(_EMULATED, model, chosen.reason, describe_device(device))


def is_bfloat16_native(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 itself, rather than by way of float32, which is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return bool(is_torch_bf16_gpu_available())  # of another accelerator, which transformers knows
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in _NATIVE_BFLOAT16)


def describe_device(device: torch.device) -> str:
    """Return what to call a device in a sentence."""
    return "this processor" if device.type == "cpu" else f"this {device.type} device"
