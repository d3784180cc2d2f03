"""A run from the Hub: the run folder that ``push`` published, and nothing else of its repositories."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from functools import partial
from glob import escape
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from davidgen_hf.errors import HubError, RunFolderError
from davidgen_hf.publish.calls import call_hub
from davidgen_hf.publish.layout import RUN, is_model_file, is_run_file
from davidgen_hf.storage.files import explain_refusals
from davidgen_hf.storage.record import FILE_NAME, read_record

MODELS = ("generator", "follower")


@dataclass(frozen=True)
class _Snapshot:
    """The files to download of a repository at a commit, and the folder of the run that they belong to."""

    repo: str
    repo_type: str
    commit: str
    files: tuple[str, ...]
    folder: str = ""


def pull(repo: str, run: Path, revision: str | None = None) -> Path:
    """Restore the folder of a run that was pushed, so that ``davidgen run`` resumes it.

    Args:
        repo: Id of its dataset, ``org/name``.
        run: New folder.
        revision: Branch, tag or commit of the dataset.

    Raises:
        RunFolderError: The folder exists and is not empty, or cannot be written.
        HubError: The Hub cannot be reached, or has no such run.
    """
    with explain_refusals(run):
        _check_target(run)
        snapshots = _snapshots(repo, revision)
        # Named after what it holds: a call that failed is resumed by one for the same commits, and by no other.
        state = hashlib.sha256(repr(snapshots).encode()).hexdigest()[:16]
        draft = run.with_name(f".{run.name}.{state}.part")
        for left in run.parent.glob(f".{escape(run.name)}.*part"):
            if left != draft and left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
        for one in snapshots:
            _download(one, draft / one.folder)
        try:
            read_record(draft / RUN)
        except RunFolderError as error:
            shutil.rmtree(draft)
            raise HubError(
                f"{repo} holds no run that can be read: {RUN}/{FILE_NAME} is damaged. Pull another."
            ) from error
        if run.exists():
            run.rmdir()
        os.replace(draft / RUN, run)
        shutil.rmtree(draft)
    return run


def _check_target(run: Path) -> None:
    if run.name in ("", ".."):
        raise RunFolderError(f"{str(run)!r} is a folder that is in use. Name a new folder for the run.")
    if run.is_symlink() or (run.exists() and not run.is_dir()):
        raise RunFolderError(f"{run} exists and is not a folder. Name a new folder for the run.")
    if run.exists() and any(run.iterdir()):
        raise RunFolderError(f"{run} exists and is not empty. Name a new folder for the run.")


def _snapshots(repo: str, revision: str | None) -> list[_Snapshot]:
    """Return what to download, each at the commit that its branch is at now."""
    commit, names = call_hub(repo, lambda: _listing(repo, "dataset", revision))
    files = tuple(name for name in names if name.startswith(f"{RUN}/") and is_run_file(name.removeprefix(f"{RUN}/")))
    if f"{RUN}/{FILE_NAME}" not in files:
        raise HubError(f"{repo} holds no run: it lacks {RUN}/{FILE_NAME}. Name a dataset that davidgen push made.")
    found = [_Snapshot(repo, "dataset", commit, files)]
    for model in MODELS:
        name = f"{repo}-{model}"
        if listing := call_hub(name, partial(_listing_of_model, name)):
            files = tuple(one for one in listing[1] if is_model_file(one))
            found += [_Snapshot(name, "model", listing[0], files, f"{RUN}/{model}")] if files else []
    return found


def _listing(repo: str, repo_type: str, revision: str | None) -> tuple[str, list[str]]:
    api = HfApi()
    about = (api.dataset_info if repo_type == "dataset" else api.model_info)(repo, revision=revision)
    return str(about.sha), sorted(one.rfilename for one in about.siblings or ())


def _listing_of_model(repo: str) -> tuple[str, list[str]] | None:
    """Return commit and files of a model; None where none was pushed yet."""
    try:
        return _listing(repo, "model", None)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return None


def _download(wanted: _Snapshot, folder: Path) -> None:
    call_hub(
        wanted.repo,
        lambda: snapshot_download(
            wanted.repo,
            repo_type=wanted.repo_type,
            revision=wanted.commit,
            local_dir=folder,
            allow_patterns=list(wanted.files),
        ),
    )
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    if missing := [name for name in wanted.files if not (folder / name).is_file()]:
        raise HubError(f"{wanted.repo}: {missing[0]} could not be downloaded. Run the same command again to resume.")
