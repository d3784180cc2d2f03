"""Sources of rows: their names, their origin, and which of their rows are used."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Self

from pydantic import Discriminator

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.schema import Row
from davidgen_hf.sources import embedded
from davidgen_hf.sources.hub import describe_dataset
from davidgen_hf.sources.licenses import refused_license
from davidgen_hf.sources.lines import has_lone_surrogate
from davidgen_hf.sources.paths import name_of
from davidgen_hf.sources.rows import PlacedRow, on_hub, package_of, read_rows
from davidgen_hf.storage.settings import check_settings

COMMIT = re.compile("[0-9a-f]{40}")
_FOLD = re.compile("[0-9]{1,4}/[0-9]{1,4}")
# One source or a list, decided before either is read, so that an error refers to the form the user meant.
ONE_OR_MORE = Discriminator(lambda given: "More" if isinstance(given, list | tuple) else "One")
ORIGIN_COLUMNS = ("license", "url", "source", "language", "lang")
# The columns of SuperNI's copy on the Hub. A column called `task_name` alone does not make rows SuperNI's.
SUPERNI_COLUMNS = frozenset(("task_name", "id", "definition", "inputs", "targets"))


@dataclass(frozen=True)
class Source:
    """Names a source of rows.

    Args:
        source: File, folder, SuperNI's official repository, Hub dataset id, a plugin's name, or ``embedded`` for the
            data of installed packages.
        config: Configuration of a Hub dataset; track of SuperNI's repository.
        split: Split of a Hub dataset or of SuperNI's repository.
        revision: Branch, tag or commit of a Hub dataset, which is read and recorded at its commit; of a plugin's
            source, ``package==version``.
        language: Language (ISO 639-1) of rows that have no ``language`` or ``lang`` column.
        license: License (SPDX id) of rows that have no ``license`` column; by default that of a Hub dataset's card.
        allowed_licenses: Licenses that a row may have, or names of ``sets`` in ``licenses.yaml``
            (``permissive``, ``share-alike``); other rows are counted as skipped. None allows all.
        rows_per_task: Number of rows to take from each ``task_name`` (SuperNI); ``None`` takes all.
        max_rows: Number of rows to yield; ``None`` yields all.
        shuffle_seed: Use this seed to draw ``max_rows`` rows at random. A Hub dataset is shuffled while it is
            streamed: its files, and its rows within a buffer. Local files are read to their end, and each row has
            the same chance; ``max_rows`` rows are held in memory. ``None`` keeps the order.
        shuffle_buffer: Size of that buffer in rows, which are held in memory.
        fold: Use one of n disjoint parts of the rows: ``0/2`` and ``1/2`` are the two halves. A hash of a row's id, or
            of its place if it has no id, decides; so seeds and passages from one dataset can be kept apart.

    Raises:
        SettingError: A setting has the wrong type; ``rows_per_task``, ``max_rows`` or ``shuffle_buffer`` is below 1;
            ``shuffle_seed`` is set for local files without ``max_rows``; or ``fold`` is not i/n with i below n.
    """

    source: str = embedded.EMBEDDED
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    language: str = "en"
    license: str | None = None
    allowed_licenses: tuple[str, ...] = ()
    rows_per_task: int | None = None
    max_rows: int | None = None
    shuffle_seed: int | None = None
    shuffle_buffer: int = 10_000
    fold: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", os.fspath(self.source) if isinstance(self.source, Path) else self.source)
        check_settings(self)
        for name in ("rows_per_task", "max_rows", "shuffle_buffer"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise SettingError(f"{name} must be at least 1, got {number}.")
        if self.shuffle_seed is not None and self.max_rows is None and not on_hub(self.source):
            raise SettingError(
                f"shuffle_seed is set without max_rows, and {self.source!r} is not a Hub dataset. Of local files, a "
                "sample of max_rows rows is drawn. Set max_rows, or leave shuffle_seed out."
            )
        if self.fold is not None and not _FOLD.fullmatch(self.fold):
            raise SettingError(
                f"fold is {self.fold!r}. It must be i/n, with n up to 9999. Use 0/2 and 1/2 for two halves."
            )
        if self._fold[0] >= self._fold[1]:
            raise SettingError(f"fold is {self.fold}. Its first number counts from 0. Use one from 0 to n - 1.")

    def resolved(self) -> Self:
        """Return this source with its commit, and its card's license unless one is set, if it is a Hub dataset.

        The Hub is not called if both are known. A plugin's source has the version of its package as its commit.

        Raises:
            InputError: The Hub cannot be reached, or has no such dataset or revision.
        """
        if not on_hub(self.source) or (COMMIT.fullmatch(self.revision or "") and self.license is not None):
            package = package_of(self.source)
            return replace(self, revision=package) if package and self.revision is None else self
        facts = describe_dataset(self.source, self.revision)
        return replace(self, revision=facts.commit, license=self.license or facts.license)

    def rows(self, skipped: "Skipped | None" = None) -> Iterator[PlacedRow]:
        """Yield ``(place, row)`` for each row of the source, up to ``rows_per_task`` for each task.

        SuperNI's copy on the Hub has a row for each output of an instance; only the first is used.

        Args:
            skipped: Counts the rows that are left out.

        Raises:
            InputError: The source cannot be read, or it names no license and ``allowed_licenses`` requires one.
        """
        skipped = Skipped() if skipped is None else skipped
        taken: Counter[str] = Counter()
        seen: set[str] = set()
        index, count = self._fold
        for number, (place, row) in enumerate(self.read(self.columns_read())):
            if number == 0:
                self._check_license(row)
            if count > 1 and _hash(identity_of(row, place)) % count != index:
                skipped.add("other_fold", place)
                continue
            task = row.get("task_name")
            if isinstance(task, str):
                instance = row["id"] if row.keys() >= SUPERNI_COLUMNS and isinstance(row["id"], str) else None
                if instance in seen or taken[task] == self.rows_per_task:
                    skipped.add("further_output" if instance in seen else "beyond_rows_per_task", place)
                    continue
                if instance is not None:
                    # The outputs of an instance follow each other, unless the rows are shuffled.
                    seen = set() if self.shuffle_seed is None else seen
                    seen.add(instance)
                taken[task] += 1
            yield place, row

    def read(self, columns: Collection[str] | None) -> Iterator[PlacedRow]:
        """Yield ``(place, row)`` for each row there is, with the columns that are named, as ``read_rows``.

        Raises:
            InputError: The source cannot be read.
        """
        shuffle = None if self.shuffle_seed is None else (self.shuffle_seed, self.shuffle_buffer)
        return read_rows(
            self.source,
            config=self.config,
            split=self.split,
            revision=self.revision,
            shuffle=shuffle if on_hub(self.source) else None,
            columns=columns,
        )

    def draw(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield up to ``max_rows`` of the rows: the first, or of local files with ``shuffle_seed`` a random sample."""
        if self.shuffle_seed is None or self.max_rows is None or on_hub(self.source):
            yield from islice(rows, self.max_rows)
            return
        numbers = Random(self.shuffle_seed)
        held: list[Row] = []
        for number, row in enumerate(rows):
            if number < self.max_rows:
                held.append(row)
            elif (place := numbers.randrange(number + 1)) < self.max_rows:  # Vitter's algorithm R
                held[place] = row
        numbers.shuffle(held)
        yield from held

    @property
    def _fold(self) -> tuple[int, int]:
        index, _, count = (self.fold or "0/1").partition("/")
        return int(index), int(count)

    def columns_read(self) -> frozenset[str] | None:
        """Return the names of the columns to read; None means every column that may hold text."""
        return None

    def origin(self, row: Row) -> dict[str, str]:
        """Return where a row comes from, and its language: from its own columns if they hold text, or the source's."""
        name, page = _known_as(self.source)
        texts = {name: value for name in ORIGIN_COLUMNS if isinstance(value := row.get(name), str)}
        address = texts.get("source", "")
        return {
            "language": texts.get("language") or texts.get("lang") or self.language,
            "source": name,
            "config": self.config or "",
            "revision": self.revision or "",
            "license": texts.get("license", self.license or ""),
            "url": texts.get("url", address if address.startswith("https://") else page),
        }

    def refuses(self, row: Row) -> str | None:
        """Return why a finished row is left out: half a character in a text, or its license; None if it is not."""
        if any(isinstance(value, str) and has_lone_surrogate(value) for value in row.values()):
            return "lone_surrogate"
        return refused_license(row["license"], self.allowed_licenses)

    def _check_license(self, row: Row) -> None:
        if self.allowed_licenses and not self.license and "license" not in row:
            raise InputError(
                f"{self.source} names no license, neither in a column 'license' nor on a dataset card. "
                f"allowed_licenses requires one of {list(self.allowed_licenses)}. Declare it with the setting license"
                "; for SuperNI, name the folder of the official repository, whose task files have licenses."
            )


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


