"""Pictures that lie in a run's folder, for its cards to show."""

from collections.abc import Iterable
from pathlib import Path

FOLDER = "pictures"


def pictures_of(runs: Iterable[Path]) -> list[dict[str, str]]:
    """Return alt text and path of the pictures of runs; they are named for what they show: ``funnel.png``."""
    return [
        {"alt": path.stem.replace("_", " "), "path": f"{FOLDER}/{path.name}"}
        for run in runs
        for path in sorted((run / FOLDER).glob("*.png"))
    ]
