"""Module names of version 0.1 that moved into folders: they import the new module, for one release."""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

MOVED = {
    "builder": "publish.builder",
    "cards": "publish.cards",
    "executors": "corpus.executors",
    "export": "publish.export",
    "files": "storage.files",
    "folders": "storage.digests",
    "hub": "publish.hub",
    "identity": "corpus.identity",
    "lock": "storage.lock",
    "near_duplicates": "processors.near_duplicates",
    "record": "storage.record",
    "sentences": "sources.sentences",
    "shards": "storage.shards",
    "summary": "run.summary",
}


class _Moved(MetaPathFinder, Loader):
    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, module = name.partition(".")
        return spec_from_loader(name, self) if package == __package__ and module in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = f"{__package__}.{MOVED[spec.name.partition('.')[2]]}"
        warnings.warn(f"{spec.name} has moved to {new}.", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        self._specs[module.__name__] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module, which has been executed under its new name, its own spec back."""
        module.__spec__ = self._specs[module.__name__]


def install() -> None:
    """Let the old names be imported."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
