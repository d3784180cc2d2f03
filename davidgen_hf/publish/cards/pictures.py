"""Pictures that lie in a run's folder, for its cards to show."""

from pathlib import Path

FOLDER = "pictures"


def pictures_of(run: Path, within: str = FOLDER) -> list[tuple[str, str]]:
    """Return what the pictures of a run show, by their names (``funnel.png``), and their paths in a folder.

    Links are left out: they may lead anywhere, and pictures are published.
    """
    paths = [path for path in sorted((run / FOLDER).glob("*.png")) if path.is_file() and not path.is_symlink()]
    return [(path.stem.replace("_", " "), f"{within}/{path.name}") for path in paths]
