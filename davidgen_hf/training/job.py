"""Read a training recipe, and find the model that it names."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from accelerate import PartialState
from accelerate.utils import DistributedType
from datasets import Dataset
from transformers import GenerationConfig, PreTrainedModel, TrainingArguments
from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, get_quantization_config

from davidgen_hf.engines.loading import FoundModel, find_model, require_whole
from davidgen_hf.engines.opening import open_weights
from davidgen_hf.engines.settings import EngineSettings
from davidgen_hf.errors import ModelError, SettingError
from davidgen_hf.schema import TRAINING
from davidgen_hf.storage.digests import folder_digest, without_folders
from davidgen_hf.storage.yaml_files import read_config
from davidgen_hf.training.arguments import Batch, make_arguments
from davidgen_hf.training.config import check_config
from davidgen_hf.training.precision import Precision
from davidgen_hf.training.preflight import check_folder, fit_length
from davidgen_hf.training.rows import check_columns, digest
from davidgen_hf.training.summary import TrainingSummary, find_finished

A = TypeVar("A", bound=TrainingArguments)

# Settings that only say where a training reads and writes; rows and model are compared by their content.
PLACES = {"output_dir", "resume_from_checkpoint", "model_name_or_path", "model_revision"} | {
    field.name for section in (ScriptArguments, DatasetMixtureConfig) for field in dataclasses.fields(section)
}


@dataclass(frozen=True)
class Job(Generic[A]):
    """A training whose recipe is read and checked.

    Args:
        args: The trainer's arguments.
        model_args: How to load the model, and which adapter to train.
        found: The model, without its weights.
        folder: The folder for the trained model.
        batch: How the global batch is distributed.
        precision: The number type to compute in.
        identity: The inputs that decide the result, as ``run.json`` records them.
        resume: Whether to resume, or the checkpoint to resume from.
        patience: Evaluations without a better loss after which to stop; ``None`` never stops early.
    """

    args: A
    model_args: ModelConfig
    found: FoundModel
    folder: Path
    batch: Batch
    precision: Precision
    identity: dict[str, Any]
    resume: bool | Path
    patience: int | None

    def finished(self) -> TrainingSummary | None:
        """Return the summary of this training if its folder holds it; else check that the folder can be used.

        Raises:
            RunFolderError: The folder holds another training, or cannot be written to.
        """
        summary = find_finished(self.folder, self.identity)
        if summary is None:
            check_folder(self.folder)
        return summary

    def generation_config(self) -> GenerationConfig:
        """Load the model's generation config; a model without one has it in its configuration."""
        try:
            return GenerationConfig.from_pretrained(self.found.name, revision=self.found.commit or "main")
        except OSError:
            return GenerationConfig.from_model_config(self.found.config)

    def length(self, setting: str) -> int | None:
        """Return how many tokens a row may have under a setting and the model's positions; ``None`` for any number."""
        value, named = getattr(self.args, setting), setting in self.identity["recipe"]
        return fit_length(setting, value, named=named, config=self.found.config, model=self.found.name)


def open_model(job: Job[Any], **options: Any) -> PreTrainedModel:
    """Load the model that a job trains, with the recipe's dtype, attention and quantization.

    Args:
        job: The training.
        options: More arguments of ``from_pretrained``; a recipe's ``model_init_kwargs``.

    Raises:
        ModelError: Its files are absent, damaged or incomplete.
    """
    named, state = job.model_args, PartialState()
    # As in TRL, a single process with a GPU places the model while loading it; several processes each move it later.
    spread = state.device.type not in ("cpu", "mps") and state.distributed_type is DistributedType.NO
    given = {
        "dtype": named.dtype,
        "attn_implementation": named.attn_implementation,
        "quantization_config": get_quantization_config(named),
        "device_map": "auto" if spread else None,
    }
    try:
        return open_weights(job.found.name, job.found.files, **given | options)
    except ModelError as error:
        if isinstance(error.__cause__, ImportError):  # a setting needs a package; see explain_settings
            raise error.__cause__ from None
        raise


def open_job(  # noqa: PLR0913 - one keyword a choice of the caller
    rows: Dataset,
    config: Path | dict[str, Any],
    *,
    output_dir: Path,
    base_model: str | None,
    resume: bool,
    section: type[A],
    sections: Sequence[type],
    columns: Iterable[str] = TRAINING,
    encoder_decoder: bool = False,
) -> Job[A]:
    """Read a recipe, and find its model.

    Args:
        rows: The rows to train on.
        config: The recipe, or its file.
        output_dir: The folder for the trained model.
        base_model: The model to train instead of the recipe's.
        resume: Whether to resume from the last checkpoint.
        section: The dataclass of the trainer's arguments.
        sections: All dataclasses whose fields the recipe may set.
        columns: The columns that are trained on.
        encoder_decoder: The family of the model.

    Raises:
        SettingError: The recipe has unknown keys or values that do not fit, or names no model.
        ModelError: The model is absent or of the other family.
        MissingColumnsError: A column is absent.
    """
    check_columns(rows, columns=columns)
    name = str(config) if isinstance(config, Path) else "The training recipe"
    values = check_config(read_config(config) if isinstance(config, Path) else config, name, sections)
    args, model_args, batch, precision = make_arguments(values, Path(output_dir), section)
    named = base_model or model_args.model_name_or_path
    found = _find_trainable(named, model_args.model_revision, encoder_decoder)
    identity = {
        "base_model": without_folders(named),
        "base_revision": found.commit,
        "base_digest": folder_digest(Path(named)) if named and Path(named).is_dir() else None,
        "recipe": {key: without_folders(value) for key, value in values.items() if key not in PLACES},
        "rows_digest": digest(rows, columns),
    }
    return Job(
        args,
        model_args,
        found,
        Path(output_dir),
        batch,
        precision,
        identity,
        resume=values.get("resume_from_checkpoint") or resume,
        patience=values.get("early_stopping_patience"),
    )


def resolve_model(name: str | None, revision: str | None, encoder_decoder: bool = False) -> tuple[str, str | None]:
    """Return the folder or Hub id of a language model, and its commit (``None`` for a folder).

    Raises:
        SettingError: No model is named.
        ModelError: The model does not exist, or belongs to the other family.
    """
    found = _find_trainable(name, revision, encoder_decoder)
    return found.name, found.commit


def _find_trainable(name: str | None, revision: str | None, encoder_decoder: bool) -> FoundModel:
    if name is None:
        raise SettingError("The training recipe names no model. Set model_name_or_path to a folder or a Hub id.")
    found = find_model(EngineSettings(model=name, revision=revision))
    require_whole(found, "training")
    if found.config.is_encoder_decoder != encoder_decoder:
        families = ("a causal language model", "recipes/sft.py"), ("an encoder-decoder", "recipes/sft_seq2seq.py")
        (needed, _), (is_one, script) = families[encoder_decoder], families[not encoder_decoder]
        raise ModelError(
            f"{name!r} is {is_one} ({found.config.model_type}), and {needed} is needed here. Name one, or train this "
            f"model with {script}."
        )
    return found
