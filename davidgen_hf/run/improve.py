"""A generator that learns from its own scores: preferences of a run train the next one, and both are compared."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet
from datasets import Dataset

from davidgen_hf import schema
from davidgen_hf.corpus.build import build_corpus
from davidgen_hf.corpus.review import reviews_in_use
from davidgen_hf.engines import EngineSettings, release_models
from davidgen_hf.errors import RunFolderError, SettingError
from davidgen_hf.methods import Method
from davidgen_hf.processors.base import draw
from davidgen_hf.publish.export import write_tables
from davidgen_hf.publish.marks import is_restricted
from davidgen_hf.publish.preferences import document_of, read_preferences, require_scores
from davidgen_hf.recipe import SCORED, parse_recipe, selection_of
from davidgen_hf.run.generations import compare_generations, judge
from davidgen_hf.run.models import generator_of, method_with_models, with_generator
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.storage.digests import without_folders
from davidgen_hf.storage.files import explain_refusals, write_whole
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.progress import begin_step
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.shards import iterate_columns, shard_paths
from davidgen_hf.storage.yaml_files import read_config
from davidgen_hf.training.checkpoints import remove_checkpoints
from davidgen_hf.training.config import check_config

FILE_NAME = "improve.json"
_UNSHOWN = ("config", "overrides", "generator", "base_model")  # the training has the first two; paths are private
PASSAGE = tuple(schema.PASSAGE | schema.MADE_WITH)
Passages = list[dict[str, Any]]


@dataclass(frozen=True)
class ImproveSettings:
    """How a generator is improved.

    Args:
        rounds: Generations to train, each on the preferences among the candidates of the one before.
        held_out: Passages of other documents, from which no generation learns; None for a third, at most 200.
        min_margin: Minimum difference between best and worst candidate, in nats per token of the output.
        min_diversity: The rounds end where the winners' distinct-2 falls below this share of the first generation's.
        config: The recipe of the training, with the names of TRL's ``DPOConfig``; None for ``recipes/dpo.yaml``.
        overrides: Settings of the training, instead of those of the recipe.
        generator: Folder or Hub id of the run's generator; None for the one that it trained, or that it names.
        base_model: Folder or Hub id of the base model, which scores; None for the one that the run names.
        seed: Decides which documents are held out.

    Raises:
        SettingError: A setting is out of range.
    """

    rounds: int = 1
    held_out: int | None = None
    min_margin: float = 0.0
    min_diversity: float = 0.8
    config: Path | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    generator: str | None = None
    base_model: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        bad = [
            f"{name} must be {wanted}, got {getattr(self, name)}"
            for name, wanted, fits in (
                ("rounds", "at least 1", self.rounds >= 1),
                ("held_out", "at least 2", self.held_out is None or self.held_out >= 2),
                ("min_margin", "at least 0", self.min_margin >= 0),
                ("min_diversity", "0 to 1", 0 <= self.min_diversity <= 1),
            )
            if not fits
        ]
        if bad:
            raise SettingError(f"Settings are out of range: {'; '.join(bad)}. See `davidgen improve --help`.")

    def training(self) -> dict[str, Any]:
        """Return the settings of the training.

        Raises:
            SettingError: A key is unknown, or its value is of the wrong type or out of range.
        """
        from davidgen_hf.training.dpo import SECTIONS

        config = self.config or Path(str(files("davidgen_hf.recipes") / "dpo.yaml"))
        settings = read_config(config) | self.overrides
        check_config(settings, f"The training recipe ({config.name})", SECTIONS)
        return settings


@dataclass(frozen=True)
class Round:
    """What came of a round.

    Args:
        number: Number of the generation, from 1; 0 is the generator of the run.
        preferences: Number of preferences that it was trained on.
        generator: Its folder.
        figures: As ``compare_generations`` returns them, against the generation before.
        diversity: Its distinct-2 as a share of the first generation's; None if it was not measured.
        collapsed: Whether that is below the bound, so that no further round follows.
    """

    number: int
    preferences: int
    generator: Path
    figures: dict[str, Any]
    diversity: float | None
    collapsed: bool


def improve(
    run: Path,
    output: Path,
    settings: ImproveSettings,
    announce: Callable[[str], None],
    display: Callable[[Path], AbstractContextManager[object]] = nullcontext,
) -> list[Round]:
    """Train the next generations of a run's generator on the preferences among its candidates, and compare them.

    Each generation writes candidates for the passages that were held out, with the settings of the run and the same
    seeds. They are guarded, scored and ranked as in the run, so only the generator differs.

    Args:
        run: A run's folder, with a finished corpus.
        output: Folder for preferences, generators, candidates and ``improve.json``; an interrupted call resumes.
        settings: How.
        announce: Called with what begins.
        display: Entered with the output folder once it is locked, and left at the end, such as ``Display.over``.

    Returns:
        The rounds; the last one may have collapsed.

    Raises:
        RunFolderError: The run has no scores or too few passages, or the folder holds something else.
        DavidgenError: As for a run and a training.
    """
    training = settings.training()
    record = read_record(run)
    require_scores(run, record)
    if "corpus" not in record["steps"]:
        raise RunFolderError(
            f"The corpus of {run} is not finished. All candidates are needed, with their scores. Run the command of "
            "this run again."
        )
    select = selection_of(record)
    method = method_with_models(
        parse_recipe(record["name"], record["recipe"]), run, settings.generator, settings.base_model
    )
    generator = generator_of(method, run)
    learned, held_out = _split(run, method, settings)
    documents = frozenset(map(document_of, held_out))
    announce(f"{len(learned)} passages to learn from, {len(held_out)} to judge by")
    rounds: list[Round] = []
    steps = tuple(f"round_{number}" for number in range(settings.rounds + 1))
    with hold(output), explain_refusals(output), display(output):
        begin_step(steps[0], steps)
        first = before = _build(held_out, method, output / steps[0], "held_out", announce)
        for number in range(1, settings.rounds + 1):
            folder = output / steps[number]
            begin_step(steps[number], steps)
            if number == 1:
                sources, in_use = run, reviews_in_use(run)
            else:
                later = with_generator(method, generator)
                sources, in_use = _build(learned, later, folder, "learned", announce), None
            shards, stages = shard_paths(sources / SCORED), method.stages()
            tables = read_preferences(shards, stages, in_use, settings.min_margin, documents)
            count = write_tables(tables, folder / "preferences.parquet", marked=is_restricted(run))
            if not count:
                raise RunFolderError(
                    f"{run} has no preferences: no text has two candidates that differ by {settings.min_margin} nats "
                    "per token. A generator learns from them. Lower --min-margin, or generate more candidates."
                )
            announce(f"round {number}: trains on {count} preferences")
            generator = _train(run, generator, training, folder)
            after = _build(held_out, with_generator(method, generator), folder, "held_out", announce)
            judged = [judge(one / SCORED, select) for one in (first, before, after)]
            figures = compare_generations(judged[1], judged[2])
            against_first = figures if before == first else compare_generations(judged[0], judged[2])
            shares = against_first["distinct_2"]
            share = shares["after"]["value"] / shares["before"]["value"] if shares else None
            collapsed = share is not None and share < settings.min_diversity
            rounds.append(Round(number, count, Path(generator.model), figures, share, collapsed))
            _record(output, run, settings, training, rounds)
            before = after
            if collapsed:
                break
    return rounds


def _split(run: Path, method: Method, settings: ImproveSettings) -> tuple[Passages, Passages]:
    """Return the passages of a run to learn from and to judge by; which ones depends on the seed and the documents."""
    by_document: dict[tuple[Any, ...], Passages] = {}
    seen = set()
    for row in iterate_columns(run / method.stages()[0].name, PASSAGE):
        place = (document_of(row), row["document_start"], row["text"])
        if place not in seen:  # a passage has a row for each of its fragments
            seen.add(place)
            by_document.setdefault(document_of(row), []).append(row)
    wanted = settings.held_out or min(200, len(seen) // 3)
    order = sorted(by_document, key=lambda one: draw(2**64, settings.seed, *one))
    held_out: Passages = []
    for document in order:
        if len(held_out) >= wanted:
            break
        held_out += by_document.pop(document)
    learned = [row for rows in by_document.values() for row in rows]
    if len(held_out) < 2 or not learned:
        raise RunFolderError(
            f"{run} has {len(seen)} passages, and {wanted} are to be held out. Some must be left to learn from, and "
            "at least 2 are needed to judge by. Pass a fitting number with --held-out, or add passages to the run."
        )
    return learned, held_out


def _build(passages: Passages, method: Method, folder: Path, name: str, announce: Callable[[str], None]) -> Path:
    """Run the stages of the run over passages, with a generation's own generator, and return the folder."""
    announce(f"{folder.name}: candidates for {len(passages)} passages ({name})")
    build_corpus(iter(passages), Skipped(), method, folder / name, announce=announce)
    release_models()
    return folder / name


