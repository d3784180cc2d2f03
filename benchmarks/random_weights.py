"""Models of a known architecture with random weights, which need no download and run as fast as the trained ones."""

import json
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase

CONFIGURATIONS = Path(__file__).with_name("configurations")


def known_models() -> list[str]:
    """Return the names of the models whose configuration is stored here, without their owner."""
    return sorted(path.stem for path in CONFIGURATIONS.glob("*.json"))


def save_random(
    name: str, tokenizer: PreTrainedTokenizerBase, folder: Path, *, dtype: torch.dtype, device: torch.device
) -> Path:
    """Save a model with random weights and a tokenizer; return the folder.

    Args:
        name: The model whose configuration is taken, such as ``HuggingFaceTB/SmolLM2-1.7B`` (also without owner).
        tokenizer: Stored with the model; it may have fewer tokens than the model.
        folder: Where to save both.
        dtype: Number type of the weights.
        device: Where to draw them; a GPU takes seconds for billions.
    """
    settings = json.loads((CONFIGURATIONS / f"{name.rpartition('/')[2]}.json").read_text("utf-8"))
    config = AutoConfig.for_model(**settings | {"dtype": dtype})
    torch.manual_seed(0)
    with device:
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
