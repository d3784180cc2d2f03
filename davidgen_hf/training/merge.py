"""An adapter and its base model as one model, which needs no peft to be loaded."""

from dataclasses import asdict
from pathlib import Path

from davidgen_hf.engines.loading import find_model, load_found, resolve_device
from davidgen_hf.engines.number_types import NumberType
from davidgen_hf.engines.settings import EngineSettings
from davidgen_hf.errors import ModelError, RunFolderError
from davidgen_hf.sources.origins import model_part
from davidgen_hf.storage.files import is_in_use, replacing, use_umask
from davidgen_hf.training.card import write_merged_card
from davidgen_hf.training.judging import require_allowed
from davidgen_hf.training.summary import write_record

ALLOW = "For a merge, that is the option --allow-restricted."


def merge_adapter(
    adapter: str | Path, output_dir: Path, dtype: str = "float32", *, allow_restricted: bool = False
) -> NumberType:
    """Merge a LoRA adapter into its base model, and save it with the adapter's tokenizer and chat template.

    ``run.json`` and the card of the merged model say where adapter and base come from.

    Args:
        adapter: Folder of a training with ``use_peft: true``, or Hub id of an adapter.
        output_dir: Folder for the whole model; it must not exist, or be empty. It appears whole or not at all.
        dtype: Type of the merged weights: ``float32``, ``bfloat16``, ``float16``, or ``auto`` for that of the base
            model's checkpoint.
        allow_restricted: Merge an adapter that is restricted, or that belongs to a restricted base model.

    Returns:
        The type of the merged weights and the reason for it, which ``run.json`` records too.

    Raises:
        ProvenanceError: It is restricted, and neither this call nor the run that it comes from allows that.
        ModelError: ``adapter`` is not an adapter, or its base model cannot be loaded.
        RunFolderError: ``output_dir`` holds something already.
    """
    found = find_model(EngineSettings(model=str(adapter)))
    if not found.adapter:
        raise ModelError(
            f"{adapter} holds no adapter: adapter_config.json is missing. Name the folder of a training with "
            "`use_peft: true`, or the Hub id of an adapter; a full training needs no merging."
        )
    if is_in_use(output_dir):
        raise RunFolderError(f"{output_dir} is not empty. Name a new folder for the merged model.")
    part = model_part("base_model", str(adapter), found.commit)
    provenance = require_allowed([part], [str(adapter)], allow_restricted, ALLOW)
    stored = str(getattr(found.config, "dtype", None) or "float32").removeprefix("torch.")
    is_auto = dtype == "auto"
    chosen = NumberType(stored, "the base model's checkpoint") if is_auto else NumberType(dtype, "as requested")
    model, tokenizer = load_found(found, chosen.torch_dtype, resolve_device("cpu"))
    with replacing(output_dir) as draft:
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        write_record(draft, {"merged_from": part.name, "precision": asdict(chosen), "provenance": provenance.record()})
        write_merged_card(draft, output_dir.resolve().name, found.adapter.base, provenance)
        use_umask(draft)
    return chosen
