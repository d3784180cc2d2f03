"""The command line that the scripts under ``recipes/`` share, and the rows that a recipe names."""

import argparse
import dataclasses
import sys
from collections import ChainMap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from accelerate import PartialState
from datasets import Dataset, DatasetDict, load_dataset
from datasets.exceptions import DatasetGenerationError, DatasetsError
from pyarrow import ArrowException
from trl import DatasetMixtureConfig, TrlParser, get_dataset
from trl.scripts.utils import DatasetConfig

from davidgen_hf.commandline import run_command_line
from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.schema import PREFERENCE, TRAINING
from davidgen_hf.sources.embedded import EMBEDDED, model_folder
from davidgen_hf.storage.files import as_pattern, write_whole
from davidgen_hf.storage.yaml_files import read_config
from davidgen_hf.training.columns import PAIR, as_preferences, as_training_rows
from davidgen_hf.training.config import check_config
from davidgen_hf.training.dpo import SECTIONS as PREFERENCE_SECTIONS
from davidgen_hf.training.dpo import train_preferences
from davidgen_hf.training.failures import explain_settings
from davidgen_hf.training.judging import data_sources, judge_training, marks_of, record_training
from davidgen_hf.training.rows import check_columns
from davidgen_hf.training.sections import SECTIONS
from davidgen_hf.training.seq2seq import SECTIONS as SEQ2SEQ_SECTIONS
from davidgen_hf.training.seq2seq import train_seq2seq
from davidgen_hf.training.sft import train
from davidgen_hf.training.summary import TrainingSummary

# What `datasets` and the libraries under it raise about rows of others.
_UNREADABLE = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, EOFError),
    *(StopIteration, DatasetsError, DatasetGenerationError, ArrowException),
)
TRAININGS: dict[str, tuple[Callable[..., TrainingSummary], Sequence[type]]] = {
    "sft": (train, SECTIONS),
    "seq2seq": (train_seq2seq, SEQ2SEQ_SECTIONS),
    "dpo": (train_preferences, PREFERENCE_SECTIONS),
}
FORMATS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}


def run_script(doc: str, training: str = "sft") -> None:
    """Run one training from the command line of a script."""
    run_command_line(lambda: train_from_command_line(None, training, doc), Path(sys.argv[0]).name)


def train_from_command_line(argv: list[str] | None, training: str = "sft", doc: str = "") -> TrainingSummary:
    """Run one training.

    Args:
        argv: The command line; that of the process if ``None``.
        training: A key of ``TRAININGS``.
        doc: The beginning of ``--help``.

    Raises:
        ProvenanceError: Model or rows are restricted, and ``--allow_restricted`` is not given.
        DavidgenError: As ``parse_arguments``, ``load_splits`` and ``train``.
    """
    carry_out, sections = TRAININGS[training]
    values, allow_restricted = _parse(sections, doc, argv)
    if not values.get("output_dir"):
        raise SettingError("No folder for the model is named. Add `--output_dir FOLDER`, or output_dir to the YAML.")
    marks = marks_of(load_sources(values))
    provenance = judge_training(values, allow_restricted=allow_restricted, marks=marks)
    splits = load_splits(values, preferences=training == "dpo")
    summary = carry_out(splits["train"], values, output_dir=Path(values["output_dir"]), eval_rows=splits.get("test"))
    if PartialState().is_main_process:
        record_training(Path(summary.output_dir), provenance)
    return summary


