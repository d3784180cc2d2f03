"""The card of a training by itself; a run writes its models' cards, which know more."""

from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard, ModelCardData

from davidgen_hf.provenance import Provenance
from davidgen_hf.provenance.evidence import MARK_TAG
from davidgen_hf.sources.paths import name_of
from davidgen_hf.sources.rows import on_hub
from davidgen_hf.storage.files import write_whole
from davidgen_hf.training.curve import FILE_NAME as CURVE
from davidgen_hf.training.summary import TrainingSummary

FILE_NAME = "README.md"
# What the trainings learn from, and how their loss is called.
LEARNED = {
    "sft": "the completions of rows of prompt and completion",
    "dpo": "preferences (DPO): of two answers to a prompt, it learns to prefer the better one",
}
LOSSES = {"sft": "Loss, nats per token of a completion", "dpo": "DPO loss, nats"}


def write_card(summary: TrainingSummary) -> Path:
    """Write a model's ``README.md``: what was trained on how much, with which settings, and the loss as a picture.

    A base model that is a local folder is named after that folder, because a card may be published.
    """
    folder, base = Path(summary.output_dir), summary.base_model
    is_adapter = (folder / "adapter_config.json").is_file()
    known: dict[str, Any] = {"base_model": base, "base_model_relation": "adapter" if is_adapter else "finetune"}
    data = ModelCardData(
        library_name="peft" if is_adapter else "transformers",
        tags=["davidgen", "trl", summary.trainer],
        **(known if on_hub(base) else {}),
    )
    rows = summary.rows
    held_out = f"; held out: {summary.eval_history[-1][1]:.3f}" if summary.eval_history else ""
    made_of = f"{base}{f' at commit {summary.base_revision}' if summary.base_revision else ''}"
    lines = [
        f"---\n{data.to_yaml()}\n---\n",
        f"# {folder.resolve().name}\n",
        f"{'An adapter (LoRA) of' if is_adapter else 'A fine-tuned copy of'} `{made_of}`, trained with davidgen_hf "
        f"and TRL on {LEARNED[summary.trainer]}.\n",
        f"![Loss over the steps]({CURVE})\n",
        f"- {rows}",
        f"- {summary.steps} steps, {summary.batch}",
        f"- {LOSSES[summary.trainer]}: {summary.loss_start:.3f} first, {summary.loss_end:.3f} last{held_out}",
        f"- {', '.join(f'{package} {version}' for package, version in summary.versions.items())}\n",
        f"```yaml\n{yaml.safe_dump(summary.recipe, allow_unicode=True).strip()}\n```\n",
    ]
    path = folder / FILE_NAME
    write_whole(path, "\n".join(lines))
    return path


def mark_card(folder: Path, provenance: Provenance) -> None:
    """Tag the card in a model's folder, and say why, if something that the model is derived from is restricted."""
    path = folder / FILE_NAME
    if not provenance.restricted or not path.is_file():
        return
    card = ModelCard.load(path, ignore_metadata_errors=True)
    tags = list(card.data.tags or [])
    if MARK_TAG in tags:
        return
    card.data.tags = [*tags, MARK_TAG]
    reasons = " ".join(dict.fromkeys(part.reason for part in provenance.parts if part.answer == "restricted"))
    title, _, rest = card.text.lstrip().partition("\n")
    write_whole(path, f"---\n{card.data.to_yaml()}\n---\n\n{title}\n\n**Restricted.** {reasons}\n{rest}")


def write_merged_card(folder: Path, title: str, base: str, provenance: Provenance) -> None:
    """Write the card of a base model with an adapter merged into it."""
    (part,) = provenance.parts
    known: dict[str, Any] = {"base_model": base, "base_model_relation": "finetune"} if on_hub(base) else {}
    data = ModelCardData(library_name="transformers", license=part.license, tags=["davidgen"], **known)
    text = f"# {title}\n\n`{name_of(base)}` with the adapter `{part.name}` merged into it by davidgen_hf.\n"
    write_whole(folder / FILE_NAME, f"---\n{data.to_yaml()}\n---\n\n{text}")
    mark_card(folder, provenance)
