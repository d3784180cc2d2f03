"""The folder of one stage: which of its shards are finished and may stay."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from davidgen_hf.corpus.identity import shard_identity
from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.shards import read_metadata, shard_paths

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageFolder:
    """The finished shards of one stage, and which of them may stay.

    Args:
        folder: The stage's folder.
        stage: Hash of the stage's settings, models and versions.
        update: As in ``build_corpus``.
    """

    folder: Path
    stage: str
    update: bool

    def identity(self, inputs: Iterable[str]) -> str:
        """Return the identity that a shard must have that is built from ``inputs``."""
        return shard_identity(self.stage, inputs)

    def has(self, path: Path, identity: str) -> bool:
        """Whether a shard exists, is complete, and was built from the right inputs; a damaged one is deleted.

        Raises:
            RunFolderError: It is complete but was built from something else, and ``update`` is not set.
        """
        if not path.exists():
            return False
        try:
            found = read_metadata(path).identity
        except RunFolderError:
            logger.warning("%s is damaged; it will be rebuilt.", path)
            path.unlink()
            return False
        if found == identity or self.update:
            return found == identity
        raise RunFolderError(
            f"{path} was built from other settings, models or passages than this run's, or by another version of its "
            "step. Nothing was changed. Name another folder with --output, or add --update, which keeps the shards "
            "that fit and rebuilds the others."
        )


def keep_only(folder: Path, names: set[str]) -> None:
    """Delete the shards of other names, left from more passages than there are now."""
    for path in shard_paths(folder):
        if path.name not in names:
            path.unlink()
