"""The record of a training: ``run.json`` in the model's folder."""

import json
import os
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.validation import read_json, validate
from davidgen_hf.training.precision import Precision
from davidgen_hf.training.rows import RowCounts

FILE_NAME = "run.json"
PACKAGES = ("davidgen-hf", "torch", "transformers", "trl", "peft", "accelerate", "datasets")


@dataclass(frozen=True)
class TrainingSummary:
    """One finished training.

    Args:
        output_dir: The model's folder.
        base_model: The model that was trained: a Hub id, or the name of a local folder without its path.
        base_revision: Its commit; ``None`` for a local folder.
        base_digest: Hash of a local folder's files; ``None`` for a Hub id.
        recipe: The settings, with the names of the YAML.
        rows_digest: Hash of all prompts and completions.
        rows: What became of the rows.
        batch: How the global batch was distributed.
        steps: Optimizer steps.
        loss_start: Mean loss at the first log: of completions, in nats per token, or of preferences (DPO), in nats.
        loss_end: The same at the last log.
        loss_history: ``(step, loss)`` of every log.
        eval_history: ``(step, loss)`` on the held-out rows.
        tokens_seen: Tokens of all epochs since the training was last started, prompts included, padding not.
        seconds: Wall time of the training itself since then.
        checkpoint_seconds: The part of it that was spent on writing checkpoints.
        precision: The number type of the matrix products, and why; ``None`` in records of version 0.1.
        versions: Installed versions of what the result depends on.
        trainer: ``sft``, or ``dpo`` for a training on preferences.
    """

    output_dir: str
    base_model: str
    base_revision: str | None
    base_digest: str | None
    recipe: dict[str, Any]
    rows_digest: str
    rows: RowCounts
    batch: str
    steps: int
    loss_start: float
    loss_end: float
    loss_history: list[tuple[int, float]]
    eval_history: list[tuple[int, float]]
    tokens_seen: int
    seconds: float
    checkpoint_seconds: float = 0.0
    precision: Precision | None = None
    versions: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in PACKAGES})
    trainer: Literal["sft", "dpo"] = "sft"

    @property
    def tokens_per_second(self) -> float:
        """Tokens that took part in training per second of it, prompts included, padding not."""
        return self.tokens_seen / self.seconds

    def save(self) -> None:
        """Write ``run.json`` into the model's folder, atomically."""
        record = asdict(self)
        write_record(Path(record.pop("output_dir")), {"finished": True, **record})


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write ``record`` as the folder's ``run.json``, atomically."""
    write_whole(folder / FILE_NAME, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


# Settings that recipes of version 0.1 named, and that the machine decides if they do not.
NUMBER_TYPES = {"bf16", "fp16"}


def find_finished(folder: Path, identity: dict[str, Any]) -> TrainingSummary | None:
    """Return the summary of the training that ``folder`` holds if it is finished, or ``None`` if it is not.

    Args:
        folder: The model's folder; it need not exist.
        identity: The inputs that decide the result: base model, its commit, recipe and rows.

    Raises:
        RunFolderError: The folder holds another training, or its ``run.json`` cannot be read.
    """
    path = folder / FILE_NAME
    if not os.path.isfile(path):  # False as well where the name is too long, or not one
        return None
    advice = "It must be the record of a training. Name another output folder, or remove this one."
    record = read_json(path, dict[str, Any], advice, error=RunFolderError)
    missing = [name for name in (*identity, "finished") if name not in record]
    if missing:
        raise RunFolderError(
            f"{path} is not the record of a training: it lacks {missing}. Name another output folder."
        )
    recorded, wanted = record["recipe"], identity["recipe"]
    if isinstance(recorded, dict):  # the machine chooses a type that the settings no longer name
        record = record | {
            "recipe": {key: recorded[key] for key in recorded if key in wanted or key not in NUMBER_TYPES}
        }
    differing = [name for name, value in identity.items() if record[name] != value]
    if differing:
        found = "; ".join(f"{name} was {record[name]!r}, is {identity[name]!r}" for name in differing)
        raise RunFolderError(f"{folder} holds another training: {found}. Name another output folder, or remove it.")
    if not record["finished"]:
        return None
    return validate(TrainingSummary, record | {"output_dir": str(folder)}, str(path), advice, error=RunFolderError)
