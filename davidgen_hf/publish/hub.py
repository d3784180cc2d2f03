"""A run to the Hub and back: its corpus as a dataset, generator and follower as models, each with its card.

The dataset's repository also holds the run itself, under ``run/``: what ``pull`` makes a run folder of that goes on.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from huggingface_hub import CommitInfo, HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

from davidgen_hf.corpus.build import STAGES
from davidgen_hf.errors import HubError, ProvenanceError, RunFolderError
from davidgen_hf.provenance.record import read_provenance, require_publishable
from davidgen_hf.publish.cards import model_card, read_notes
from davidgen_hf.publish.folder import build_folder
from davidgen_hf.secrecy import hide
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.record import FILE_NAME, RunRecord, read_record

Answer = TypeVar("Answer")
MODELS = ("generator", "follower")
PARTS = ("corpus", *MODELS)
RUN = "run"
RUN_FILES = ("seeds/*", "evaluation/*", *(f"{stage}/*" for stage in STAGES))
# What a model needs, and its card. Checkpoints, optimizer states and the trainer's own files stay at home.
MODEL_FILES = ("*.safetensors", "*.jinja", "*.model", "*.json", "merges.txt", "vocab.txt", "loss.png", "README.md")
KEPT_HOME = ("trainer_state.json",)
# Files of an earlier push that are no longer there go from the repository too; what people added beside them stays.
REPLACED = {
    "corpus": ["data/*", "recipes/*", "pictures/*", f"{RUN}/*"],
    "generator": ["*.safetensors"],
    "follower": ["*.safetensors"],
}
FOLLOW_SECONDS = 60
_TRIES, _LONGEST_WAIT = 4, 60.0
_WORDS = {
    401: "the Hub does not know the token. Set HF_TOKEN, or call `hf auth login`.",
    403: "the token may not write there. Take one with the right to write, or another --private or organisation.",
    404: "there is no such repository, or the token may not see it. Check the name, org/name.",
    409: "something of that name is there that this cannot become. Name another repository.",
    412: "someone else has changed the repository meanwhile. Give the same command again; what is there stays.",
    429: "the Hub asks for a pause: too many requests. Give the same command again in a few minutes.",
}


@dataclass(frozen=True)
class Push:
    """What is asked for.

    Args:
        repo: Id of the dataset, ``org/name``; the models go to ``org/name-generator`` and ``org/name-follower``.
        parts: Which of ``PARTS`` to publish.
        private: Make new repositories private; those that are there stay what they are.
        create_pr: Open pull requests instead.
        publish_restricted: Publish what is restricted or a demo, which the recipe has to allow too.
    """

    repo: str
    parts: tuple[str, ...] = PARTS
    private: bool = False
    create_pr: bool = False
    publish_restricted: bool = False

    def repo_of(self, part: str) -> str:
        """Return the id of a part's repository."""
        return self.repo if part == "corpus" else f"{self.repo}-{part}"


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
        What was published, one commit each, which ``run.json`` records too.

    Raises:
        ProvenanceError: The run may not be published; see ``check_publishable``.
        RunFolderError: It is no run's folder, or a part that was asked for is absent.
        HubError: The Hub cannot be reached or refuses; the same call goes on from there.
    """
    check_publishable(run, asked)
    done = []
    with tempfile.TemporaryDirectory(prefix=".push_", dir=run) as work:
        for part, folder in _folders(run, asked, Path(work)):
            announce(f"{part}: {asked.repo_of(part)}")
            done.append(_upload(part, folder, asked, REPLACED[part]))
    record = RunRecord(run, read_record(run))
    record.content["published"] = [asdict(one) for one in done]
    record.save()
    return done


def push_while_it_runs(
    run: Path, asked: Push, announce: Callable[[str], None], sleep: Callable[[float], None]
) -> None:
    """Keep the shards of a run on the Hub while it makes them, so that a lost machine loses nothing.

    Ends with the corpus; ``push`` then publishes it. ``pull`` gives the run back on another machine.

    Raises:
        ProvenanceError, RunFolderError, HubError: As for ``push``; the recipe's licence may still be open.
    """
    check_publishable(run, asked, finished=False)
    while True:
        is_done = "corpus" in read_record(run)["steps"]
        with tempfile.TemporaryDirectory(prefix=".push_", dir=run) as work:
            shards = _run_folder(run, Path(work))
            announce(f"{sum(1 for _ in shards.rglob('*.parquet'))} shards: {asked.repo}")
            _upload("corpus", Path(work), asked, [])
        if is_done:
            return
        sleep(FOLLOW_SECONDS)


def list_files(run: Path, asked: Push) -> dict[str, dict[str, int]]:
    """Return what ``push`` would publish: by repository, the files and their sizes in bytes.

    Raises:
        ProvenanceError, RunFolderError: As for ``push``.
    """
    check_publishable(run, asked)
    with tempfile.TemporaryDirectory(prefix=".push_", dir=run) as work:
        return {
            asked.repo_of(part): {
                str(file.relative_to(folder)): file.stat().st_size
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            }
            for part, folder in _folders(run, asked, Path(work))
        }


def pull(repo: str, run: Path, revision: str | None = None) -> Path:
    """Make the folder of a run that was pushed, so that ``davidgen run`` goes on where it stopped.

    Args:
        repo: Id of its dataset, ``org/name``.
        run: New folder.
        revision: Branch, tag or commit of the dataset.

    Raises:
        RunFolderError: The folder is there already and not empty.
        HubError: The Hub cannot be reached, or has no such run.
    """
    if run.exists() and any(run.iterdir()):
        raise RunFolderError(f"{run} is there already. Name a new folder.")
    draft = run.with_name(f".{run.name}.part")

    def download() -> None:
        options = {"repo_type": "dataset", "revision": revision, "allow_patterns": f"{RUN}/*"}
        snapshot_download(repo, local_dir=draft, **options)
        for part in MODELS:
            if HfApi().repo_exists(f"{repo}-{part}"):
                snapshot_download(f"{repo}-{part}", local_dir=draft / RUN / part)

    _asked(repo, download)
    if not (draft / RUN / FILE_NAME).is_file():
        raise HubError(f"{repo} holds no run: it lacks {RUN}/{FILE_NAME}. Name a dataset that davidgen push made.")
    for cache in list(draft.rglob(".cache")):
        shutil.rmtree(cache)
    if run.exists():
        run.rmdir()
    os.replace(draft / RUN, run)
    shutil.rmtree(draft)
    return run


def check_publishable(run: Path, asked: Push, *, finished: bool = True) -> None:
    """Stop what must not be published.

    Raises:
        ProvenanceError: A part of the run is restricted and the recipe does not allow that, is unknown and not
            declared, no licence is known, or the run is restricted or a demo and ``publish_restricted`` is not set.
        RunFolderError: It is no run's folder, or is not finished.
    """
    record = read_record(run)
    if finished and "corpus" not in record["steps"]:
        raise RunFolderError(
            f"{run} has no corpus yet. Finish it with davidgen run, or push with --follow as it runs."
        )
    provenance = read_provenance(run)
    if finished:
        require_publishable(provenance)
    demo = record.get("demo", False)
    if (demo or provenance.restricted) and not asked.publish_restricted:
        what = "is a demo: its model was tuned on data that closed models partly wrote" if demo else "is restricted"
        raise ProvenanceError(
            f"{run} {what}. The recipe allows that for the run; to publish it all the same, marked as what it is on "
            "every card and row, add --publish-restricted. To make one that is clean, name another --base-model."
        )


def _folders(run: Path, asked: Push, work: Path) -> Iterator[tuple[str, Path]]:
    for part in asked.parts:
        if part == "corpus":
            folder = build_folder([run], work / part, repo=asked.repo)
            _run_folder(run, folder)
            yield part, folder
        else:
            yield part, _model_folder(run, part, asked.repo, work / part)


def _run_folder(run: Path, folder: Path) -> Path:
    """Lay out the run itself, by links; its record without what was published, which a push writes down."""
    for pattern in RUN_FILES:
        for file in run.glob(pattern):
            if file.is_file() and file.suffix != ".part":
                _link(file, folder / RUN / file.relative_to(run))
    record = {name: value for name, value in read_record(run).items() if name != "published"}
    write_whole(folder / RUN / FILE_NAME, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return folder / RUN


def _model_folder(run: Path, part: str, repo: str, folder: Path) -> Path:
    """Lay out what a model's repository holds, by links."""
    card = model_card(run, part, repo=repo, notes=read_notes(run / part / "README.md"))
    for pattern in MODEL_FILES:
        for file in (run / part).glob(pattern):
            if file.name not in KEPT_HOME:
                _link(file, folder / file.name)
    (folder / "README.md").unlink(missing_ok=True)
    card.save(folder / "README.md")
    return folder


