"""Datasets on the Hub: which commit is read, under which licence, and its rows as a stream."""

import contextlib
import lzma
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow
from datasets import ClassLabel, IterableDataset, load_dataset
from datasets.exceptions import DatasetsError
from huggingface_hub import CardData, HfApi, hf_hub_download
from huggingface_hub.errors import HFValidationError, HTTPError

from davidgen_hf.errors import InputError
from davidgen_hf.sources.models import ADAPTER_FILE, read_adapter
from davidgen_hf.sources.values import reads

# What the readers of a dozen formats, decompression and the network raise in the middle of a stream.
_STREAM_ERRORS = (
    *(DatasetsError, pyarrow.ArrowException, HTTPError, OSError, EOFError, zlib.error, lzma.LZMAError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError),
)


@dataclass(frozen=True)
class HubFacts:
    """What the Hub says of a dataset: the commit, the card, and the licence on it, ``""`` where there is none."""

    commit: str
    license: str
    card: CardData | None


def describe_dataset(dataset: str, revision: str | None = None) -> HubFacts:
    """Resolve a branch or tag, the main branch by default, to its commit, and read the licence off the card.

    Several licences on one card are joined by commas.

    Raises:
        InputError: The Hub cannot be reached, or has no such dataset or revision.
    """
    try:
        found = HfApi().dataset_info(dataset, revision=revision)
    except (HTTPError, OSError, HFValidationError) as error:
        raise _unopened(dataset, error) from error
    licenses = (found.card_data.license if found.card_data else None) or []
    license = ", ".join([licenses] if isinstance(licenses, str) else licenses)
    return HubFacts(found.sha, license, found.card_data)


def model_cards(model: str, revision: str | None = None, *, longest_line: int = 8) -> dict[str, CardData]:
    """Return the metadata of a model's card and of those that its ``base_model`` leads to, by id.

    What cannot be had, for there is no card, no network or no such model, is left out: it stays unknown.
    """
    found: dict[str, CardData] = {}
    waiting = [(model, revision)]
    while waiting and len(found) < longest_line:
        name, commit = waiting.pop(0)
        with contextlib.suppress(HTTPError, OSError, HFValidationError):
            card = HfApi().model_info(name, revision=commit).card_data
            if card is not None:
                found[name] = card
                bases = card.get("base_model")
                texts = [one for one in (bases if isinstance(bases, list) else [bases]) if isinstance(one, str)]
                waiting += [(one, None) for one in texts if one not in found]
    return found


def adapter_base(model: str, revision: str | None = None) -> str | None:
    """Return the base model that a Hub adapter names; None for a whole model, and if the Hub cannot be reached.

    Raises:
        ModelError: The adapter's configuration is damaged.
    """
    with contextlib.suppress(HTTPError, OSError, HFValidationError):
        file = hf_hub_download(model, ADAPTER_FILE, revision=revision)
        adapter = read_adapter(Path(file).parent)
        return adapter.base_model_name_or_path if adapter else None
    return None


def read_dataset(  # noqa: PLR0913, PLR0917 - which rows; in which order; which columns
    dataset: str,
    config: str | None,
    split: str,
    revision: str | None,
    shuffle: tuple[int, int] | None = None,
    columns: Collection[str] | None = None,
) -> Iterator[dict]:
    """Stream the rows of a split.

    Sounds and pictures are not decoded, and class labels are read by their names.

    Args:
        dataset: Id of the dataset.
        config: Its configuration.
        split: Its split.
        revision: Branch, tag or commit.
        shuffle: Seed, and buffer in rows, with which it is shuffled.
        columns: Names of the columns to read, where the dataset declares its columns; the others are None. None reads
            all that may hold text.

    Raises:
        InputError: The Hub cannot be reached, has no such dataset, configuration, split or revision, or the stream
            breaks.
    """
    done = 0
    try:
        rows, names = _open(dataset, config, split, revision, columns)
        if shuffle is not None:
            rows = rows.shuffle(seed=shuffle[0], buffer_size=shuffle[1])
        labels = {name: one for name, one in (rows.features or {}).items() if isinstance(one, ClassLabel)}
        for row in rows:
            named = {name: _label(one, row.get(name)) for name, one in labels.items()}
            yield dict.fromkeys(names) | row | named
            done += 1
    except _STREAM_ERRORS as error:
        if not done:
            raise _unopened(dataset, error) from error
        raise InputError(
            f"{dataset} could be read up to row {done} of its split {split}, and no further: {error}. All rows must "
            "be readable. Run the same command again, which keeps what is finished, or take fewer rows with max_rows."
        ) from error


def _open(
    dataset: str, config: str | None, split: str, revision: str | None, columns: Collection[str] | None
) -> tuple[IterableDataset, list[str]]:
    """Return a stream of the columns that are needed, and the names of all columns, as far as they are declared."""
    asked = {"path": dataset, "name": config, "split": split, "revision": revision, "streaming": True}
    rows = load_dataset(**asked)
    if rows.features is None:
        return rows, []
    names = list(rows.features)
    types = rows.features.arrow_schema
    read = [name for name in names if reads(types.field(name).type, name, columns)]
    if rows.info.builder_name == "parquet" and read:  # other columns are then not even downloaded
        rows = load_dataset(**asked, columns=read)
    return rows.decode(False).select_columns(read), names


def _label(feature: ClassLabel, value: object) -> str | None:
    return feature.int2str(value) if isinstance(value, int) and 0 <= value < feature.num_classes else None


def _unopened(dataset: str, error: Exception) -> InputError:
    return InputError(
        f"There is no local path {dataset!r}, and no dataset of that id could be opened on the Hub: {error}"
    )
