"""What is known of data sets, models, licences and hosts: the YAML files of this folder, read when first needed."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from fnmatch import fnmatchcase, translate
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Words = Annotated[str, Field(min_length=3, pattern=r"^\S")]
Ids = Annotated[tuple[Annotated[str, Field(pattern=r"^\S+$")], ...], Field(min_length=1)]
Address = Annotated[str, Field(pattern=r"^https://\S+$")]
Licenses = tuple[Annotated[str, Field(pattern=r"^[a-z0-9.+-]+$")], ...]


class Strict(BaseModel):
    """A part of a table: a key that is misspelled is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KnownFile(Strict):
    """A file that is known by its content: ``sha256`` with ``bytes``, or the name that git gives to the content."""

    bytes: int | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    git_sha1: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.sha256 is None) == (self.git_sha1 is None) or (self.sha256 is None) != (self.bytes is None):
            raise ValueError("a file needs sha256 and bytes, or git_sha1")
        return self


class Entry(Strict):
    """What entries on data sets and on models have in common; ``datasets.yaml`` explains the fields."""

    name: Annotated[str, Field(min_length=2)]
    ids: Ids
    because: Words | None = None
    license_declared: str | None
    license_concluded: str | None
    source: Address
    verified_by: Words | None
    verified_on: date | None

    @model_validator(mode="after")
    def _verified(self) -> Self:
        if (self.verified_by is None) != (self.verified_on is None):
            raise ValueError("verified_by and verified_on belong together")
        return self


class KnownDataset(Entry):
    """A data set of which it is known who wrote it, or that its makers do not say."""

    words: tuple[str, ...] = ()
    files: tuple[KnownFile, ...] = ()
    written_by: Words
    use: Literal["clean", "restricted", "unknown"]

    @model_validator(mode="after")
    def _has_reason(self) -> Self:
        if (self.use == "restricted") != (self.because is not None):
            raise ValueError("because is for restricted data sets, and required of them")
        if self.use == "clean" and self.verified_on is None:
            raise ValueError("nothing is clean before someone has read its source")
        return self


class KnownModel(Entry):
    """A model of which it is known what it was trained on, as far as that is published."""

    base: str | None = None
    data: tuple[str, ...] = ()
    text: Words | None = None
    gap: Words | None = None
    outputs: Words | None = None

    @model_validator(mode="after")
    def _has_lineage(self) -> Self:
        if not (self.base or self.data or self.text or self.gap):
            raise ValueError("base, data, text or gap must say what it was trained on")
        return self


class KnownHost(Strict):
    """A host that answers with models whose weights are not published."""

    host: str
    answers_with: Words


class LicenseClass(Strict):
    """Licences that require the same of who passes on adapted text."""

    about: Words
    licenses: Licenses


class Either(Strict):
    """Licences of which a text may be used under any, and the one that is taken."""

    of: Licenses
    take: str


class Composition(Strict):
    """The licence of the whole by the classes that decide; ``same`` is the one that they have in common."""

    of: tuple[str, ...]
    license: str | None
    reason: Words


class LicenseSet(Strict):
    """Licences that a recipe may allow under one name."""

    about: Words
    classes: tuple[str, ...]
    licenses: Licenses


class LicenseTable(Strict):
    """``licenses.yaml``, which explains the fields."""

    classes: dict[str, LicenseClass]
    either: tuple[Either, ...]
    silent_on_output: tuple[str, ...]
    yielding: tuple[str, ...]
    composed: tuple[Composition, ...]
    spellings: dict[str, str]
    sets: dict[str, LicenseSet]

    @model_validator(mode="after")
    def _classes_exist(self) -> Self:
        named = [*self.silent_on_output, *self.yielding, *(one for row in self.composed for one in row.of)]
        named += [one for entry in self.sets.values() for one in entry.classes]
        if wrong := sorted(set(named) - self.classes.keys()):
            raise ValueError(f"{wrong} are not among the classes {sorted(self.classes)}")
        return self


AnyEntry = TypeVar("AnyEntry", KnownDataset, KnownModel)


class Table(Generic[AnyEntry]):
    """Entries that are found by an id; the first one whose pattern fits counts, and an id as such before a pattern."""

    def __init__(self, entries: Sequence[AnyEntry]) -> None:
        self.entries: tuple[AnyEntry, ...] = tuple(entries)
        self._exact: dict[str, AnyEntry] = {}
        self._patterns: list[tuple[re.Pattern[str], AnyEntry]] = []
        for entry in entries:
            for one in (pattern.lower() for pattern in entry.ids):
                if "*" in one:
                    self._patterns.append((re.compile(translate(one)), entry))
                else:
                    self._exact.setdefault(one, entry)

    def find(self, identity: str) -> AnyEntry | None:
        """Return the entry of an id of the Hub or a package, in upper or lower case; None if there is none."""
        wanted = identity.lower()
        found = self._exact.get(wanted)
        return found or next((entry for pattern, entry in self._patterns if pattern.match(wanted)), None)

    def find_copy(self, name: str) -> AnyEntry | None:
        """Return the first entry that a file or folder is named after; a copy of ``org/name`` is called ``name``."""
        return next(self.copied(name), None)

    def copied(self, name: str) -> Iterator[AnyEntry]:
        """Yield the entries that a file, folder or copy is named after."""
        names = {name.lower(), name.lower().partition(".")[0]}
        for entry in self.entries:
            tails = [pattern.lower().rpartition("/")[2] for pattern in entry.ids if "/" in pattern]
            if any(fnmatchcase(one, tail) for one in names for tail in tails):
                yield entry


@cache
def datasets() -> Table[KnownDataset]:
    """Return what is known of data sets."""
    content = _read("datasets")
    terms = content["terms"]
    return Table([KnownDataset(**_filled(entry, terms)) for entry in content["entries"]])


@cache
def models() -> Table[KnownModel]:
    """Return what is known of models."""
    return Table([KnownModel(**entry) for entry in _read("models")["entries"]])


@cache
def licenses() -> LicenseTable:
    """Return what is known of licences."""
    return LicenseTable(**_read("licenses"))


@cache
def closed_hosts() -> dict[str, str]:
    """Return the hosts that answer with models whose weights are not published: pattern of the name, and what."""
    hosts = [KnownHost(**entry) for entry in _read("hosts")["entries"]]
    return {one.host: one.answers_with for one in hosts}


def _filled(entry: dict[str, Any], terms: dict[str, str]) -> dict[str, Any]:
    because = entry.get("because")
    return entry | {"because": because.format_map(terms)} if isinstance(because, str) else entry


def _read(name: str) -> Any:
    text = (files("davidgen_hf.provenance") / f"{name}.yaml").read_text("utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
