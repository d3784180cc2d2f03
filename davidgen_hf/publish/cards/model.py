"""The cards of the two models of a run, the instruction generator and the instruction follower."""

from pathlib import Path
from typing import Any, Literal

from huggingface_hub import ModelCard, ModelCardData
from markupsafe import Markup
from pydantic import BaseModel

from davidgen_hf.errors import RunFolderError
from davidgen_hf.evaluation.model_index import eval_results
from davidgen_hf.evaluation.results import FILE_NAME as RESULTS
from davidgen_hf.evaluation.results import FOLDER as EVALUATION
from davidgen_hf.evaluation.results import read_results
from davidgen_hf.evaluation.table import compare, to_markdown
from davidgen_hf.processors.styles import style_prompts
from davidgen_hf.prompts import render_follower
from davidgen_hf.provenance import judge_model
from davidgen_hf.publish.cards.facts import CITATION, describe_run, flatten, model_name, versions_of
from davidgen_hf.publish.cards.license import license_metadata
from davidgen_hf.publish.cards.notes import NOTES
from davidgen_hf.publish.cards.origin import Origin, origin_of
from davidgen_hf.publish.cards.rows import count_rows
from davidgen_hf.publish.cards.text import literal, plain, render
from davidgen_hf.recipe import parse_recipe
from davidgen_hf.sources.rows import on_hub
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.validation import read_json
from davidgen_hf.training.curve import FILE_NAME as CURVE
from davidgen_hf.training.summary import FILE_NAME


class _Rows(BaseModel):
    given: int = 0
    used: int = 0
    cut: int = 0
    cut_away: int = 0
    empty: int = 0
    tokens: int = 0


class _Training(BaseModel):
    """What a card shows of a model's own ``run.json``."""

    base_revision: str | None
    recipe: dict[str, Any]
    rows: _Rows
    batch: str
    steps: int
    loss_start: float | None
    loss_end: float | None
    tokens_seen: int
    seconds: float
    versions: dict[str, str]


Role = Literal["generator", "follower"]
ABOUT = {"generator": "instruction-generation", "follower": "instruction-tuning"}


def model_card(run: Path, role: Role, *, repo: str | None = None, notes: str = "") -> ModelCard:
    """Return the card of a model that a run has trained.

    Args:
        run: The run's folder.
        role: Which of its models.
        repo: Id of the corpus, ``org/name``; the models are ``org/name-generator`` and ``org/name-follower``. Without
            it, the card refers to the folder that it is in.
        notes: What someone wrote below an earlier card.

    Raises:
        RunFolderError: The run has no such model, or a file of it is damaged.
    """
    record, training = read_record(run), read_training(run / role)
    rows = count_rows([run])
    origin = origin_of([record], rows)
    base = model_name(record["recipe"][role]["model_name_or_path"])
    is_adapter = (run / role / "adapter_config.json").is_file()
    title = f"{repo.partition('/')[2] if repo else record['name']}-{role}"
    results = read_results(run) if role == "follower" and (run / EVALUATION / RESULTS).is_file() else None
    data = _metadata(record, role, base, origin, repo) | {
        "language": rows.iso_languages or None,
        "model_name": title,
        "library_name": "peft" if is_adapter else "transformers",
        "eval_results": eval_results(results) or None if results else None,
    }
    if on_hub(base):
        data |= {"base_model": base, "base_model_relation": "adapter" if is_adapter else "finetune"}
    facts = {
        "title": title,
        "arguments": _pipeline_arguments(f"{repo}-{role}" if repo else f"{run.resolve().name}/{role}", is_adapter),
        "kind": "An adapter (LoRA)" if is_adapter else "A fine-tuned copy",
        "base": Markup(f"[{plain(base)}](https://huggingface.co/{base})") if on_hub(base) else base,
        "base_revision": training["base_revision"],
        "license": _license(role, base, origin),
        "corpus": repo,
        "origin": origin,
        "training": training,
        "settings": ", ".join(flatten(training["recipe"])),
        "versions": versions_of(training),
        "curve": CURVE if (run / role / CURVE).is_file() else None,
        "runs": [describe_run(record, "recipe")],
        "recipes_are_files": False,
        "citation": CITATION,
        "notes": Markup(f"{NOTES}\n{notes}"),
    }
    facts |= _of_generator(record) if role == "generator" else _of_follower(run, record, results)
    return ModelCard(f"---\n{ModelCardData(**data).to_yaml()}\n---\n\n{render(role, facts)}")


def _metadata(record: dict[str, Any], role: Role, base: str, origin: Origin, repo: str | None) -> dict[str, Any]:
    """Return what both kinds of model have in common; ids that are not on the Hub are left to the text."""
    seeds = parse_recipe(record["name"], record["recipe"]).seeds.sources if role == "generator" else ()
    data = [repo] if role == "follower" else [one.source for one in seeds if on_hub(one.source)]
    return {
        **license_metadata(_license(role, base, origin)),
        "pipeline_tag": "text-generation",
        "datasets": list(dict.fromkeys(filter(None, data))) or None,
        "tags": ["davidgen", "trl", "sft", ABOUT[role], *origin.marks],
    }


def _pipeline_arguments(address: str, is_adapter: bool) -> Markup:
    """Return how a pipeline loads the model; of an adapter it would take the base model's tokenizer."""
    named = literal(address)
    return Markup(f'"text-generation", model={named}' + (f", tokenizer={named}" if is_adapter else ""))


def _license(role: Role, base: str, origin: Origin) -> str | None:
    """Return the license of the base model, as the run recorded it, or from the tables."""
    part = "base_model" if role == "generator" else "follower_base"
    recorded = [one.license for one in origin.provenance.of_role(part)]
    return recorded[0] if recorded else judge_model(base).license


def _of_generator(record: dict[str, Any]) -> dict[str, Any]:
    """Return how the generator is prompted: as its seeds were laid out."""
    seeds = parse_recipe(record["name"], record["recipe"]).seeds
    styles = style_prompts(seeds.reverse.styles)
    examples = {
        "following": render_follower("Name a river."),
        "tasks": seeds.tasks.render([("Name a river.", "", "The Nile.")] * seeds.tasks.examples),
    }
    example = {"layout": seeds.layout, "prompt": examples.get(seeds.layout)}
    return example | {"styles": list(styles), "style": next(iter(styles.values()))}


def _of_follower(run: Path, record: dict[str, Any], results: dict[str, Any] | None) -> dict[str, Any]:
    held_out = record["steps"].get("evaluation", {})
    return {
        "held_out": held_out if held_out.get("held_out") or held_out.get("too_long") else None,
        "benchmarks": Markup(to_markdown(compare([run]))) if results else None,
    }


def read_training(folder: Path) -> dict[str, Any]:
    """Return what a card says of a training, out of the record in the model's folder.

    Raises:
        RunFolderError: There is no finished training, or its record is damaged.
    """
    path = folder / FILE_NAME
    advice = "The record of a training is expected, and this one is damaged. Put back a copy of it."
    if not path.exists() or not read_json(path, dict[str, Any], advice, error=RunFolderError).get("finished"):
        raise RunFolderError(f"{folder} holds no finished training. Finish the run with `davidgen run`.")
    return read_json(path, _Training, advice, error=RunFolderError).model_dump()
