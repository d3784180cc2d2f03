"""What the repositories of a run hold: files of known names, so that nothing else is published or downloaded.

Links are not followed.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock, Timeout

from davidgen_hf.corpus.finished import FINISHED
from davidgen_hf.errors import FolderBusyError, ProvenanceError, RunFolderError
from davidgen_hf.evaluation.results import FILE_NAME as RESULTS
from davidgen_hf.evaluation.results import FOLDER as EVALUATION
from davidgen_hf.provenance.licenses import may_pass_on
from davidgen_hf.publish.cards.facts import model_name
from davidgen_hf.recipe import stages_of
from davidgen_hf.sources.rows import on_hub
from davidgen_hf.storage.files import explain_refusals, write_whole
from davidgen_hf.storage.record import FILE_NAME, read_record
from davidgen_hf.storage.shards import read_table

RUN = "run"
# Files of a run in the dataset's repository, below RUN; a method may have stages of other names.
_RUN_FILE = re.compile(r"run\.json|(?!generator/|follower/)\w[\w-]*/\w[\w-]*\.(?:parquet|json|jsonl)")
# What a model needs, and its card: no checkpoint, optimizer state, pickle or code.
_MODEL_FILE = re.compile(
    r"[\w-]+\.safetensors(?:\.index\.json)?|[\w-]+\.jinja|README\.md|run\.json|loss\.png"
    r"|(?:adapter_|generation_|tokenizer_)?config\.json|(?:tokenizer|vocab|added_tokens|special_tokens_map)\.json"
    r"|chat_template\.json|merges\.txt|vocab\.txt|(?:tokenizer|spiece|sentencepiece\.bpe)\.model"
)
# Small files of settings, in which libraries note where they read a model.
_ADAPTER = "adapter_config.json"
_SETTINGS = (_ADAPTER, "config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
README = "README.md"
_WORK = ".push_"
_LONGEST_PATH = 1024


def is_run_file(path: str) -> bool:
    """Return whether a path within ``run/`` is one of a run's own files."""
    return _RUN_FILE.fullmatch(path) is not None


def is_model_file(path: str) -> bool:
    """Return whether a path in a model's repository is one that a model needs."""
    return _MODEL_FILE.fullmatch(path) is not None


@contextmanager
def workspace(run: Path) -> Iterator[Path]:
    """Yield an empty folder on the run's own disk, and remove those that killed calls have left.

    Raises:
        FolderBusyError: Another process is publishing the run.
        RunFolderError: The run's folder cannot be written to.
    """
    lock = FileLock(run / ".push.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise FolderBusyError(
            f"Another process is publishing {run}. One at a time can: wait until it has ended, and run the same "
            "command again."
        ) from error
    except OSError as error:
        raise RunFolderError(
            f"{run} cannot be written to: {error.strerror}. Publishing needs a place for its files there. Allow "
            "writing, or copy the run to another folder."
        ) from error
    try:
        for left in run.glob(f"{_WORK}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
        with explain_refusals(run), TemporaryDirectory(prefix=_WORK, dir=run) as work:
            yield Path(work)
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def lay_out_run(run: Path, folder: Path) -> Path:
    """Lay out the run itself below ``folder``, so that ``pull`` can give it back, and return where.

    A file of seeds that may not all be passed on is left out, and with it the record that the seeds are done: a run
    that is resumed elsewhere reads them again from their source.

    Raises:
        RunFolderError: A file is damaged, or is a link.
    """
    record = {name: value for name, value in read_record(run).items() if name != "published"}
    for file in _run_files(run):
        name = file.relative_to(run)
        if name.parts[0] in ("seeds", EVALUATION) and file.suffix == ".parquet" and not _may_pass_on(file):
            record["steps"] = {step: report for step, report in record["steps"].items() if step != name.parts[0]}
        else:
            _link(file, folder / RUN / name)
    write_whole(folder / RUN / FILE_NAME, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return folder / RUN


def lay_out_model(run: Path, role: str, folder: Path) -> Path:
    """Lay out what a model's repository holds, except for its card, and return the folder.

    Raises:
        RunFolderError: A file is a link.
        ProvenanceError: The model is an adapter of one that is a folder of this machine.
    """
    for file in _real_files(run / role, (path for path in (run / role).glob("*") if is_model_file(path.name))):
        read = _read(file) if file.name in _SETTINGS else None
        settings = _without_places(read)
        if file.name == _ADAPTER:
            settings |= {"base_model_name_or_path": _base_on_hub(run, role)}
        if settings != read:
            write_whole(folder / file.name, json.dumps(settings, indent=2, ensure_ascii=False))
        elif file.name != README:
            _link(file, folder / file.name)
    return folder


def _run_files(run: Path) -> list[Path]:
    stages = [stage.name for stage in stages_of(read_record(run))]
    names = [path for folder in ("seeds", *stages) for path in (run / folder).glob("*.parquet")]
    names += [run / stages[0] / FINISHED, run / EVALUATION / "held_out.parquet", run / EVALUATION / RESULTS]
    names += run.glob(f"{EVALUATION}/*.jsonl")
    return _real_files(run, (name for name in names if is_run_file(str(name.relative_to(run)))))


def _real_files(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Return the paths that are files, sorted.

    Raises:
        RunFolderError: One of them, or a folder on the way to it, is a link, which may lead anywhere.
    """
    found = []
    for path in sorted(paths):
        on_the_way = [one for one in (path, *path.parents) if one.is_relative_to(folder) and one != folder]
        if linked := next((one for one in on_the_way if one.is_symlink()), None):
            raise RunFolderError(
                f"{linked} is a link. What is published are files of the run, and no link is followed. Put a copy in "
                "its place, or delete it."
            )
        if path.is_file():
            found.append(path)
    return found


def _may_pass_on(shard: Path) -> bool:
    return all(may_pass_on(one) for one in read_table(shard, ["license"])["license"].unique().to_pylist())


def _base_on_hub(run: Path, role: str) -> str:
    """Return the id on the Hub of the model that an adapter changes."""
    base = model_name(read_record(run)["recipe"][role]["model_name_or_path"])
    if not on_hub(base):
        raise ProvenanceError(
            f"{run / role} is an adapter of {base}, a folder of this machine, so nobody else could load it. Merge it "
            f"first: davidgen merge {run / role} --output MODEL. Or train on a model of the Hub."
        )
    return base


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(f"{file} is damaged ({error!r}). Put back a copy of it.") from error


def _without_places(value: Any) -> Any:
    """Return settings with each absolute path in them cut to its last name."""
    if isinstance(value, dict):
        return {key: _without_places(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_places(one) for one in value]
    if isinstance(value, str) and re.fullmatch(rf"/[^\n/]+/[^\n]{{1,{_LONGEST_PATH}}}", value):
        return Path(value).name
    return value


def _link(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copyfile(file, target, follow_symlinks=False)
