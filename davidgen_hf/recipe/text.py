"""From the name of a recipe to the text of its sections: what it extends, what it changes, then overrides."""

import os
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.storage.validation import brief
from davidgen_hf.storage.yaml_files import MAX_DEPTH, parse_yaml, read_config

FILES = {
    "seeds": "1_seeds.yaml",
    "generator": "2_generator.yaml",
    "corpus": "3_corpus.yaml",
    "follower": "4_follower.yaml",
    "evaluation": "5_evaluation.yaml",
    "provenance": "provenance.yaml",
}
OPTIONAL = ("provenance",)
EXTENSION = "recipe.yaml"  # of a folder that extends another recipe
EXTENDS = "extends"
COMMAND_LINE = "command line"


@dataclass
class RecipeText:
    """What the files of a recipe say, by section.

    Args:
        name: Name of the recipe: of its folder, or of its file without ``.yaml``.
        sections: Content by the keys of ``FILES``.
        origins: The file that each value comes from, by section and keys; a value without an entry comes from the file
            of the value around it.
    """

    name: str
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    origins: dict[tuple[str, ...], str] = field(default_factory=dict)

    def change(self, section: str, values: dict[str, Any], origin: str) -> None:
        """Merge the values of a file into a section, key by key.

        Lists are replaced, and so is a mapping by one that names a ``source``: the settings of one source mean nothing
        for another.
        """
        if section not in self.sections:
            self.sections[section] = {}
            self.origins[section,] = origin
        self._merge(self.sections[section], values, (section,), origin)

    def override(self, override: str) -> None:
        """Put the value of ``section.key=value`` in its place.

        Raises:
            SettingError: It has another form, its value is not YAML, or a list is not indexed by a number it has.
        """
        name, equals, value = override.partition("=")
        section, *keys = name.split(".")
        if not equals or section not in FILES or not keys or not all(keys) or len(keys) > MAX_DEPTH:
            raise SettingError(
                f"{brief(override)} is not an override. An override is section.key=value, where the section is one of "
                f"{list(FILES)}. Write it in this form."
            )
        place: Any = self.sections.setdefault(section, {})
        for key, following in pairwise(keys):
            found = place[_number(key, place, override)] if isinstance(place, list) else place.get(key)
            # Another source takes the place of a whole list of them.
            if not isinstance(found, dict) and not (isinstance(found, list) and following != "source"):
                found = {}
                place[_number(key, place, override) if isinstance(place, list) else key] = found
            place = found
        last = _number(keys[-1], place, override) if isinstance(place, list) else keys[-1]
        place[last] = parse_yaml(value, f"The value of {brief(name)}")
        self._came_from((section, *keys), COMMAND_LINE)

    def lines(self) -> list[tuple[str, str]]:
        """Return ``section.key=value`` for every value, as an override has it, and the file that it comes from."""
        return [
            (f"{'.'.join(keys)}={_in_one_line(value)}", self._origin(keys))
            for section in FILES
            for keys, value in _leaves(self.sections.get(section, {}), (section,))
        ]

    def _merge(self, old: dict[str, Any], new: dict[str, Any], keys: tuple[str, ...], origin: str) -> None:
        for key, value in new.items():
            if isinstance(value, dict) and isinstance(old.get(key), dict) and "source" not in value:
                self._merge(old[key], value, (*keys, key), origin)
            else:
                old[key] = deepcopy(value)
                self._came_from((*keys, key), origin)

    def _came_from(self, keys: tuple[str, ...], origin: str) -> None:
        inner = [other for other in self.origins if other[: len(keys)] == keys]
        for other in inner:
            del self.origins[other]
        self.origins[keys] = origin

    def _origin(self, keys: tuple[str, ...]) -> str:
        found = (self.origins.get(keys[:length]) for length in range(len(keys), 0, -1))
        return next(origin for origin in found if origin)


