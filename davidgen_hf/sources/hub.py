"""Datasets on the Hub: which commit is read, under which licence, and its rows as a stream."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from huggingface_hub import CardData, HfApi
from huggingface_hub.errors import HFValidationError, HTTPError

from davidgen_hf.errors import InputError


@dataclass(frozen=True)
class HubFacts:
    """What the Hub says of a dataset: the commit, the card, and the licence on it, ``""`` where there is none."""

    commit: str
    license: str
    card: CardData | None


def describe_dataset(dataset: str, revision: str | None = None) -> HubFacts:
    """Resolve a branch or tag, the main branch by default, to its commit, and read the licence off the card.

    Several licences on one card are joined by commas.

    Raises:
        InputError: The Hub cannot be reached, or has no such dataset or revision.
    """
    try:
        found = HfApi().dataset_info(dataset, revision=revision)
    except (HTTPError, OSError, HFValidationError) as error:
        raise _unopened(dataset, error) from error
    licenses = (found.card_data.license if found.card_data else None) or []
    license = ", ".join([licenses] if isinstance(licenses, str) else licenses)
    return HubFacts(found.sha, license, found.card_data)


def model_cards(model: str, revision: str | None = None, *, longest_line: int = 8) -> dict[str, CardData]:
    """Return the metadata of a model's card and of those that its ``base_model`` leads to, by id.

    What cannot be had, for there is no card, no network or no such model, is left out: it stays unknown.
    """
    found: dict[str, CardData] = {}
    waiting = [(model, revision)]
    while waiting and len(found) < longest_line:
        name, commit = waiting.pop(0)
        with contextlib.suppress(HTTPError, OSError, HFValidationError):
            card = HfApi().model_info(name, revision=commit).card_data
            if card is not None:
                found[name] = card
                bases = card.to_dict().get("base_model") or []
                waiting += [(one, None) for one in ([bases] if isinstance(bases, str) else bases) if one not in found]
    return found


def read_dataset(
    dataset: str, config: str | None, split: str, revision: str | None, shuffle: tuple[int, int] | None = None
) -> Iterator[dict]:
    """Stream the rows of a split, shuffled by a seed and a buffer of so many rows where these are given.

    Raises:
        InputError: The Hub cannot be reached, or has no such dataset, configuration, split or revision.
    """
    from datasets import load_dataset

    try:
        rows = load_dataset(dataset, config, split=split, revision=revision, streaming=True)
    except (HTTPError, OSError, ValueError) as error:
        raise _unopened(dataset, error) from error
    if shuffle is not None:
        seed, buffer_size = shuffle
        rows = rows.shuffle(seed=seed, buffer_size=buffer_size)
    yield from rows


def _unopened(dataset: str, error: Exception) -> InputError:
    return InputError(
        f"There is no local path {dataset!r}, and no dataset of that id could be opened on the Hub: {error}"
    )
