"""Checkpoints of a training: which one to resume from, and how they are written, kept and removed."""

import json
import re
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from peft import PeftModel, get_peft_model_state_dict
from pydantic import BaseModel, PositiveInt, ValidationError
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import Trainer
from transformers.trainer import OPTIMIZER_NAME, OPTIMIZER_NAME_BIN, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import CONFIG_NAME, logging

from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.files import use_umask

logger = logging.get_logger(__name__)

_NAME = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-([0-9]+)")
# DeepSpeed and FSDP keep weights and optimizer in folders and files of their own form.
_SHARDED = ("global_step*", "pytorch_model_fsdp*")


SHAPE = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")


class DamagedError(RunFolderError):
    """A checkpoint is not whole."""


class SavedState(BaseModel):
    """What must be readable in a checkpoint's ``trainer_state.json`` before a training can resume from it."""

    global_step: PositiveInt
    epoch: float
    log_history: list[dict[str, Any]]


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the folders in a model's folder that are named as checkpoints, those with the most steps first."""
    named = [
        path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if _NAME.fullmatch(path.name) and path.is_dir()
    ]
    return sorted(named, key=_step, reverse=True)


def last_checkpoint(folder: Path, model: nn.Module | None = None) -> Path | None:
    """Return the whole checkpoint with the most steps, ``None`` if there is none; a warning names damaged ones.

    Args:
        folder: The model's folder.
        model: The model to train; a checkpoint that lacks some of its tensors counts as damaged.

    Raises:
        RunFolderError: A checkpoint is of another model.
    """
    damaged = []
    chosen = None
    for checkpoint in list_checkpoints(folder):
        try:
            check_checkpoint(checkpoint, model)
        except DamagedError as error:
            damaged.append(f"{checkpoint.name} is damaged ({error})")
        else:
            chosen = checkpoint
            break
    if damaged:
        outcome = f"resumes from {chosen.name}, the last whole one" if chosen else "starts over"
        logger.warning(f"{folder}: {'; '.join(damaged)}. The training {outcome}.")
    return chosen


def choose_checkpoint(folder: Path, resume: bool | Path, model: nn.Module) -> Path | None:
    """Return the checkpoint to resume from, ``None`` to start over.

    Args:
        folder: The model's folder.
        resume: ``True`` for the last whole checkpoint in it, or the path of one.
        model: The model to train.

    Raises:
        RunFolderError: The checkpoint is absent, damaged, of another model, or has no optimizer.
    """
    checkpoint = last_checkpoint(folder, model) if resume is True else resume or None
    if not checkpoint:
        return None
    try:
        if resume is not True:
            check_checkpoint(checkpoint, model)
    except DamagedError as error:
        raise RunFolderError(
            f"{checkpoint} is not a checkpoint to resume from: {error}. All files of one must be whole. Name another "
            "one, or set `resume_from_checkpoint: true` for the last whole one in the model's folder."
        ) from error
    if not _has_optimizer(checkpoint):
        raise RunFolderError(
            f"{checkpoint} has no optimizer ({OPTIMIZER_NAME}, {SCHEDULER_NAME}), as `save_only_model: true` leaves "
            "it. Without one, the training would not continue as the same. Remove the checkpoints to start it over, "
            "and leave out save_only_model where you set resume_from_checkpoint."
        )
    return checkpoint


def remove_checkpoints(folder: Path) -> None:
    """Remove what only a resumed training needs from the folder of a finished one."""
    for checkpoint in list_checkpoints(folder):
        shutil.rmtree(checkpoint)


def lost_model_files(folder: Path) -> list[str]:
    """Return which files of the folder of a trained model are missing or damaged."""
    lost = []
    if not any((folder / name).is_file() for name in (CONFIG_NAME, "adapter_config.json")):
        lost.append(CONFIG_NAME)
    weights = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    for name in ("tokenizer_config.json", *(path.name for path in weights or [folder / "model.safetensors"])):
        try:
            if not (folder / name).is_file():
                raise FileNotFoundError(name)
            _read(folder / name)
        except (OSError, ValueError, SafetensorError):
            lost.append(name)
    return lost


def check_checkpoint(checkpoint: Path, model: nn.Module | None = None) -> None:
    """Refuse a checkpoint that is damaged or of another model.

    Raises:
        DamagedError: A file is cut short or missing.
        RunFolderError: The checkpoint is of another model than ``model``.
    """
    _check_state(checkpoint)
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(path for path in checkpoint.iterdir() if path.is_file()):
        try:
            shapes |= _read(file)
        except (OSError, ValueError, EOFError, SafetensorError, BadZipFile) as error:
            raise DamagedError(f"{file.name} cannot be read: {_first_line(error)}") from error
    if _is_sharded(checkpoint) or model is None:
        return
    _check_config(checkpoint, model)
    _check_tensors(checkpoint, shapes, model)
    if _has_optimizer(checkpoint) and not any(checkpoint.glob("rng_state*.pth")):
        raise DamagedError("rng_state.pth is missing")


def _check_state(checkpoint: Path) -> None:
    """Refuse a checkpoint whose ``trainer_state.json``, which is written last, is not whole or of another step."""
    path = checkpoint / TRAINER_STATE_NAME
    if not path.is_file():
        raise DamagedError(f"{path.name} is missing")
    try:
        step = SavedState.model_validate_json(path.read_bytes()).global_step
    except (OSError, ValidationError) as error:
        raise DamagedError(f"{path.name} cannot be read: {_first_line(error)}") from error
    if _NAME.fullmatch(checkpoint.name) and step != _step(checkpoint):
        raise DamagedError(f"{path.name} is of step {step}")