def read_text(name: str | Path, overrides: Iterable[str] | None = None) -> RecipeText:
    """Read the files of the recipe that another one extends, then its own, then overrides.

    Args:
        name: Folder of the files of ``FILES``; a folder with ``recipe.yaml``, or a YAML file, that names what it
            ``extends`` and holds the sections that differ; or the name of one that the package ships.
        overrides: As for ``RecipeText.override``.

    Raises:
        InputError: The folder or one of its files is absent or cannot be read.
        SettingError: A file is not YAML, what it extends leads back to it, or an override has another form.
    """
    text = _read(_find(str(name)), ())
    for override in overrides or ():
        text.override(override)
    return text


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with the package."""
    root = Path(str(files("davidgen_hf.recipes")))
    folders = {path.parent for name in (FILES["corpus"], EXTENSION) for path in root.rglob(name)}
    extending = {path for path in root.rglob("*.yaml") if path.name != EXTENSION and _extends(path)}
    return sorted(path.relative_to(root).as_posix() for path in folders | extending)


def _read(path: Path, before: tuple[Path, ...]) -> RecipeText:
    place = path.resolve()
    if place in before:
        chain = " extends ".join(map(str, (*before[before.index(place) :], place)))
        raise SettingError(f"A recipe extends itself: {chain}. One of them must have all sections. Remove `extends`.")
    named = path.parent if path.name == EXTENSION else path
    text = RecipeText(named.name.removesuffix(".yaml"))
    file = path if path.is_file() else path / EXTENSION
    if file.is_file():
        content = read_config(file)
        target = content.pop(EXTENDS, None)
        if not isinstance(target, str) or not all(isinstance(content.get(one, {}), dict) for one in FILES):
            raise SettingError(
                f"{file}: `{EXTENDS}` must be the path or name of another recipe, and each section a mapping. Write "
                f"`{EXTENDS}: PATH`, and under the names of sections what differs."
            )
        if unknown := sorted(content.keys() - FILES.keys()):
            raise SettingError(f"{file}: unknown section(s) {unknown}. Name sections of {[EXTENDS, *FILES]}.")
        name, text = text.name, _read(_find(target, file.parent), (*before, place))
        text.name = name
        for section, values in content.items():
            text.change(section, values or {}, str(file))
    for section, name in FILES.items():
        if (path / name).is_file() or (not file.is_file() and section not in OPTIONAL):
            text.change(section, read_config(path / name), str(path / name))
    return text


def _find(name: str, start: Path = Path()) -> Path:
    """Return the folder or file of a recipe, from a path relative to ``start`` or the name of a shipped one."""
    for path in (start / name, Path(str(files("davidgen_hf.recipes") / name))):
        if os.path.isdir(path):  # unlike Path.is_dir, also for names that are too long to exist
            needed = [file for section, file in FILES.items() if section not in OPTIONAL]
            missing = [file for file in needed if not (path / file).is_file()]
            if missing and not (path / EXTENSION).is_file():
                raise InputError(
                    f"{path} is not a recipe: it lacks {missing}. A recipe holds {needed}, or {EXTENSION} with the "
                    "recipe that it extends."
                )
            return path
        if name.endswith(".yaml") and os.path.isfile(path):
            return path
    shipped = [one for one in shipped_recipes() if "/" not in one]
    raise InputError(
        f"There is no recipe folder {brief(name)}. Give the path of one, or the name of one that comes with the "
        f"package: {shipped}; `davidgen recipe list` shows all."
    )


def _extends(file: Path) -> bool:
    return any(line.startswith(f"{EXTENDS}:") for line in file.read_text("utf-8").splitlines())


def _leaves(value: Any, keys: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        return [leaf for key, one in value.items() for leaf in _leaves(one, (*keys, key))]
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return [leaf for number, one in enumerate(value) for leaf in _leaves(one, (*keys, str(number)))]
    return [] if len(keys) == 1 else [(keys, value)]


def _in_one_line(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")


def _number(key: str, found: list[Any], override: str) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) <= len(str(len(found))) and int(key) < len(found)):
        raise SettingError(
            f"{brief(override)}: there is a list of {len(found)} there. Say which is meant with a number from 0 to "
            f"{len(found) - 1} in place of {brief(key)}, and go on from there."
        )
    return int(key)
