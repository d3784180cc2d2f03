"""Datasets on the Hub: their commits, licenses and cards, and their rows as a stream."""

import contextlib
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow
from datasets import ClassLabel, IterableDataset, load_dataset
from datasets.exceptions import DatasetsError
from huggingface_hub import CardData, HfApi, hf_hub_download
from huggingface_hub.errors import HFValidationError, HTTPError  # type: ignore[attr-defined]  # HTTPError is httpx's

from davidgen_hf.errors import InputError
from davidgen_hf.schema import Row
from davidgen_hf.sources.models import ADAPTER_FILE, read_adapter
from davidgen_hf.sources.values import reads


def _stream_errors() -> tuple[type[Exception], ...]:
    """Return what the readers of a dozen formats, decompression and the network raise in the middle of a stream."""
    from aiohttp import ClientError  # takes a tenth of a second, and a recipe only names its sources

    return (
        *(DatasetsError, pyarrow.ArrowException, HTTPError, ClientError, OSError, EOFError, struct.error),
        *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
        *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError),
    )


@dataclass(frozen=True)
class HubFacts:
    """What the Hub says about a dataset: commit, card, and the license on the card, ``""`` if there is none."""

    commit: str
    license: str
    card: CardData | None


def describe_dataset(dataset: str, revision: str | None = None) -> HubFacts:
    """Return the commit of a branch or tag, by default the main branch, and the license on the card.

    Several licenses on one card are joined by commas.

    Raises:
        InputError: The Hub cannot be reached, or has no such dataset or revision.
    """
    try:
        found = HfApi().dataset_info(dataset, revision=revision)
    except (HTTPError, OSError, HFValidationError) as error:
        raise _unopened(dataset, error) from error
    licenses = (found.card_data.license if found.card_data else None) or []
    license = ", ".join([licenses] if isinstance(licenses, str) else licenses)
    return HubFacts(found.sha or "", license, found.card_data)


def model_cards(model: str, revision: str | None = None, *, longest_line: int = 8) -> dict[str, CardData]:
    """Return the metadata of a model's card, and of the cards of its base models, by id.

    Models without a card, and models that the Hub does not have or that cannot be reached, are left out.
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
) -> Iterator[Row]:
    """Stream the rows of a split.

    Sounds and pictures are not decoded, and class labels are replaced by their names.

    Args:
        dataset: Id of the dataset.
        config: Its configuration.
        split: Its split.
        revision: Branch, tag or commit.
        shuffle: Seed, and buffer size in rows; None keeps the order.
        columns: Names of the columns to read, if the dataset declares its columns; the others are None. None reads
            every column that may hold text.

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
    except _stream_errors() as error:
        if not done:
            raise _unopened(dataset, error) from error
        raise InputError(
            f"{dataset} could be read up to row {done} of its split {split}, and no further: {error}. All rows must "
            "be readable. Run the same command again, which keeps what is finished, or take fewer rows with max_rows."
        ) from error


def _open(
    dataset: str, config: str | None, split: str, revision: str | None, columns: Collection[str] | None
) -> tuple[IterableDataset, list[str]]:
    """Return a stream of the columns to read, and the names of all columns, which are empty if not declared."""
    options = {"path": dataset, "name": config, "split": split, "revision": revision, "streaming": True}
    rows = load_dataset(**options)
    if rows.features is None:
        return rows, []
    names = list(rows.features)
    types = rows.features.arrow_schema
    read = [name for name in names if reads(types.field(name).type, name, columns)]
    if rows.info.builder_name == "parquet" and read:  # other columns are then not even downloaded
        rows = load_dataset(**options, columns=read)
    return rows.decode(False).select_columns(read), names


def _label(feature: ClassLabel, value: object) -> str | None:
    return feature.int2str(value) if isinstance(value, int) and 0 <= value < feature.num_classes else None


def _unopened(dataset: str, error: Exception) -> InputError:
    return InputError(
        f"There is no local path {dataset!r}, and no dataset of that id could be opened on the Hub: {error} Name a "
        "file, a folder, or a dataset that you can reach; a gated one needs HF_TOKEN or `hf auth login`."
    )