def _train(run: Path, generator: EngineSettings, training: dict[str, Any], folder: Path) -> EngineSettings:
    """Train the next generation, record what it is derived from, and return its engine."""
    from davidgen_hf.training.dpo import train_preferences
    from davidgen_hf.training.judging import judge_training, record_training

    named = {"model_name_or_path": generator.model}
    named |= {"model_revision": generator.revision} if generator.revision else {}
    provenance = judge_training({"dataset_name": str(run / SCORED)} | named)
    rows = Dataset(pyarrow.parquet.read_table(folder / "preferences.parquet", columns=list(schema.PREFERENCE)))
    train_preferences(rows, training | named, output_dir=folder / "generator", resume=True)
    remove_checkpoints(folder / "generator")
    record_training(folder / "generator", provenance)
    return replace(generator, model=str(folder / "generator"), revision=None)


def _record(output: Path, run: Path, settings: ImproveSettings, training: dict[str, Any], rounds: list[Round]) -> None:
    shown = {name: value for name, value in asdict(settings).items() if name not in _UNSHOWN}
    listed = [asdict(one) | {"generator": one.generator.relative_to(output).as_posix()} for one in rounds]
    training = {key: without_folders(value) for key, value in training.items()}
    content = {"run": run.resolve().name, "settings": shown, "training": training, "rounds": listed}
    write_whole(output / FILE_NAME, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def describe(rounds: list[Round], settings: ImproveSettings) -> Iterator[str]:
    """Yield what a user should know after the rounds, as sentences."""
    last = rounds[-1]
    share = "was not measured" if last.diversity is None else f"is {last.diversity:.0%} of the first generation's"
    if not last.collapsed:
        yield f"The winners' distinct-2 {share}; the bound is {settings.min_diversity:.0%}."
        yield f"The next generator is in {last.generator}. Use it: davidgen corpus RECIPE --generator {last.generator}"
        return
    yield f"Stopped after round {last.number}: the winners' distinct-2 {share}, below {settings.min_diversity:.0%}."
    kept = f"that of round {last.number - 1}" if last.number > 1 else "that of the run"
    yield f"Keep the generator before it, {kept}. Lower learning_rate or raise beta, and name another --output."
