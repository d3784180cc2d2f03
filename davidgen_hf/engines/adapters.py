"""LoRA adapters: where one and its base model are, and both as one model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file, extract_commit_hash

from davidgen_hf.engines.opening import explain_files, open_tokenizer, stored_shapes
from davidgen_hf.sources.models import ADAPTER_FILE, read_adapter

# What an adapter's repository holds besides a card and pictures; no code and no states of a trainer.
_FILES = ("adapter_*", "*token*.json", "*.jinja", "*.model", "vocab.*", "merges.txt")
_REPLACE = "Its weights must fit the base model that adapter_config.json names. Train or download the adapter again."


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter on this machine.

    Args:
        name: As the user named it.
        folder: With ``adapter_config.json`` and the weights; of a Hub adapter, the downloaded copy.
        base: Hub id or folder of its base model.
        base_revision: Commit, branch or tag of the base model.
        commit: Commit of a Hub adapter; ``None`` for a local folder.
    """

    name: str
    folder: Path
    base: str
    base_revision: str | None
    commit: str | None

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Load the tokenizer that the adapter was trained with: its own if it has one, else that of its base.

        Raises:
            ModelError: There is none, or it does not work.
        """
        if (self.folder / "tokenizer_config.json").is_file():
            return open_tokenizer(str(self.folder))
        return open_tokenizer(self.base, self.base_revision)


def find_adapter(name: str, revision: str | None = None) -> Adapter | None:
    """Return the adapter of that name, downloaded if it is on the Hub; None if the name is not one of an adapter.

    Args:
        name: Folder or Hub id.
        revision: Branch, tag or commit of a Hub adapter.

    Raises:
        ModelError: Its configuration is damaged, or it cannot be downloaded.
    """
    folder, commit = Path(name), None
    if not folder.is_dir():
        try:
            file = cached_file(name, ADAPTER_FILE, revision=revision)
        except (OSError, ValueError):  # no such file, no such model, or no network; the caller reports the latter two
            return None
        commit = extract_commit_hash(file, None)
        with explain_files(f"The adapter {name!r} could not be downloaded", "Check the network, and try again."):
            folder = Path(snapshot_download(name, revision=commit, allow_patterns=list(_FILES)))
    config = read_adapter(folder)
    if config is None:
        return None
    return Adapter(name, folder, config.base_model_name_or_path, config.revision, commit)


def merge(adapter: Adapter, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Return an adapter's base model with the adapter merged into it, which ends a text as the adapter does.

    Args:
        adapter: The adapter.
        base: Its base model; it is changed.
        tokenizer: The adapter's tokenizer. Tokens that the base model does not know get rows in its embeddings first.

    Raises:
        ModelError: The weights do not fit the base model.
    """
    from peft import PeftModel

    with explain_files(f"The adapter {adapter.name!r} could not be merged into its base model", _REPLACE):
        rows = _embedding_rows(adapter, base, tokenizer)
        embeddings: Any = base.get_input_embeddings()
        if rows != embeddings.weight.shape[0]:
            with torch.random.fork_rng():  # rows that the adapter does not bring are the same in every process
                torch.manual_seed(0)
                base.resize_token_embeddings(rows, mean_resizing=False)
        merged: Any = PeftModel.from_pretrained(base, str(adapter.folder))
        model: PreTrainedModel = merged.merge_and_unload()
    _end_as(model, tokenizer)
    model.eval()
    return model


def _embedding_rows(adapter: Adapter, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many tokens the adapter was trained with: those of embeddings that it brings, or its tokenizer's."""
    embeddings: Any = base.get_input_embeddings()
    name = next(name for name, module in base.named_modules() if module is embeddings)
    brought = [
        shape[0]
        for key, shape in stored_shapes(adapter.folder).items()
        if key.endswith(f".{name}.weight") and len(shape) == 2
    ]
    weight: Any = embeddings.weight
    return max(brought, default=max(int(weight.shape[0]), len(tokenizer)))


def _end_as(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let generation stop at the tokenizer's end of text, besides those that the base model has."""
    end, settings = tokenizer.eos_token_id, model.generation_config
    known = settings.eos_token_id
    ends = known if isinstance(known, list) else [known] if known is not None else []
    if end is not None and end not in ends:
        settings.eos_token_id = [end, *ends] if ends else end
        model.config.get_text_config(decoder=True).eos_token_id = end
