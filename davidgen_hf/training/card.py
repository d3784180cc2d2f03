"""The card of a training that stands by itself; a run writes its models' cards, which know more."""

from pathlib import Path

import yaml
from huggingface_hub import ModelCardData

from davidgen_hf.storage.files import write_whole
from davidgen_hf.training.curve import FILE_NAME as CURVE
from davidgen_hf.training.summary import TrainingSummary

FILE_NAME = "README.md"


def write_card(summary: TrainingSummary) -> Path:
    """Write a model's ``README.md``: what was trained on how much, with which settings, and the loss as a picture.

    A base model that is a local folder goes by that folder's name, for a card is to be published.
    """
    folder, base = Path(summary.output_dir), summary.base_model
    is_adapter = (folder / "adapter_config.json").is_file()
    on_hub = {"base_model": base, "base_model_relation": "adapter" if is_adapter else "finetune"}
    data = ModelCardData(
        library_name="peft" if is_adapter else "transformers",
        tags=["davidgen", "trl", "sft"],
        **(on_hub if "/" in base else {}),
    )
    rows = summary.rows
    held_out = f"; held out: {summary.eval_history[-1][1]:.3f}" if summary.eval_history else ""
    made_of = f"{base}{f' at commit {summary.base_revision}' if summary.base_revision else ''}"
    lines = [
        f"---\n{data.to_yaml()}\n---\n",
        f"# {folder.resolve().name}\n",
        f"{'An adapter (LoRA) of' if is_adapter else 'A fine-tuned copy of'} `{made_of}`, trained with davidgen_hf "
        "and TRL on the completions of rows of prompt and completion.\n",
        f"![Loss over the steps]({CURVE})\n",
        f"- {rows}",
        f"- {summary.steps} steps, {summary.batch}",
        f"- Loss, nats a token of a completion: {summary.loss_start:.3f} first, {summary.loss_end:.3f} last{held_out}",
        f"- {', '.join(f'{package} {version}' for package, version in summary.versions.items())}\n",
        f"```yaml\n{yaml.safe_dump(summary.recipe, allow_unicode=True).strip()}\n```\n",
    ]
    path = folder / FILE_NAME
    write_whole(path, "\n".join(lines))
    return path
