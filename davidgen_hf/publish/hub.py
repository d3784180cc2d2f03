"""A run to the Hub: its corpus as a dataset, generator and follower as models, each with its card.

The dataset's repository also holds the run itself, under ``run/``, from which ``pull`` restores a run folder.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import yaml
from huggingface_hub import CommitInfo, HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, RevisionNotFoundError
from huggingface_hub.utils._validators import validate_repo_id

from davidgen_hf.errors import ProvenanceError, RunFolderError, SettingError
from davidgen_hf.evaluation.benchmark import PREFIX
from davidgen_hf.evaluation.model_index import EVAL_RESULTS, eval_result_files
from davidgen_hf.evaluation.results import FILE_NAME as RESULTS
from davidgen_hf.evaluation.results import FOLDER as EVALUATION
from davidgen_hf.evaluation.results import read_results
from davidgen_hf.provenance.record import read_provenance, require_publishable
from davidgen_hf.publish.calls import call_hub
from davidgen_hf.publish.cards import model_card
from davidgen_hf.publish.cards.notes import merge_notes, notes_of_other, read_notes, replace_notes, split_card
from davidgen_hf.publish.cards.text import code
from davidgen_hf.publish.folder import lay_out_dataset
from davidgen_hf.publish.layout import README, RUN, lay_out_model, lay_out_run, workspace
from davidgen_hf.publish.marks import is_restricted
from davidgen_hf.publish.pull import pull
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.record import RunRecord, read_record
from davidgen_hf.storage.status import describe_run

__all__ = ["PARTS", "Published", "Push", "check_publishable", "list_files", "pull", "push", "push_while_it_runs"]

Part = Literal["corpus", "generator", "follower"]
PARTS: tuple[Part, ...] = ("corpus", "generator", "follower")
# Files of an earlier push that no longer exist are deleted from the repository too; what people added stays.
REPLACED = {
    "corpus": ["data/*", "recipes/*", "pictures/*", f"{RUN}/*"],
    "generator": ["*.safetensors"],
    "follower": ["*.safetensors", f"{EVAL_RESULTS}/{PREFIX}*"],
}
FOLLOW_SECONDS = 60


@dataclass(frozen=True)
class Push:
    """What to publish, and how.

    Args:
        repo: Id of the dataset, ``org/name``; the models go to ``org/name-generator`` and ``org/name-follower``.
        parts: Which of ``PARTS`` to publish.
        private: Make new repositories private; existing ones stay what they are.
        create_pr: Open pull requests instead.
        publish_restricted: Publish what is restricted, which the recipe has to allow too.

    Raises:
        SettingError: ``repo`` is not an id that the Hub would take.
    """

    repo: str
    parts: tuple[Part, ...] = PARTS
    private: bool = False
    create_pr: bool = False
    publish_restricted: bool = False

    def __post_init__(self) -> None:
        try:
            validate_repo_id(f"{self.repo}-generator")
        except HFValidationError as error:
            raise SettingError(
                f"{self.repo!r} is not the id of a repository: {error}. Write it as org/name."
            ) from error
        if "/" not in self.repo:
            raise SettingError(f"{self.repo!r} names no organization or user. Write the id as org/name.")

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


def push(run: Path, request: Push, announce: Callable[[str], None]) -> list[Published]:
    """Publish a run; a second call with nothing new commits nothing, and one after an interruption ends the same.

    Text below a card's line that people wrote on the Hub is kept.

    Args:
        run: Folder of a finished run.
        request: What to publish, and where.
        announce: Called with a line about each thing that is done.

    Returns:
        What was published, one commit each, which ``run.json`` records too.

    Raises:
        ProvenanceError: The run may not be published; see ``check_publishable``.
        RunFolderError: It is not a run folder, or a requested part is absent.
        HubError: The Hub cannot be reached or refuses; the same call resumes.
    """
    check_publishable(run, request)
    earlier = {one["repo"]: one for one in read_record(run).get("published") or []}
    done = []
    with workspace(run) as work:
        for part, folder in _folders(run, request, work):
            repo = request.repo_of(part)
            announce(f"{part}: {repo}")
            published, replaces_edit = _upload(
                part, folder, request, REPLACED[part], earlier.get(repo, {}).get("commit")
            )
            done.append(published)
            if replaces_edit:
                announce(
                    f"{repo}: someone edited the card above its line since the last push. It was written again from "
                    "the run; the edit is in the repository's history. Text below the line is kept."
                )
    record = RunRecord(run, read_record(run))
    record.content["published"] = [*(earlier | {one.repo: asdict(one) for one in done}).values()]
    record.save()
    return done


def push_while_it_runs(
    run: Path, request: Push, announce: Callable[[str], None], sleep: Callable[[float], None]
) -> None:
    """Keep a run on the Hub while it goes on, so that a lost machine loses nothing.

    Sends the generator, with its card, once it is trained, and the shards as they are written, with a card that shows
    the progress. Ends with the corpus; ``push`` then publishes it. ``pull`` restores the run on another machine.

    Raises:
        ProvenanceError, RunFolderError, HubError: As for ``push``; the recipe's license may still be open.
    """
    check_publishable(run, request, finished=False)
    waits_for_generator = "generator" in request.parts
    while True:
        steps = read_record(run)["steps"]
        is_done = "corpus" in steps
        if waits_for_generator and "generator" in steps and not is_done:
            waits_for_generator = False
            with workspace(run) as work:
                for part, folder in _folders(run, replace(request, parts=("generator",)), work):
                    announce(f"{part}: {request.repo_of(part)}")
                    _upload(part, folder, request, REPLACED[part])
        with workspace(run) as work:
            shards = lay_out_run(run, work)
            if not is_done:  # the card of the finished run follows; notes below the line are kept
                write_whole(work / README, replace_notes(_describe_unfinished(run, request), ""))
            announce(f"{sum(1 for _ in shards.rglob('*.parquet'))} shards: {request.repo}")
            _upload("corpus", work, request, [])
        if is_done:
            return
        sleep(FOLLOW_SECONDS)


def _describe_unfinished(run: Path, request: Push) -> str:
    """Return the card of a run that goes on, which names neither its folder nor its machine."""
    *lines, _ = describe_run(run)
    now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    name, shown = request.repo.split("/")[1], code("\n".join(lines))
    return f"# {name}\n\nA run of davidgen_hf that is not finished, as of {now} UTC:\n\n{shown}\n\n"


def list_files(run: Path, request: Push) -> dict[str, dict[str, int]]:
    """Return what ``push`` would publish: by repository, the files and their sizes in bytes.

    Raises:
        ProvenanceError, RunFolderError: As for ``push``.
    """
    check_publishable(run, request)
    with workspace(run) as work:
        return {
            request.repo_of(part): {
                str(file.relative_to(folder)): file.stat().st_size
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            }
            for part, folder in _folders(run, request, work)
        }


def check_publishable(run: Path, request: Push, *, finished: bool = True) -> None:
    """Stop what must not be published.

    Raises:
        ProvenanceError: A part of the run is restricted and the recipe does not allow that, is unknown and not
            declared, no license is known, or the run is restricted and ``publish_restricted`` is not set.
        RunFolderError: It is not a run folder, or is not finished.
    """
    record = read_record(run)
    if finished and "corpus" not in record["steps"]:
        raise RunFolderError(
            f"{run} has no corpus yet. Finish it with davidgen run, or push with --follow as it runs."
        )
    provenance = read_provenance(run)
    if finished:
        require_publishable(provenance)
    if is_restricted(run) and not request.publish_restricted:
        raise ProvenanceError(
            f"{run} is restricted. {' '.join(provenance.restrictions)} The recipe allows that for the run; to publish "
            "it anyway, marked as restricted on every card and row, add --publish-restricted. To make one that "
            "is clean, name another --base-model."
        )


def _folders(run: Path, request: Push, work: Path) -> Iterator[tuple[Part, Path]]:
    for part in request.parts:
        if part == "corpus":
            folder = lay_out_dataset([run], work / part, repo=request.repo)
            lay_out_run(run, folder)
        else:
            card = model_card(run, part, repo=request.repo, notes=read_notes(run / part / README))
            folder = lay_out_model(run, part, work / part)
            write_whole(folder / README, str(card))
            if part == "follower" and (run / EVALUATION / RESULTS).is_file():
                for path, content in eval_result_files(read_results(run)).items():
                    write_whole(folder / path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        yield part, folder


def _upload(
    part: str, folder: Path, request: Push, replaced: list[str], earlier: str | None = None
) -> tuple[Published, bool]:
    """Commit a folder, and return what was published and whether that replaces an edit above the card's line.

    ``earlier`` is the commit of the last push.
    """
    repo, repo_type = request.repo_of(part), "dataset" if part == "corpus" else "model"
    api = HfApi()
    card = folder / README
    written = card.read_text("utf-8") if card.is_file() else None

    def upload() -> tuple[str, CommitInfo, bool]:
        url = api.create_repo(repo, repo_type=repo_type, private=request.private or None, exist_ok=True)
        head = str(api.repo_info(repo, repo_type=repo_type).sha)
        replaces_edit = False
        if written is not None:
            theirs = _card_at(repo, repo_type, head)
            before = _card_at(repo, repo_type, earlier) if earlier else ""
            merged = merge_notes(split_card(written)[1], notes_of_other(theirs), split_card(before)[1])
            is_theirs = (split_card(written)[0], merged) == split_card(theirs)
            write_whole(card, theirs if is_theirs else replace_notes(written, merged))
            replaces_edit = bool(before) and split_card(theirs)[0] != split_card(before)[0]
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=repo,
            repo_type=repo_type,
            create_pr=request.create_pr,
            commit_message=f"Publish the {part} of a davidgen run",
            delete_patterns=replaced,
            parent_commit=head,
        )
        return str(url), commit, replaces_edit

    url, commit, replaces_edit = call_hub(repo, upload, writing=True)
    return Published(part, repo, repo_type, str(commit.pr_url or url), commit.oid), replaces_edit


def _card_at(repo: str, repo_type: str, commit: str) -> str:
    """Return the card of a repository at a commit; nothing if there is none."""
    try:
        path = hf_hub_download(repo, README, repo_type=repo_type, revision=commit)
    except (EntryNotFoundError, RevisionNotFoundError):
        return ""
    return Path(path).read_text("utf-8", "replace")
