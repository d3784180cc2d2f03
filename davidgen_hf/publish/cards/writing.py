"""Cards to files: the README.md of a run's folder and of its models' folders."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import RepoCard

from davidgen_hf.corpus.facts import Facts
from davidgen_hf.corpus.waves import BEYOND
from davidgen_hf.publish.builder import KINDS, PARTS, shards_by_split
from davidgen_hf.publish.cards.corpus import CardContext, Config, corpus_card
from davidgen_hf.publish.cards.model import model_card
from davidgen_hf.publish.cards.notes import read_notes
from davidgen_hf.publish.cards.pictures import pictures_of
from davidgen_hf.storage.digests import data_digest
from davidgen_hf.storage.files import write_whole
from davidgen_hf.storage.record import FILE_NAME as RECORD
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import read_metadata, read_table
from davidgen_hf.training.summary import FILE_NAME

README = "README.md"


def write_cards(run: Path, *, repo: str | None = None, facts: Facts | None = None) -> list[Path]:
    """Write the cards of what a run has finished: ``README.md``, ``generator/README.md``, ``follower/README.md``.

    What someone wrote below the line that says so is kept. With its card, ``load_dataset`` reads a run's folder.

    Args:
        run: The run's folder.
        repo: Id, ``org/name``, under which the corpus is, or will be, on the Hub.
        facts: What ``read_facts`` returned for the run; None reads what is needed.

    Returns:
        The paths of the cards.

    Raises:
        RunFolderError: It is not a run folder, or a file of it is damaged.
    """
    cards: dict[Path, RepoCard] = {}
    configs = folder_configs(run) if "corpus" in read_record(run)["steps"] else {}
    if configs:
        path = run / README
        choices = facts.choices if facts else None
        context = CardContext(run.resolve().name, pictures=pictures_of(run), notes=read_notes(path), choices=choices)
        cards[path] = corpus_card([run], configs, context, repo=repo)
    for role in ("generator", "follower"):
        if (run / role / FILE_NAME).is_file():
            path = run / role / README
            cards[path] = model_card(run, role, repo=repo, notes=read_notes(path))
    for path, card in cards.items():
        if not path.is_file() or path.read_text("utf-8") != str(card):
            write_whole(path, str(card))
    return list(cards)


def refresh_cards(folder: Path) -> None:
    """Write the cards of a run again, so that they show an evaluation; any other folder is left alone.

    Raises:
        RunFolderError: A file of the run is damaged.
    """
    if (folder / RECORD).is_file():
        write_cards(folder)


def folder_configs(run: Path) -> dict[str, Config]:
    """Return what can be loaded of a run's folder as it is.

    Its files are not split by kind: where all pairs are of one kind, they go by its name too.
    """
    held = {name: found for name in KINDS if (found := shards_by_split([run], name, reviewed=False))}
    mixed = len(held.keys() & set(PARTS)) > 1
    return {
        name: Config(
            KINDS[name].about,
            {split: [KINDS[name].splits[split]] for split in found},
            {split: sum(read_table(path, []).num_rows for path in paths) for split, paths in found.items()},
            fingerprint=_fingerprint([path for paths in found.values() for path in paths]),
        )
        for name, found in held.items()
        if not (mixed and name in PARTS)
    }


def _fingerprint(paths: Iterable[Path]) -> str:
    """Return a hash of what shards were built from; one that does not say so counts by its bytes."""
    state = hashlib.sha256()
    for path in paths:
        metadata = read_metadata(path)
        state.update((metadata.identity or data_digest(path)).encode())
        if beyond := metadata.counts[BEYOND]:
            state.update(str(beyond).encode())
    return state.hexdigest()[:16]
