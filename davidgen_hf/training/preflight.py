"""Checks that run before the first step, so that a training does not fail at its end, and how its model is saved."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from jinja2 import TemplateError, TemplateSyntaxError
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from transformers import (
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
)
from transformers.utils import logging
from trl import SFTConfig

from davidgen_hf.engines.loading import model_limit
from davidgen_hf.engines.opening import open_tokenizer
from davidgen_hf.errors import ModelError, RunFolderError, SettingError, TrainingError

logger = logging.get_logger(__name__)

_TEMPLATE_SUFFIXES = (".jinja", ".j2")


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made or written to, without making it.

    Raises:
        RunFolderError: As above.
    """
    created: list[Path] = []
    try:
        created = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{folder} cannot be the model's folder: {error}. A folder that can be written to is needed. Name another "
            "one, or allow writing."
        ) from error
    finally:
        for one in created:
            with suppress(OSError, ValueError):
                one.rmdir()


@contextmanager
def leave_no_empty_folder(folder: Path) -> Iterator[None]:
    """Remove the folders down to ``folder`` that did not exist before and are empty when an error ends the block."""
    created = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield
    except BaseException:
        for one in created:
            with suppress(OSError):
                one.rmdir()
        raise


def fit_length(setting: str, length: int | None, *, named: bool, config: PreTrainedConfig, model: str) -> int | None:
    """Return how many tokens a row may have: ``length``, or the model's positions where those are fewer.

    Args:
        setting: The name of the setting.
        length: Its value; ``None`` sets no limit.
        named: Whether the recipe sets it, so that a warning says what becomes of it.
        config: The model's configuration.
        model: The model's name, for the warning.
    """
    positions = model_limit(config, model, None)
    if positions is None or (length is not None and length <= positions):
        return length
    if named and length is not None:
        logger.warning(f"{setting} is {length}, but {model!r} has {positions} positions, so {positions} is the limit.")
    return positions


def check_chat_template(args: SFTConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a ``chat_template_path`` that cannot be read, or that comes with another end token than the rows'.

    Raises:
        SettingError: As above.
    """
    path = args.chat_template_path
    if path is None:
        return
    if Path(path).is_file() and path.endswith(_TEMPLATE_SUFFIXES):
        try:
            message = [{"role": "user", "content": "a"}]
            tokenizer.apply_chat_template(message, chat_template=Path(path).read_text("utf-8"), tokenize=False)
        except (OSError, UnicodeDecodeError, TemplateSyntaxError) as error:
            raise SettingError(
                f"chat_template_path {path!r} cannot be read: {error}. Name a Jinja template."
            ) from error
        except (TemplateError, TypeError):
            pass  # one that refuses this conversation, as those that need a system message do
        return
    try:
        source = open_tokenizer(str(path))
    except ModelError as error:
        raise SettingError(
            f"chat_template_path {path!r} cannot be read as a tokenizer: {error} Name a .jinja file, or a folder or "
            "Hub id with a tokenizer."
        ) from error
    if source.chat_template is None:
        raise SettingError(
            f"chat_template_path names the tokenizer {path!r}, which has no chat template. A template is needed. Name "
            "another tokenizer, or a .jinja file."
        )
    if source.eos_token != tokenizer.eos_token:
        raise SettingError(
            f"chat_template_path names the tokenizer {path!r}, whose end token is {source.eos_token!r}, but the rows "
            f"end with {tokenizer.eos_token!r}. The model would learn one end, and generation would wait for another. "
            "Save the template alone as a .jinja file and name that; if the model knows the other end token, set "
            f"`eos_token: {source.eos_token!r}` as well."
        )


def model_of(trainer: Trainer) -> PreTrainedModel:
    """Return the model of a trainer of ours: a transformers model, or an adapter of peft around one."""
    return cast(PreTrainedModel, trainer.model)


def check_ready(trainer: Trainer) -> None:
    """Find out before the first step what would fail after the last one.

    Raises:
        SettingError: The optimizer needs a package that is not installed.
        ModelError: The model's configuration or tokenizer cannot be saved.
        RunFolderError: There is not enough room for the trained weights.
    """
    model, tokenizer = model_of(trainer), cast(PreTrainedTokenizerBase, trainer.processing_class)
    Trainer.get_optimizer_cls_and_kwargs(trainer.args, model)  # raises if a package is missing
    fit_generation_config(model)
    try:
        with TemporaryDirectory() as rehearsal:
            model.config.save_pretrained(rehearsal)
            tokenizer.save_pretrained(rehearsal)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"The configuration or the tokenizer of {model.config.name_or_path!r} could not be saved after training: "
            f"{error}. Both must be in a form that transformers can write. Fix config.json or tokenizer_config.json, "
            "or name another model."
        ) from error
    folder = Path(str(trainer.args.output_dir))
    existing = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    needed = sum(int(one.numel()) * one.element_size() for one in model.parameters() if one.requires_grad)
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise RunFolderError(
            f"{folder} has room for {free / 2**20:.1f} MiB, but the trained weights take {needed / 2**20:.1f} MiB. "
            "The disk must hold them, and each checkpoint takes about three times as much. Make room, or name another "
            "folder."
        )


def fit_generation_config(model: PreTrainedModel) -> None:
    """Drop the settings of a generation config that contradict the others, with which transformers would not save it.

    Several published models have a ``temperature`` next to ``do_sample: false``, for example, where it has no effect.
    """
    config: Any = model.generation_config
    try:
        config.validate(strict=True)
        return
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
    given = config.to_diff_dict()
    kept: dict[str, Any] = {}
    for key in sorted(given, key=lambda key: (not key.endswith("_token_id"), key != "do_sample")):
        try:
            GenerationConfig.from_dict(kept | {key: given[key]}).validate(strict=True)
        except (ValueError, TypeError):
            continue
        kept[key] = given[key]
    dropped = {key: given[key] for key in given if key not in kept}
    logger.warning(f"The model's generation config contradicts itself ({reason}), so it loses {dropped}.")
    model.generation_config = GenerationConfig.from_dict(kept)


def save_trained(trainer: Trainer, folder: Path) -> None:
    """Save the trained model, or at least its weights where transformers refuses to save it.

    Raises:
        TrainingError: The weights are not finite, or only they could be saved.
    """
    model = model_of(trainer)
    broken = [name for name, one in model.named_parameters() if not _local(one).isfinite().all()]
    if broken:
        raise TrainingError(
            f"After {trainer.state.global_step} steps, {len(broken)} tensors hold values that are not finite, e.g. "
            f"{broken[0]!r}. Such a model is of no use, so it is not saved. Lower learning_rate, or train in float32 "
            "(`bf16: false`)."
        )
    try:
        fit_generation_config(model)
        trainer.save_model(str(folder))
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        rescued = folder / "rescued.safetensors"
        if trainer.is_world_process_zero():
            save_file({name: _local(one).clone() for name, one in model.named_parameters()}, rescued)
        raise TrainingError(
            f"The training is finished, but the model could not be saved: {error}. Its weights are in {rescued}. Copy "
            "config.json and the tokenizer of the base model next to them, and rename them to model.safetensors."
        ) from error


def _local(parameter: torch.Tensor) -> torch.Tensor:
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter
