"""Where a dataset, a file or a model comes from: by its id, its card, its lineage, and what its rows say.

Nothing is clean without evidence: whatever no table and no card describes is unknown.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from huggingface_hub import CardData

from davidgen_hf.provenance.closed_models import OPENAI_TERMS_URL, closed_model
from davidgen_hf.provenance.evidence import (
    MARK_TAG,
    card_reason,
    doubt,
    facts_of,
    known_file,
    license_of,
    rows_reason,
    why,
)
from davidgen_hf.provenance.tables import KnownDataset, KnownModel, datasets, models
from davidgen_hf.provenance.verdict import Verdict, compose

# What tools that quantize or convert weights put behind a model's name.
_QUANTIZED = re.compile(
    r"(?:[-_.](?:i1|imat(?:rix)?|gguf|ggml|gptq|awq|exl[23]|mlx|hqq|aqlm|bnb|unsloth|quantized|onnx|openvino|dynamic|nf4"
    r"|int[48]|fp(?:8|16)|bf16|w\da\d+|[2-8](?:\.\d+)?-?(?:bits?|bpw)|i?q\d(?:_[a-z0-9]+)*|\d+g))+$"
)
# Who publishes copies under the names of the originals.
_COPIERS = frozenset(
    {
        "bartowski",
        "casperhansen",
        "ggml-org",
        "gaunernst",
        "hugging-quants",
        "lmstudio-community",
        "maziyarpanahi",
        "mlx-community",
        "mradermacher",
        "neuralmagic",
        "nousresearch",
        "quantfactory",
        "redhatai",
        "richarderkhov",
        "second-state",
        "thebloke",
        "unsloth",
    }
)


def judge_dataset(name: str, *, config: str | None = None, card: CardData | None = None) -> Verdict:
    """Judge a dataset of the Hub or of a package.

    The tables' entry of the id comes first; but a card that names a closed model, or a restricted dataset as its
    source, makes restricted even a dataset that the tables call clean.

    Args:
        name: Id, ``org/name``, or the name of a package.
        config: Configuration, where the parts of a dataset differ.
        card: Metadata of its card, ``DatasetCard.load(name).data``.
    """
    table = datasets()
    entry = (table.find(f"{name}:{config}") if config else None) or table.find(name)
    facts = facts_of(card)
    license = entry.license_concluded if entry else license_of(facts)
    if entry and entry.use == "restricted":
        return _known(name, entry)
    if reason := card_reason(facts):
        return Verdict(name, "restricted", f"The card of {name} {reason}.", license, OPENAI_TERMS_URL)
    if entry:
        return _known(name, entry)
    if model := closed_model(name):
        return Verdict(name, "restricted", f"The name of {name} has {model!r} in it.", license, OPENAI_TERMS_URL)
    hint = doubt(name, facts)
    return Verdict(name, "unknown", f"{name} is in no table{hint}.", license, doubtful=bool(hint))


def judge_source(
    source: str, *, config: str | None = None, card: CardData | None = None, rows: Iterable[Mapping[str, object]] = ()
) -> Verdict:
    """Judge what a recipe names: a file or folder if there is one of that path, else a dataset."""
    return judge_file(source, rows) if Path(source).exists() else judge_dataset(source, config=config, card=card)


def judge_file(path: str | Path, rows: Iterable[Mapping[str, object]] = (), card: CardData | None = None) -> Verdict:
    """Judge a file by what can be seen of it: its content, if it is a known one; its name; its card; its rows.

    Args:
        path: The file, or a folder, in which the names of all files count.
        rows: Rows of it, with ``EVIDENCE_COLUMNS`` as far as it has them.
        card: Metadata of the card of the folder that holds it.
    """
    path = Path(path)
    name = path.name
    if entry := known_file(path):
        return _known(name, entry)
    for file in [path, *sorted(path.rglob("*"))]:
        if model := closed_model(file.name):
            return Verdict(name, "restricted", f"The name of {file.name} has {model!r} in it.", None, OPENAI_TERMS_URL)
    copied = datasets().find_copy(name)
    if copied and copied.use == "restricted":
        return replace(_known(name, copied), reason=f"{name} is named after {why(copied)}.")
    facts = facts_of(card)
    license = license_of(facts)
    if reason := card_reason(facts):
        return Verdict(name, "restricted", f"The card of {name} {reason}.", license)
    if reason := rows_reason(rows):
        return Verdict(name, "restricted", f"In {name}, {reason}.", license)
    hint = doubt(f"{path.parent.name}/{name}", facts)
    reason = f"{name} is a file that does not say who wrote it{hint}."
    return Verdict(name, "unknown", reason, license, doubtful=bool(hint))


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


def judge_model_copy(name: str) -> Verdict | None:
    """Judge a folder by the restricted model that it is named after; None if it is not named after one."""
    copied = models().find_copy(name)
    verdict = judge_model(copied.ids[0].replace("*", "x")) if copied else None
    if copied is None or verdict is None or verdict.answer != "restricted":
        return None
    return replace(verdict, name=name, reason=f"{name} is named after {copied.name}. {verdict.reason}")


def _reuploaded(name: str) -> Verdict | None:
    """Judge a quantized copy, or one of those who publish copies, by the restricted model that it is named after."""
    owner, _, tail = name.lower().rpartition("/")
    plain = _QUANTIZED.sub("", tail)
    if not owner or (plain == tail and owner not in _COPIERS):
        return None
    # bartowski/Qwen_Qwen3-8B-GGUF, RichardErkhov/EleutherAI_-_gpt-neo-125m-4bits
    for one in (plain, plain.rpartition("_-_")[2], plain.partition("_")[2]):
        for entry in models().copied(one):
            verdict = judge_model(entry.ids[0].replace("*", "x"))
            if verdict.answer == "restricted":
                return replace(verdict, name=name, reason=f"{name} is named after {entry.name}. {verdict.reason}")
    return None


def _judge_model(name: str, card: CardData | None, ancestors: Mapping[str, CardData], seen: frozenset[str]) -> Verdict:
    entry = models().find(name)
    facts = facts_of(card or ancestors.get(name))
    license = entry.license_concluded if entry else license_of(facts)
    if not entry and (model := closed_model(name)):
        reason = f"{name} is {model}, a closed model, or has its name of one."
        return Verdict(name, "restricted", reason, license, OPENAI_TERMS_URL)
    if not entry and (copy := _reuploaded(name)):
        return copy
    bases = [entry.base] if entry and entry.base else facts["base_model"]
    data = entry.data if entry else facts["datasets"]
    parts = [_judge_model(base, None, ancestors, seen | {name}) for base in bases if base not in seen | {name}]
    parts += [judge_dataset(one) for one in data]
    parts += _own(name, entry, bool(data))
    if MARK_TAG in facts["tags"]:
        parts.append(Verdict(name, "restricted", f"The card of {name} has the tag {MARK_TAG!r}.", license))
    return compose(name, parts, license=license)


def _own(name: str, entry: KnownModel | None, has_data: bool) -> Iterator[Verdict]:
    """Yield what a licence forbids, and what of the training is published in words, or not at all."""
    if entry:
        known = (entry.because, "restricted"), (entry.text, "clean"), (entry.gap, "unknown")
        for words, answer in known:
            if words:
                reason = f"{entry.name}: {words}."
                yield Verdict(entry.name, answer, reason, entry.license_concluded, entry.source)  # type: ignore[arg-type]
        if entry.verified_on is None:
            reason = f"{entry.name}: nobody has verified yet what it was trained on."
            yield Verdict(entry.name, "unknown", reason, entry.license_concluded, entry.source)
    elif not has_data:
        yield Verdict(name, "unknown", f"{name} is in no table, and no card says what data it was trained on.")


def _known(name: str, entry: KnownDataset) -> Verdict:
    return Verdict(name, entry.use, f"{why(entry)}.", entry.license_concluded, entry.source)
