"""What every source of rows has: its name, its origin, and which of its rows are wanted."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.sources import embedded
from davidgen_hf.sources.hub import describe_dataset
from davidgen_hf.sources.licenses import refused_license
from davidgen_hf.sources.rows import Row, on_hub, read_rows

COMMIT = re.compile("[0-9a-f]{40}")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Source:
    """Names rows.

    Args:
        source: File, folder, SuperNI's official repository, Hub dataset id, or ``embedded`` for what comes with
            installed packages.
        config: Configuration of a Hub dataset; track of SuperNI's repository.
        split: Split of a Hub dataset or of SuperNI's repository.
        revision: Branch, tag or commit of a Hub dataset, which is read, and recorded, at its commit.
        language: Language (ISO 639-1) of rows that have no ``language`` or ``lang`` column.
        license: Licence (SPDX id) of rows that have no ``license`` column; a Hub dataset's card where this is not set.
        allowed_licenses: Licences that a row may have, or names of ``licenses.LICENSE_SETS`` (``permissive``,
            ``share-alike``); others are counted as skipped. None allows all.
        rows_per_task: Number of rows to take of each ``task_name`` (SuperNI); ``None`` takes all.
        max_rows: Number of rows to yield; ``None`` yields all.
        shuffle_seed: Take the rows of a Hub dataset in an order drawn by this seed, so that ``max_rows`` is a sample:
            files are shuffled, and rows within a buffer. ``None`` keeps the order.
        shuffle_buffer: Rows of that buffer, which are held in memory.

    Raises:
        SettingError: ``rows_per_task``, ``max_rows`` or ``shuffle_buffer`` is below 1, or the order of what is no Hub
            dataset is to be drawn.
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

    def __post_init__(self) -> None:
        for name in ("rows_per_task", "max_rows", "shuffle_buffer"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise SettingError(f"{name} must be at least 1, got {number}.")
        if self.shuffle_seed is not None and not on_hub(self.source):
            raise SettingError(
                f"shuffle_seed is for datasets of the Hub, and {self.source!r} is none. Shuffle the file, or leave "
                "shuffle_seed out."
            )

    def resolved(self) -> Self:
        """Return this source with the commit, and the card's licence where none is set, if it is a Hub dataset.

        One that has both already is not asked for again.

        Raises:
            InputError: The Hub cannot be reached, or has no such dataset or revision.
        """
        if not on_hub(self.source) or (COMMIT.fullmatch(self.revision or "") and self.license is not None):
            return self
        facts = describe_dataset(self.source, self.revision)
        return replace(self, revision=facts.commit, license=self.license or facts.license)

    def rows(self) -> Iterator[Row]:
        """Yield ``(place, row)`` for each row of the source, those beyond ``rows_per_task`` left out.

        SuperNI's copy on the Hub has a row for each output of an instance, of which the first is taken.

        Raises:
            InputError: The source cannot be read, or licences are demanded of one that names none.
        """
        taken: Counter[str] = Counter()
        last_instance, seen = None, set()
        shuffle = None if self.shuffle_seed is None else (self.shuffle_seed, self.shuffle_buffer)
        rows = read_rows(self.source, config=self.config, split=self.split, revision=self.revision, shuffle=shuffle)
        for number, (place, row) in enumerate(rows):
            if number == 0:
                self._check_license(row)
            if "task_name" in row:
                task, instance = row["task_name"], row.get("id") or place
                if taken[task] == self.rows_per_task or instance == last_instance or instance in seen:
                    continue
                if shuffle is not None:
                    seen.add(instance)
                taken[task] += 1
                last_instance = instance
            yield place, row

    def origin(self, row: dict) -> dict[str, str]:
        """Return where a row comes from, and its language: its own columns where it has them, else the source's."""
        page = f"https://huggingface.co/datasets/{self.source}" if on_hub(self.source) else ""
        known = {
            "source": Path(self.source).name if Path(self.source).exists() else self.source,
            "config": self.config or "",
            "revision": self.revision or "",
            "license": self.license or "",
            "url": row.get("source") if str(row.get("source")).startswith("https://") else page,
        }
        own = {column: row[column] for column in ("license", "url") if isinstance(row.get(column), str)}
        return {"language": str(row.get("language") or row.get("lang") or self.language)} | known | own

    def refuses(self, origin: dict[str, str]) -> str | None:
        """Return why a row of this origin is left out, or None where its licence is allowed."""
        return refused_license(origin["license"], self.allowed_licenses)

    def _check_license(self, row: dict) -> None:
        if self.allowed_licenses and not self.license and "license" not in row:
            raise InputError(
                f"{self.source} names no licence, neither in a column 'license' nor on a dataset card, and "
                f"allowed_licenses demands one of {list(self.allowed_licenses)}. Declare it with the setting license; "
                "for SuperNI, name the folder of the official repository, whose task files have theirs."
            )


@dataclass
class Skipped:
    """Rows that are left out: how many by reason, and the places of the first ones."""

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


def no_text(value: object) -> str | None:
    """Return why a value is no text: ``null``, ``not_text``, ``empty`` or ``lone_surrogate``; None where it is one."""
    if value is None:
        return "null"
    if not isinstance(value, str):
        return "not_text"
    if _LONE_SURROGATE.search(value):
        return "lone_surrogate"  # half a character, which JSON can hold and UTF-8 cannot
    return None if value.strip() else "empty"
