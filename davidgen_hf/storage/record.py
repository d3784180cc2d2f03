"""``run.json``: reading and writing the record of a run folder."""

import json
from pathlib import Path

from davidgen_hf.errors import RunFolderError
from davidgen_hf.storage.files import write_whole

FILE_NAME = "run.json"


class RunRecord:
    """The record of one run folder; every change is written at once, whole or not at all."""

    def __init__(self, folder: Path, content: dict) -> None:
        self.folder, self.content = folder, content

    @property
    def steps(self) -> dict[str, dict]:
        """What each finished step reports, by its name."""
        return self.content["steps"]

    def finish(self, step: str, report: dict) -> None:
        """Write down that a step has ended, and what it reports."""
        self.steps[step] = report
        self.save()

    def tell(self, name: str, content: dict) -> None:
        """Write down something of the whole run, in place of what was there of it."""
        self.content[name] = content
        self.save()

    def save(self) -> None:
        """Write ``run.json``.

        Raises:
            RunFolderError: The folder cannot be written to.
        """
        try:
            write_whole(self.folder / FILE_NAME, json.dumps(self.content, indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise RunFolderError(
                f"{self.folder} cannot be written to: {error.strerror}. What is finished is safe; make room or allow "
                "writing, and run the same command again, or name another folder with --output."
            ) from error


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run's, and not that of a trained model, which has a ``run.json`` of its own."""
    names = ("config.json", "adapter_config.json")
    return (folder / FILE_NAME).is_file() and not any((folder / name).is_file() for name in names)


def read_record(folder: Path) -> dict:
    """Return the content of a folder's ``run.json``.

    Raises:
        RunFolderError: It is absent or damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise RunFolderError(
            f"{folder} holds no {FILE_NAME}: it is no run's folder. Name one that `davidgen run` made."
        )
    try:
        content = json.loads(path.read_text("utf-8"))
        return content | {"recipe": dict(content["recipe"]), "steps": dict(content["steps"])}
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{path} is damaged ({error!r}). Put back a copy of it.") from error
