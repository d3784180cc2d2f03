"""Super-NaturalInstructions from its official repository: one row per instance, under the license of its task.

The columns are those of the copy on the Hub (``Muennighoff/natural-instructions``), plus license, language and address
from the task file, which the copy leaves out.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from annotated_types import MinLen
from pydantic import BaseModel, Field

from davidgen_hf.errors import InputError
from davidgen_hf.schema import Row
from davidgen_hf.sources.lines import parse_json, read_lines
from davidgen_hf.storage.validation import validate

# ISO 639-1 codes of the names in the task files; any other language is "und", which is ISO's code for undetermined.
LANGUAGES = dict(
    re.findall(
        r"(\w+):(\w+)",
        "Arabic:ar Bengali:bn Bosnian:bs Bulgarian:bg Burmese:my Catalan:ca Chinese:zh Croatian:hr Czech:cs Danish:da "
        "Dutch:nl English:en Esperanto:eo Filipino:tl Finnish:fi French:fr Galician:gl German:de Greek:el Gujarati:gu "
        "Hebrew:he Hindi:hi Hungarian:hu Icelandic:is Igbo:ig Indonesian:id Italian:it Japanese:ja Kannada:kn "
        "Khmer:km Korean:ko Kurdish:ku Lao:lo Latin:la Lithuanian:lt Malay:ms Malayalam:ml Marathi:mr Norwegian:no "
        "Oriya:or Panjabi:pa Persian:fa Polish:pl Portuguese:pt Pashto:ps Romanian:ro Russian:ru Serbian:sr "
        "Sinhala:si Slovak:sk Spanish:es Swahili:sw Swedish:sv Tamil:ta Telugu:te Thai:th Turkish:tr Ukrainian:uk "
        "Urdu:ur Vietnamese:vi Xhosa:xh Yoruba:yo",
    )
)


class _Instance(BaseModel):
    id: str | int
    input: object
    output: Annotated[list[object], MinLen(1)]


class _Task(BaseModel):
    definition: Annotated[list[str], MinLen(1)] = Field(alias="Definition")
    url: list[str] = Field(alias="URL")
    instance_license: list[str] = Field(alias="Instance License")
    output_language: Annotated[list[str], MinLen(1)] = Field(alias="Output_language")
    instances: list[_Instance] = Field(alias="Instances")


def holds_tasks(folder: Path) -> bool:
    """Return whether a folder is the official repository, or its folder ``tasks``."""
    return any(any(place.glob("task*.json")) for place in (folder, folder / "tasks"))


def read_tasks(folder: Path, *, track: str = "default", split: str = "train") -> Iterator[tuple[str, Row]]:
    """Yield ``(place, row)`` for each instance of a split's tasks that the folder holds, in the order of their names.

    The first of an instance's outputs is taken, and the first definition of a task.

    Args:
        folder: A copy of allenai/natural-instructions, with ``tasks/`` and ``splits/``.
        track: ``default`` or ``xlingual``.
        split: ``train`` or ``test``.

    Raises:
        InputError: The lists of the split's tasks are missing, all of its tasks are, or a task file is damaged.
    """
    listed = folder / "splits" / track / f"{split}_tasks.txt"
    if not listed.is_file():
        found = sorted(f"{path.parent.name} {path.stem}" for path in folder.glob("splits/*/*_tasks.txt"))
        raise InputError(
            f"{folder} holds SuperNI tasks, but no list of the {split} tasks of track {track!r}"
            + (f"; it has {found}. Set config to a track and split to a split" if found else "")
            + ". Name the folder of the whole repository, with tasks/ and splits/, so that test tasks stay out."
        )
    names = sorted(name for _, line in read_lines(listed) for name in line.split())
    paths = [path for name in names if (path := folder / "tasks" / f"{name}.json").is_file()]
    if not paths:
        raise InputError(
            f"{folder / 'tasks'} has no task of {listed.name}. The folder must hold the repository's task files. "
            "Download the repository again."
        )
    for path in paths:
        yield from _read_task(path)


def _read_task(path: Path) -> Iterator[tuple[str, Row]]:
    place = f"{path.name} is not a SuperNI task file"
    task = validate(
        _Task,
        parse_json("".join(line for _, line in read_lines(path)), place),
        place,
        "It needs Definition, URL, Instance License, Output_language, and Instances with id, input and output. "
        "Download it again from the official repository.",
    )
    origin = {
        "license": ", ".join(task.instance_license),
        "language": LANGUAGES.get(task.output_language[0], "und"),
        "url": next(iter(task.url), ""),
    }
    for number, one in enumerate(task.instances, start=1):
        row = {"id": one.id, "task_name": path.stem, "definition": task.definition[0].strip()}
        yield f"{path.name}:{number}", row | {"inputs": one.input, "targets": one.output[0]} | origin
