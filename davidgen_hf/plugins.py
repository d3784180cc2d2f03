"""What other packages add: strategies, methods, engines and more that they declare as entry points."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import Any

from davidgen_hf.errors import SettingError

GROUPS = ("strategies", "guards", "processors", "methods", "engines", "sources", "benchmarks")
_NAME = re.compile("[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Plugin:
    """An entry point of an installed package.

    Args:
        group: Group of the entry point without ``davidgen.``, such as ``strategies``.
        name: The name that a recipe gives.
        value: What it stands for, as ``module:Class``.
        package: ``name==version`` of the package that declares it.
    """

    group: str
    name: str
    value: str
    package: str


class Table(Mapping[str, str]):
    """What a recipe can name in one place, as ``module:Class``: what davidgen_hf ships, then plugins.

    An entry is imported when it is loaded, so that a plugin that is broken affects only who names it.

    Args:
        group: Plugins are found as entry points of ``davidgen.GROUP``.
        shipped: Names and ``module:Class`` of what davidgen_hf ships.
        check: Called with the name and the object of a plugin; raises ``SettingError`` if it is not of the right kind.
        reserved: Names that a plugin cannot have, because they mean something else in the same place.
    """

    def __init__(
        self,
        group: str,
        shipped: Mapping[str, str],
        check: Callable[[str, Any], None],
        reserved: tuple[str, ...] = (),
    ) -> None:
        self.group = group
        self.shipped = shipped
        self._check = check
        self._reserved = reserved

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The plugins of this group, those whose names are taken too."""
        return _found(self.group)

    def plugin(self, name: str) -> Plugin | None:
        """Return the plugin that adds a name; None if davidgen_hf ships it, or there is none."""
        return None if name in self.shipped else next((one for one in self.plugins if one.name == name), None)

    def load(self, name: str) -> Any:
        """Return the object of a name.

        Raises:
            SettingError: The name is taken, or its plugin cannot be imported or is not of the right kind.
        """
        owners = [one for one in self.plugins if one.name == name]
        if name in self.shipped and not owners:
            return load_object(self.shipped[name])
        where = f"{name!r} of the group davidgen.{self.group}"
        claimed = [f"{one.package} ({one.value})" for one in owners]
        if name in (*self.shipped, *self._reserved):
            claimed.insert(0, "davidgen_hf")
        if len(claimed) > 1:
            raise SettingError(
                f"{' and '.join(claimed)} both claim the name {where}. A name must belong to one package. Uninstall "
                "the package that you do not need, or ask its authors for another name."
            )
        if not _NAME.fullmatch(name):
            raise SettingError(
                f"{claimed[0]} adds {where}. A name must consist of lowercase letters, digits and underscores. Ask "
                "its authors for another name, or uninstall it."
            )
        try:
            found = resolve_name(owners[0].value)
        except Exception as error:  # an import runs the code of others, which may raise anything
            raise SettingError(
                f"{claimed[0]} adds {where}, which cannot be imported: {type(error).__name__}: {error}. Its entry "
                "point must name something that exists. Update the package, install what it needs, or uninstall it."
            ) from error
        try:
            self._check(name, found)
        except SettingError as error:
            raise SettingError(f"{claimed[0]} adds {where}, which cannot be used. {error}") from error
        return found

    def __getitem__(self, name: str) -> str:
        plugin = self.plugin(name)
        return plugin.value if plugin else self.shipped[name]

    def __iter__(self) -> Iterator[str]:
        usable = (one.name for one in self.plugins if one.name not in self._reserved and _NAME.fullmatch(one.name))
        return iter(dict.fromkeys((*self.shipped, *usable)))

    def __contains__(self, name: object) -> bool:
        return any(name == one for one in self)

    def __len__(self) -> int:
        return len(tuple(iter(self)))


def load_object(name: str) -> Any:
    """Import ``package.module:Class``.

    Raises:
        SettingError: The module or class does not exist.
    """
    try:
        if ":" not in name:
            raise ValueError("it names no module")
        return resolve_name(name)
    except (ImportError, AttributeError, SyntaxError, TypeError, ValueError) as error:
        raise SettingError(
            f"{name} cannot be imported: {error}. A step of your own is named package.module:Class. Install its "
            "package in this environment, or set PYTHONPATH to its folder."
        ) from error


def packages() -> dict[str, str]:
    """Return the versions of the packages that have plugins, by name."""
    found = sorted({one.package for group in GROUPS for one in _found(group)})
    return {name: version for name, _, version in (one.partition("==") for one in found)}


_installed = cache(entry_points)  # reads the metadata of every installed package


@cache
def _found(group: str) -> tuple[Plugin, ...]:
    found = [(one, one.dist) for one in _installed().select(group=f"davidgen.{group}")]
    plugins = [Plugin(group, one.name, one.value, f"{of.name}=={of.version}") for one, of in found if of]
    return tuple(sorted(plugins, key=lambda one: (one.name, one.package)))