def _read(file: Path) -> dict[str, tuple[int, ...]]:
    """Read a file far enough to see that it is whole; return the shapes of the tensors of one with weights."""
    match file.suffix:
        case ".safetensors":
            with safe_open(file, "pt") as opened:
                return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
        case ".pt" | ".pth":  # what torch.save writes is a ZIP archive with checksums
            with ZipFile(file) as archive:
                broken = archive.testzip()
            if broken:
                raise BadZipFile(f"bad checksum of {broken}")
        case ".json":
            json.loads(file.read_bytes())
    return {}


def _check_config(checkpoint: Path, model: nn.Module) -> None:
    """Refuse a checkpoint whose configuration gives the model another shape."""
    file = checkpoint / CONFIG_NAME
    config: Any = model.config  # of every model of transformers and peft; nn.Module's own type does not say so
    found, ours = json.loads(file.read_bytes()) if file.is_file() else {}, config.to_dict()
    differing = [
        f"{name} is {found[name]!r} there and {ours.get(name)!r} here"
        for name in SHAPE
        if name in found and found[name] != ours.get(name)
    ]
    if differing:
        raise RunFolderError(_another_model(checkpoint, "; ".join(differing)))


def _check_tensors(checkpoint: Path, shapes: dict[str, tuple[int, ...]], model: nn.Module) -> None:
    """Refuse a checkpoint that lacks tensors of the model; of several tied names, one is enough."""
    if isinstance(model, PeftModel):
        wanted = [({name}, tensor) for name, tensor in get_peft_model_state_dict(model).items()]
    else:
        names = defaultdict(set)
        for name, parameter in model.named_parameters(remove_duplicate=False):
            names[parameter].add(name)
        wanted = [(tied, parameter) for parameter, tied in names.items()]
    missing = [min(tied) for tied, _ in wanted if not tied & shapes.keys()]
    if missing:
        raise DamagedError(f"{len(missing)} tensors are missing, e.g. {missing[0]!r}")
    for tied, tensor in wanted:
        name, shape = min(tied & shapes.keys()), tuple(tensor.shape)
        if tensor.numel() and shapes[name] != shape:  # DeepSpeed empties what other processes hold
            raise RunFolderError(_another_model(checkpoint, f"{name!r} is {shapes[name]} there and {shape} here"))


def _another_model(checkpoint: Path, differing: str) -> str:
    return (
        f"{checkpoint} is of another model: {differing}. Name the folder of this training, or remove the checkpoint."
    )


def _is_sharded(checkpoint: Path) -> bool:
    return any(any(checkpoint.glob(pattern)) for pattern in _SHARDED)


def _has_optimizer(checkpoint: Path) -> bool:
    if _is_sharded(checkpoint):
        return True
    kept = any((checkpoint / name).is_file() for name in (OPTIMIZER_NAME, OPTIMIZER_NAME_BIN))
    return kept and (checkpoint / SCHEDULER_NAME).is_file()


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class WholeCheckpoints(Trainer):
    """Writes checkpoints whole or not at all, touches no folder that is not one, and resumes behind the last step."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.folder = Path(str(self.args.output_dir))
        self.kept_checkpoints, self.args.save_total_limit = self.args.save_total_limit, None

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            use_umask(Path(output_dir) if output_dir else self.folder)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save a checkpoint, then remove older ones beyond ``save_total_limit``.

        transformers takes every folder named ``checkpoint-*`` for one. What a full disk leaves of a checkpoint is
        removed, since it only takes up room.
        """
        current = self.folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        try:
            super()._save_checkpoint(model, trial)
        except Exception:
            shutil.rmtree(current, ignore_errors=True)
            raise
        if not self.kept_checkpoints or not self.args.should_save:
            return
        best = Path(self.state.best_model_checkpoint or current)
        others = [one for one in list_checkpoints(self.folder) if one not in (current, best)]
        others.sort(key=lambda one: one.stat().st_mtime, reverse=True)
        kept = max(self.kept_checkpoints, 1 if best == current else 2)
        for old in [*dict.fromkeys((current, best)), *others][kept:]:
            shutil.rmtree(old)

    def _init_training_state(self, *args: Any) -> tuple[int, int]:
        epochs, steps = super()._init_training_state(*args)
        if self.state.best_global_step and not self.state.best_model_checkpoint:  # the folder was moved meanwhile
            best = self.folder / f"{PREFIX_CHECKPOINT_DIR}-{self.state.best_global_step}"
            self.state.best_model_checkpoint = str(best) if best.is_dir() else None
        return epochs, steps

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Run an epoch unless the checkpoint was the last one; transformers would take one step more."""
        recorded: Any = self.state.stateful_callbacks or {}
        stopped = recorded.get("TrainerControl", {}).get("args", {}).get("should_training_stop", False)
        if kwargs["resume_from_checkpoint"] and (stopped or self.state.global_step >= self.state.max_steps):
            self.control.should_training_stop = True
            return
        untyped: Any = super()
        untyped._run_epoch(*args, **kwargs)