def _link(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(file, target)


def _upload(part: str, folder: Path, asked: Push, replaced: list[str]) -> Published:
    repo, repo_type = asked.repo_of(part), "dataset" if part == "corpus" else "model"
    api = HfApi()

    def upload() -> tuple[str, CommitInfo]:
        url = api.create_repo(repo, repo_type=repo_type, private=asked.private or None, exist_ok=True)
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=repo,
            repo_type=repo_type,
            create_pr=asked.create_pr,
            commit_message=f"Publish the {part} of a davidgen run",
            delete_patterns=replaced,
        )
        return str(url), commit

    url, commit = _asked(repo, upload)
    return Published(part, repo, repo_type, str(commit.pr_url or url), commit.oid)


def _asked(repo: str, ask: Callable[[], Answer]) -> Answer:
    """Call the Hub, and again after a pause where it is a fault of the network or a conflict.

    Raises:
        HubError: It refuses, or the fault stays.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return ask()
        except (HTTPError, OSError, HFValidationError) as error:
            response = error.response if isinstance(error, HfHubHTTPError) else None
            status = response.status_code if response is not None else None
            passing = status is None or status in (412, 429) or status >= 500
            if not passing or isinstance(error, HFValidationError) or attempt == _TRIES:
                said = _WORDS.get(status) or f"{hide(str(error)).strip()} Give the same command again to go on."
                raise HubError(f"{repo}: {said}") from error
            time.sleep(min(_LONGEST_WAIT, _pause(response, attempt)))


def _pause(response: object, attempt: int) -> float:
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return float(asked) if asked.isdecimal() else 0.5 * 2**attempt