@lru_cache  # it looks at the disk, and is called for every row
def _known_as(source: str) -> tuple[str, str]:
    """Return the name of a source in its rows, and the address of its page on the Hub."""
    return name_of(source), f"https://huggingface.co/datasets/{source}" if on_hub(source) else ""


@dataclass
class Skipped:
    """Rows that were left out: their number by reason, and the places of the first ones."""

    counts: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, place: str, *, shown: int = 5) -> None:
        """Count one row; the first ``shown`` places of each reason are kept."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if len(places := self.places.setdefault(reason, [])) < shown:
            places.append(place)


def whole_document(identity: str, text: str) -> dict[str, str | int]:
    """Return the place of a passage that is a whole document, as columns of ``schema.PASSAGE``."""
    return {"document": identity, "document_start": 0, "document_end": len(text)}


def identity_of(row: Row, place: str) -> str:
    """Return a row's own id, or its place if it has no id or one that is a list or record."""
    identity = row.get("id")
    return str(identity) if identity and not isinstance(identity, dict | list | tuple) else place


def no_text(value: object) -> str | None:
    """Return why a value is not a text: ``null``, ``not_text``, ``empty`` or ``lone_surrogate``; None if it is one."""
    if value is None:
        return "null"
    if not isinstance(value, str):
        return "not_text"
    if has_lone_surrogate(value):
        return "lone_surrogate"
    return None if value.strip() else "empty"


def check_names(setting: str, sources: Sequence[Source]) -> None:
    """Refuse an empty list of sources, and sources that records could not tell apart.

    Raises:
        SettingError: The list is empty, or two have the same name and configuration.
    """
    names = [(name_of(one.source), one.config) for one in sources]
    if not names or len(set(names)) < len(names):
        raise SettingError(
            f"{setting} has the sources {[name for name, _ in names]}. It needs one or more sources with different "
            "names, since rows and records name a file without its folder. Rename one."
        )