def write_trl_config(path: Path, argv: list[str], training: str = "sft") -> None:
    """Write the settings that a command line names, of all its files, as one file that ``trl sft --config`` reads.

    TRL reads one file of settings, and a file of rows only as a part of a mixture.

    Args:
        path: The file to write.
        argv: The command line.
        training: A key of ``TRAININGS``.

    Raises:
        DavidgenError: As ``parse_arguments``; or the file cannot be written.
    """
    values = parse_arguments(TRAININGS[training][1], "", argv)
    rows = Path(values.get("dataset_name") or "")
    if rows.suffix in FORMATS and not rows.is_dir():
        del values["dataset_name"]
        files = {"path": FORMATS[rows.suffix], "data_files": str(rows), "split": "train"}
        values["datasets"] = [files | {"columns": list(PREFERENCE if training == "dpo" else TRAINING)}]
    if values.get("model_name_or_path") == EMBEDDED:
        values["model_name_or_path"] = str(model_folder())
    write_whole(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def parse_arguments(sections: Sequence[type], doc: str, argv: list[str] | None = None) -> dict[str, Any]:
    """Return the settings of the files of ``--config``, overridden by those of the command line.

    Args:
        sections: The dataclasses whose fields are keys of the YAML and options of the command line.
        doc: The beginning of ``--help``.
        argv: The command line; that of the process if ``None``.

    Raises:
        InputError: The YAML file cannot be read.
        SettingError: A key is unknown, or a value is of the wrong type or out of range; all of them are named.
    """
    return _parse(sections, doc, argv)[0]


def _parse(sections: Sequence[type], doc: str, argv: list[str] | None) -> tuple[dict[str, Any], bool]:
    """Return the settings, and whether restricted sources may be trained on, for which TRL's files have no key."""
    dataclass_types: Any = sections
    parser = TrlParser(dataclass_types, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [field.name for section in sections for field in dataclasses.fields(section)]
    # Without defaults, only what the user typed is parsed, and the YAML can set the rest.
    parser.set_defaults_with_config(**dict.fromkeys(names, argparse.SUPPRESS))
    parser.add_argument(
        "--config",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="YAML files with any of the settings; later ones win.",
    )
    parser.add_argument(
        "--allow_restricted", action="store_true", help="Train on what closed models wrote; run.json then says so."
    )
    typed = vars(parser.parse_args(argv))
    allow_restricted = typed.pop("allow_restricted")
    configs = typed.pop("config")
    values = [read_config(path) for path in configs]
    name = " with ".join(map(str, configs)) or "The command line"
    return check_config(dict(ChainMap(typed, *reversed(values))), name, sections), allow_restricted


def load_sources(values: dict[str, Any]) -> dict[str, Dataset | DatasetDict]:
    """Return all rows and columns of each source that a recipe names, by its path or id.

    Raises:
        InputError: The rows cannot be read.
    """
    mixture = [DatasetConfig(**one) for one in values.get("datasets", [])]
    if mixture:
        return {
            name: _load(
                one.path, one.name, split=one.split, data_dir=one.data_dir, data_files=_literal(one.data_files)
            )
            for one, written in zip(mixture, values["datasets"], strict=True)
            for name, _ in data_sources({"datasets": [written]})
        }
    return {values["dataset_name"]: _load_all(values)} if values.get("dataset_name") else {}


def load_splits(values: dict[str, Any], *, preferences: bool = False) -> DatasetDict:
    """Load the rows that a recipe names: ``train``, and ``test`` where there are held-out rows.

    ``dataset_name`` is a ``.parquet``, ``.jsonl`` or ``.csv`` file, a folder, or a Hub dataset, in any of the formats
    of ``as_training_rows``; ``datasets`` is TRL's mixture, of prompt and completion alone. ``test_split_size`` holds
    out a share or a number of rows, which are the same for the same ``seed``. With ``preferences``, the rows hold
    ``prompt``, ``chosen`` and ``rejected`` instead.

    Raises:
        SettingError: The recipe names no rows, or settings of its mixture do not fit together.
        InputError: The rows cannot be read, or the split does not exist.
        MissingColumnsError: The rows have none of the formats, or a dataset of the mixture lacks ``prompt`` or
            ``completion``.
    """
    mixture = [DatasetConfig(**one) for one in values.get("datasets", [])]
    if not mixture and not values.get("dataset_name"):
        raise SettingError("No rows are named. Set dataset_name to a file, folder or Hub dataset, or list `datasets`.")
    splits = _load_mixture(mixture, preferences) if mixture else _load_named(values, preferences)
    size = values.get("test_split_size")
    if size:
        if size >= len(splits["train"]):
            raise SettingError(
                f"test_split_size={size:g} leaves nothing to train on: there are {len(splits['train'])} rows. Give a "
                "share below 1, or a smaller number."
            )
        # The field is a float, and `datasets` does not take 4.0 for a number of rows.
        return splits["train"].train_test_split(size if size < 1 else int(size), seed=values.get("seed", 42))
    return splits


def _load_mixture(mixture: list[DatasetConfig], preferences: bool) -> DatasetDict:
    columns = list(PREFERENCE if preferences else TRAINING)
    for one in mixture:
        one.data_files = _literal(one.data_files)
        rows = _load(one.path, one.name, split=one.split, data_dir=one.data_dir, data_files=one.data_files)
        check_columns(rows, one.path, columns)
        one.columns = columns
    with explain_settings(ValueError):  # `fraction`, for some of the datasets alone
        return get_dataset(DatasetMixtureConfig(datasets=mixture))


def _literal(data_files: Any) -> Any:
    """Return ``data_files`` of a mixture with the paths of existing files escaped; others are patterns."""
    if isinstance(data_files, list):
        return [_literal(one) for one in data_files]
    if isinstance(data_files, dict):
        return {split: _literal(one) for split, one in data_files.items()}
    return as_pattern(data_files) if isinstance(data_files, str) and Path(data_files).is_file() else data_files


def _load_all(values: dict[str, Any]) -> DatasetDict:
    name = values["dataset_name"]
    path = Path(name)
    if path.suffix in FORMATS and not path.is_dir():
        return _load_file(path)
    if path.is_dir() and as_pattern(name) != name:
        raise InputError(
            _unreadable(
                name, "`datasets` takes the name of a folder for a pattern, and this one has one of * ? [ in it"
            )
        )
    return _load(name, values.get("dataset_config"))


def _load_named(values: dict[str, Any], preferences: bool) -> DatasetDict:
    name, found, splits = values["dataset_name"], _load_all(values), {}
    for split, wanted in (
        ("train", values.get("dataset_train_split", "train")),
        ("test", values.get("dataset_test_split", "test")),
    ):
        if wanted in found:
            splits[split] = found[wanted]
        elif split == "train":
            raise InputError(f"{name} has no split {wanted!r}; it has {list(found)}. Set dataset_train_split to one.")
    read = as_preferences if preferences else as_training_rows
    return DatasetDict({split: read(rows, name) for split, rows in splits.items()})


def _load_file(path: Path) -> DatasetDict:
    if not path.is_file():
        raise InputError(_unreadable(path, "there is no such file"))
    form = FORMATS[path.suffix]
    # A label of a CSV file, such as 007 or None, is still text.
    as_text = (
        {"converters": dict.fromkeys((*TRAINING, *PAIR, "input"), str), "keep_default_na": False}
        if form == "csv"
        else {}
    )
    return _load(form, data_files=as_pattern(path), **as_text)


def _load(path: str, *args: Any, **options: Any) -> Any:
    try:
        return load_dataset(path, *args, **options)
    except _UNREADABLE as error:
        reason = str(error.__cause__ or error).strip() or type(error).__name__
        name = options.get("data_files") or path
        raise InputError(_unreadable(name, f"{reason.splitlines()[0].rstrip('.')}")) from error


def _unreadable(name: object, reason: object) -> str:
    return (
        f"No rows can be read from {name}: {reason}. Name a {', '.join(FORMATS)} file, a folder of such files, or a "
        "Hub dataset that can be reached."
    )
