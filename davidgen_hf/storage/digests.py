"""How a record names a user's files and folders: by name and hash, because it may be published."""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

# Read from both ends of a file of weights: training changes all of it, and a digest of the whole takes long.
_WEIGHTS_BYTES = 2**20
_ROOT_PARTS = 2  # of /name, which may be a word of a prompt as well


def without_folders(value: object) -> object:
    """Return a setting with each path in it, at any depth, cut to the name of its file or folder."""
    if isinstance(value, dict):
        return {key: without_folders(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_folders(one) for one in value]
    if not isinstance(value, str) or "/" not in value:
        return value
    path = Path(os.path.expanduser(value))
    return path.name if os.path.exists(path) or (path.is_absolute() and len(path.parts) > _ROOT_PARTS) else value


def folder_digest(folder: Path) -> str:
    """Return a hash of a model in a folder: of its configuration, its tokenizer, and both ends of its weights."""
    state = hashlib.sha256()
    for file in sorted(one for one in folder.iterdir() if one.suffix in {".json", ".safetensors", ".bin", ".model"}):
        if file.name in {"run.json", "trainer_state.json"}:
            continue  # these tell of the training, not of the model
        size = file.stat().st_size
        state.update(f"{file.name} {size}".encode())
        with file.open("rb") as opened:
            state.update(opened.read(_WEIGHTS_BYTES))
            if size > _WEIGHTS_BYTES:
                opened.seek(max(_WEIGHTS_BYTES, size - _WEIGHTS_BYTES))
                state.update(opened.read())
    return state.hexdigest()


def data_digest(path: Path, whole: Collection[str] | None = None) -> str:
    """Return a hash of the content of a file, or of all files of a folder in the order of their paths.

    What Git keeps of a repository, in ``.git``, does not count.

    Args:
        path: The file or folder.
        whole: Suffixes of the files whose content counts; of others, name and size do. None takes the content of all.
    """
    state = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(filter(_counts, path.rglob("*"))):
        if whole is None or file.suffix in whole:
            with file.open("rb") as opened:
                state.update(hashlib.file_digest(opened, "sha256").digest())
        else:
            state.update(f"{file.name} {file.stat().st_size}".encode())
    return state.hexdigest()


def _counts(path: Path) -> bool:
    return ".git" not in path.parts and path.is_file()
