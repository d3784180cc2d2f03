"""Where a dataset, a file or a model comes from: by id, by its card, by its lineage, by what its rows say.

Nothing is clean for want of evidence: what no table and no card speaks of is unknown.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from huggingface_hub import CardData

from davidgen_hf.provenance.known import OPENAI_TERMS_URL, Known, KnownModel, closed_model, find, find_copy
from davidgen_hf.provenance.lineage import MODELS
from davidgen_hf.provenance.open_sources import OPEN, OPEN_FILES
from davidgen_hf.provenance.restricted import RESTRICTED
from davidgen_hf.provenance.verdict import Verdict, compose

# Columns in which datasets say who wrote a row.
WRITER_COLUMNS = (
    *("source", "model", "model_name", "generator", "generated_by", "dataset", "origin", "data_source", "writer"),
    *("teacher", "generation_model", "response_model", "assistant_model"),
)
# What this package marks rows with, so that a corpus stays restricted wherever its rows are copied to.
MARK_COLUMNS = ("restricted", "closed_source", "candidates")
EVIDENCE_COLUMNS = (*WRITER_COLUMNS, *MARK_COLUMNS)
# What this package tags cards with.
MARK_TAG = "restricted"


def judge_dataset(name: str, *, config: str | None = None, card: CardData | None = None) -> Verdict:
    """Judge a dataset of the Hub or of a package.

    What the tables say of the id goes first; but a card that names a closed model, or a restricted dataset as its
    source, makes even a dataset restricted that the tables hold for clean.

    Args:
        name: Id, ``org/name``, or the name of a package.
        config: Configuration, where the parts of a dataset differ.
        card: Metadata of its card, ``DatasetCard.load(name).data``.
    """
    entry = (find([*RESTRICTED, *OPEN], f"{name}:{config}") if config else None) or find([*RESTRICTED, *OPEN], name)
    told = _metadata(card)
    license = entry.license if entry else _first(told.get("license"))
    if entry and entry.term:
        return _restricted(name, entry)
    if reason := _card_reason(told):
        return Verdict(name, "restricted", f"The card of {name} {reason}.", license, OPENAI_TERMS_URL)
    if entry:
        return Verdict(name, "clean", f"{entry.name}: {entry.written_by}.", license, entry.source)
    if model := closed_model(name):
        return Verdict(name, "restricted", f"The name of {name} has {model!r} in it.", license, OPENAI_TERMS_URL)
    hint = _hint(name, told)
    return Verdict(name, "unknown", f"{name} is in no table{hint}.", license, doubtful=bool(hint))


def judge_source(
    source: str, *, config: str | None = None, card: CardData | None = None, rows: Iterable[Mapping] = ()
) -> Verdict:
    """Judge what a recipe names: a file or folder where there is one of that path, else a dataset."""
    return judge_file(source, rows) if Path(source).exists() else judge_dataset(source, config=config, card=card)


def judge_file(path: str | Path, rows: Iterable[Mapping] = (), card: CardData | None = None) -> Verdict:
    """Judge a file by what can be seen of it: its content, if it is a known one; its name; its card; its rows.

    Args:
        path: The file, or a folder, in which the names of all files count.
        rows: Rows of it, with ``EVIDENCE_COLUMNS`` as far as it has them.
        card: Metadata of the card of the folder that holds it.
    """
    path = Path(path)
    name = path.name
    if entry := _known_file(path):
        return Verdict(name, "clean", f"{entry.name}: {entry.written_by}.", entry.license, entry.source)
    for file in [path, *sorted(path.rglob("*"))]:
        if model := closed_model(file.name):
            return Verdict(name, "restricted", f"The name of {file.name} has {model!r} in it.", None, OPENAI_TERMS_URL)
    if copied := find_copy(RESTRICTED, name):
        return replace(_restricted(name, copied), reason=f"{name} is named after {_why(copied)}.")
    told = _metadata(card)
    license = _first(told.get("license"))
    if reason := _card_reason(told):
        return Verdict(name, "restricted", f"The card of {name} {reason}.", license)
    if reason := rows_reason(rows):
        return Verdict(name, "restricted", f"In {name}, {reason}.", license)
    hint = _hint(f"{path.parent.name}/{name}", told)
    reason = f"{name} is a file that does not say who wrote it{hint}."
    return Verdict(name, "unknown", reason, license, doubtful=bool(hint))


def rows_reason(rows: Iterable[Mapping]) -> str | None:
    """Return what rows say of a closed model that wrote them, or of restricted data that they come from; or None."""
    return next(filter(None, map(_row_reason, rows)), None)


def _row_reason(row: Mapping) -> str | None:
    for column in MARK_COLUMNS:
        if _is_marked(row.get(column)):
            return f"column {column!r} marks a row as restricted"
    for column in WRITER_COLUMNS:
        if reason := _writer_reason(row.get(column)):
            return f"column {column!r} says {reason}"
    return None


def _is_marked(value: object) -> bool:
    if isinstance(value, list):  # the candidates of a row
        return any(_is_marked(one.get("closed_source")) for one in value if isinstance(one, Mapping))
    return value == 1 if isinstance(value, int) else isinstance(value, str) and value.strip().lower() in ("true", "1")


def judge_model(
    name: str, *, card: CardData | None = None, ancestors: Mapping[str, CardData] | None = None
) -> Verdict:
    """Judge a model by what it was trained on, down to the base of its base.

    Args:
        name: Id, or ``embedded``.
        card: Metadata of its card; ``base_model`` and ``datasets`` are read of a model that is in no table.
        ancestors: Metadata of the cards of models that ``base_model`` leads to, by id.
    """
    return _judge_model(name, card, ancestors or {}, frozenset())


def _judge_model(name: str, card: CardData | None, ancestors: Mapping[str, CardData], seen: frozenset) -> Verdict:
    entry = find(MODELS, name)
    told = _metadata(card or ancestors.get(name))
    license = entry.license if entry else _first(told.get("license"))
    if not entry and (model := closed_model(name)):
        reason = f"{name} is {model}, a closed model, or has its name of one."
        return Verdict(name, "restricted", reason, license, OPENAI_TERMS_URL)
    bases = [entry.base] if entry and entry.base else _list(told.get("base_model"))
    data = entry.data if entry else _list(told.get("datasets"))
    parts = [_judge_model(base, None, ancestors, seen | {name}) for base in bases if base not in seen | {name}]
    parts += [judge_dataset(one) for one in data]
    parts += _own(name, entry, bool(data))
    if MARK_TAG in _list(told.get("tags")):
        parts.append(Verdict(name, "restricted", f"The card of {name} has the tag {MARK_TAG!r}.", license))
    return compose(name, parts, license=license)


def _own(name: str, entry: KnownModel | None, has_data: bool) -> Iterator[Verdict]:
    """Yield what a licence forbids, and what of the training is published in words, or not at all."""
    if entry and entry.term:
        yield Verdict(entry.name, "restricted", f"{entry.name}: {entry.term}.", entry.license, entry.source)
    if entry and entry.text:
        yield Verdict(entry.name, "clean", f"{entry.name}: {entry.text}.", entry.license, entry.source)
    if entry and entry.gap:
        yield Verdict(entry.name, "unknown", f"{entry.name}: {entry.gap}.", entry.license, entry.source)
    if not entry and not has_data:
        yield Verdict(name, "unknown", f"{name} is in no table, and no card says what data it was trained on.")


def _known_file(path: Path) -> Known | None:
    """Return what a file is known as by its content, which is read only if its size is that of a known file.

    A copy of SuperNI's repository is known by its lists of tasks.
    """
    if path.is_dir():
        return next((entry for one in path.glob("splits/*/train_tasks.txt") if (entry := _known_file(one))), None)
    if not path.is_file() or path.stat().st_size not in (size for size, _ in OPEN_FILES):
        return None
    with path.open("rb") as file:
        known = OPEN_FILES.get((path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()))
    return find(OPEN, known) if known else None


def _restricted(name: str, entry: Known) -> Verdict:
    return Verdict(name, "restricted", f"{_why(entry)}.", entry.license, entry.source)


def _why(entry: Known) -> str:
    return f"{entry.name}: {entry.written_by}, and {entry.term}"


def _card_reason(told: dict) -> str | None:
    if MARK_TAG in _list(told.get("tags")):
        return f"has the tag {MARK_TAG!r}"
    for tag in _list(told.get("tags")):
        if model := closed_model(tag):
            return f"has the tag {model!r}"
    for origin in _list(told.get("source_datasets")):
        if entry := find(RESTRICTED, origin.removeprefix("extended|")):
            return f"names {entry.name} as its source, of which it is known that {entry.written_by}"
    return None


def _writer_reason(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    if model := closed_model(value):
        return f"{model!r}"
    entry = find(RESTRICTED, value) or next((one for one in RESTRICTED if value.lower() in one.words), None)
    return f"{value!r}: {entry.written_by}, and {entry.term}" if entry else None


def _hint(name: str, told: dict) -> str:
    """Return what makes an unknown source doubtful, to be read after its name; empty where nothing does."""
    word = next((word for entry in RESTRICTED for word in entry.words if word in name.lower()), None)
    if word:
        return f", and its name has {word!r} in it as restricted data has"
    if "synthetic" in (tag.lower() for tag in _list(told.get("tags"))):
        return ", and its card says that a model wrote it, but not which"
    return ""


def _metadata(card: CardData | None) -> dict[str, object]:
    names = ("license", "tags", "source_datasets", "base_model", "datasets")
    return {name: card.get(name) for name in names} if card else {}


def _list(value: object) -> list[str]:
    """Return the texts that a field of a card holds; what else people write there says nothing."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


def _first(value: object) -> str | None:
    """Return the licence of a card that names one; of several it is not known which rows are under which."""
    found = _list(value)
    return found[0] if len(found) == 1 else None
