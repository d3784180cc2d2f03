"""A run to the Hub: its corpus as a dataset, generator and follower as models, each with its card, a commit each."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from httpx import HTTPError
from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError

from davidgen_hf.cards import model_card, read_notes
from davidgen_hf.errors import HubError, ProvenanceError
from davidgen_hf.provenance.record import read_provenance, require_publishable
from davidgen_hf.publish import build_folder
from davidgen_hf.record import RunRecord, read_record
from davidgen_hf.secrecy import hide

MODELS = ("generator", "follower")
PARTS = ("corpus", *MODELS)
# What a model needs, and its card. Checkpoints, optimizer states and the trainer's own files stay at home.
MODEL_FILES = ("*.safetensors", "*.jinja", "*.model", "*.json", "merges.txt", "vocab.txt", "loss.png", "README.md")
KEPT_HOME = ("trainer_state.json",)
# Files of an earlier push that are no longer there go from the repository too; what people added beside them stays.
REPLACED = {
    "corpus": ["data/*", "recipes/*", "pictures/*"],
    "generator": ["*.safetensors"],
    "follower": ["*.safetensors"],
}


@dataclass(frozen=True)
class Push:
    """What is asked for.

    Args:
        repo: Id of the dataset, ``org/name``; the models go to ``org/name-generator`` and ``org/name-follower``.
        parts: Which of ``PARTS`` to publish.
        private: Make new repositories private; those that are there stay what they are.
        revision: Branch to push to, made if it is absent; ``None`` is the main one.
        create_pr: Open a pull request instead.
        publish_restricted: Publish what is restricted or a demo, which the recipe has to allow too.
    """

    repo: str
    parts: tuple[str, ...] = PARTS
    private: bool = False
    revision: str | None = None
    create_pr: bool = False
    publish_restricted: bool = False


@dataclass(frozen=True)
class Published:
    """A repository, and the commit that holds what was pushed; that of an earlier push where nothing had changed."""

    part: str
    repo: str
    repo_type: str
    url: str
    commit: str


def push(run: Path, asked: Push, announce: Callable[[str], None]) -> list[Published]:
    """Publish a run; a second call with nothing new commits nothing, one after an interruption ends with the same.

    Args:
        run: Folder of a finished run.
        asked: What to publish, and where.
        announce: Is told what is being done.

    Returns:
        What was published, which ``run.json`` records too.

    Raises:
        ProvenanceError: The run may not be published; see ``check_publishable``.
        RunFolderError: It is no run's folder, or a part that was asked for is absent.
        HubError: The Hub cannot be reached or refuses; the same call goes on from there.
    """
    check_publishable(run, asked)
    done = []
    with tempfile.TemporaryDirectory(prefix=".push_", dir=run) as work:
        for part, folder in _folders(run, asked, Path(work)):
            repo = asked.repo if part == "corpus" else f"{asked.repo}-{part}"
            announce(f"{part}: {repo}")
            done.append(_upload(part, repo, folder, asked))
    record = RunRecord(run, read_record(run))
    record.content["published"] = [asdict(one) for one in done]
    record.save()
    return done


def list_files(run: Path, asked: Push) -> dict[str, dict[str, int]]:
    """Return what ``push`` would publish: by repository, the files and their sizes in bytes.

    Raises:
        ProvenanceError, RunFolderError: As for ``push``.
    """
    check_publishable(run, asked)
    with tempfile.TemporaryDirectory(prefix=".push_", dir=run) as work:
        return {
            asked.repo if part == "corpus" else f"{asked.repo}-{part}": {
                str(file.relative_to(folder)): file.stat().st_size
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            }
            for part, folder in _folders(run, asked, Path(work))
        }


def check_publishable(run: Path, asked: Push) -> None:
    """Stop what must not be published.

    Raises:
        ProvenanceError: A part of the run is restricted and the recipe does not allow that, is unknown and not
            declared, no licence is known, or the run is restricted or a demo and ``publish_restricted`` is not set.
        RunFolderError: It is no run's folder.
    """
    demo = read_record(run).get("demo", False)
    provenance = read_provenance(run)
    require_publishable(provenance)
    if (demo or provenance.restricted) and not asked.publish_restricted:
        what = "is a demo: its model was tuned on data that closed models partly wrote" if demo else "is restricted"
        raise ProvenanceError(
            f"{run} {what}. The recipe allows that for the run; to publish it all the same, marked as what it is on "
            "every card and row, add --publish-restricted. To make one that is clean, name another --base-model."
        )


def _folders(run: Path, asked: Push, work: Path) -> Iterator[tuple[str, Path]]:
    for part in asked.parts:
        if part == "corpus":
            yield part, build_folder([run], work / part, repo=asked.repo)
        else:
            yield part, _model_folder(run, part, asked.repo, work / part)


def _model_folder(run: Path, part: str, repo: str, folder: Path) -> Path:
    """Lay out what a model's repository holds; weights are linked, not copied."""
    card = model_card(run, part, repo=repo, notes=read_notes(run / part / "README.md"))
    folder.mkdir()
    for pattern in MODEL_FILES:
        for file in (run / part).glob(pattern):
            if file.name not in KEPT_HOME:
                _link(file, folder / file.name)
    (folder / "README.md").unlink(missing_ok=True)
    card.save(folder / "README.md")
    return folder


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(file, target)


def _upload(part: str, repo: str, folder: Path, asked: Push) -> Published:
    repo_type = "dataset" if part == "corpus" else "model"
    api = HfApi()
    try:
        url = api.create_repo(repo, repo_type=repo_type, private=asked.private or None, exist_ok=True)
        if asked.revision:
            api.create_branch(repo, repo_type=repo_type, branch=asked.revision, exist_ok=True)
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=repo,
            repo_type=repo_type,
            revision=asked.revision,
            create_pr=asked.create_pr,
            commit_message=f"Publish the {part} of a davidgen run",
            delete_patterns=REPLACED[part],
        )
    except (HTTPError, OSError, HFValidationError) as error:
        raise HubError(
            f"{repo} could not be pushed: {hide(str(error)).strip()} What was uploaded stays there; give the same "
            "command again to go on. The Hub's token is read from HF_TOKEN or `hf auth login` and must allow writing."
        ) from error
    return Published(part, repo, repo_type, str(commit.pr_url or url), commit.oid)
