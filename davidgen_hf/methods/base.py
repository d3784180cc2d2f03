"""What a method is: the settings of 3_corpus.yaml, and the stages that follow from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Tag

from davidgen_hf.engines import EngineSettings
from davidgen_hf.engines.roles import engines_in, with_engines
from davidgen_hf.errors import SettingError
from davidgen_hf.methods.seeds import SeedSettings
from davidgen_hf.schema import Row
from davidgen_hf.sources.passages import PassageSource, read_passages
from davidgen_hf.sources.source import ONE_OR_MORE, Skipped, check_names

MAX_SHARD_ROWS = 1_000_000  # a shard is in memory as a whole

Passages = Annotated[
    Annotated[PassageSource, Tag("One")] | Annotated[tuple[PassageSource, ...], Tag("More")],
    ONE_OR_MORE,
]


@dataclass(frozen=True)
class Stage:
    """One folder of a run: processors that run in order on each shard.

    Args:
        name: Name of the stage and of its folder.
        steps: The ``Processor``s that run on a shard, in this order; or, with ``whole_corpus``, one
        ``CorpusProcessor``.
        whole_corpus: Whether the stage needs every shard of the stage before it.
    """

    name: str
    steps: tuple[Any, ...]
    whole_corpus: bool = False


@dataclass(frozen=True)
class ReviewSettings:
    """Which rows of a reviewed corpus are exported, published and trained on; see ``davidgen review``.

    Args:
        use: ``not_rejected`` leaves out what people rejected, and ``accepted`` takes only what they accepted; both
            have the instructions that people chose or wrote. ``ignore`` takes the corpus as it was built.
    """

    use: Literal["accepted", "not_rejected", "ignore"] = "not_rejected"


@dataclass(frozen=True)
class Method:
    """Base of the methods: how many rows a shard has, and what the rows are.

    The fields of a method are the keys of 3_corpus.yaml. A field that holds steps names the role of the models in them
    with ``field(metadata={"role": ...})``; see ``engines.roles.engines_in``.

    Args:
        method: Name of the method, as the recipe gives it.
        shard_rows: Rows that a shard begins with; shards that exist keep the number that they have.
        target_pairs: Number of pairs that are wanted. Rows are read in waves of shards until there are as many, and
            what is beyond the last pair is left out. None reads all rows.
        review: How the decisions of reviewers count; no shard depends on it.

    Raises:
        SettingError: A value is out of range.
    """

    # What its steps count, from the first stage to the last, and what it is called where only that is shown.
    funnel: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "passages": "passages",
            "fragments": "fragments",
            "candidates": "candidates",
            "accepted": "candidates that no guard rejected",
            "pairs": "pairs",
        }
    )
    uses_seeds: ClassVar[bool] = False  # whether its rows have seeds in them, also where a generator is named

    method: str = "back_translation"
    shard_rows: int = 256
    target_pairs: int | None = None
    review: ReviewSettings = field(default_factory=ReviewSettings)

    def __post_init__(self) -> None:
        if not 1 <= self.shard_rows <= MAX_SHARD_ROWS:
            raise SettingError(f"shard_rows must be 1 to {MAX_SHARD_ROWS:,}, got {self.shard_rows}.")
        if self.target_pairs is not None and self.target_pairs < 1:
            raise SettingError(f"target_pairs must be at least 1, got {self.target_pairs}.")

    @property
    def sources(self) -> tuple[PassageSource, ...]:
        """The sources of the passages, none where a method reads no passages."""
        return ()

    def rows(self, seeds: SeedSettings, skipped: Skipped) -> Iterator[Row]:
        """Yield what the first stage is given, as rows of ``schema.PASSAGE``.

        Args:
            seeds: The settings of 1_seeds.yaml.
            skipped: Where rows that are left out are counted.

        Raises:
            InputError: A source cannot be read.
        """
        raise NotImplementedError

    def with_seeds(self, seeds: SeedSettings) -> Self:
        """Return these settings with the run's seeds in the steps that look at them."""
        return self

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages in order; the last one writes the columns of ``schema.PAIR``."""
        raise NotImplementedError

    def engines(self) -> Iterator[tuple[str, EngineSettings]]:
        """Yield the engines of all steps with their roles."""
        return engines_in(self)

    def with_models(self, base_model: str, generator: str, base_revision: str | None = None) -> Self:
        """Return these settings with the run's own models in the engines that name none."""

        def fill(role: str, engine: EngineSettings) -> EngineSettings:
            if engine.model:
                return engine
            if role == "generator":
                return replace(engine, model=generator)
            return replace(engine, model=base_model, revision=engine.revision or base_revision)

        return with_engines(self, fill)


@dataclass(frozen=True)
class PassageMethod(Method):
    """Base of the methods whose rows are passages.

    Args:
        passages: One source or a tuple of them, read one after another, each up to its own ``max_rows``.

    Raises:
        SettingError: A value is out of range, or two sources have the same name.
    """

    passages: Passages = field(default_factory=PassageSource)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("passages", self.sources)

    @property
    def sources(self) -> tuple[PassageSource, ...]:
        """The sources of the passages, one or more."""
        return (self.passages,) if isinstance(self.passages, PassageSource) else self.passages

    def rows(self, seeds: SeedSettings, skipped: Skipped) -> Iterator[Row]:
        """Yield the passages; see ``Method.rows``."""
        return read_passages(self.sources, skipped)


def check_method(name: str, found: Any) -> None:
    """Refuse what ``method`` cannot name.

    Raises:
        SettingError: It is not a method.
    """
    if not (isinstance(found, type) and issubclass(found, Method) and is_dataclass(found)):
        raise SettingError(
            f"{name} is not a method: it is {found!r}. A method is a frozen dataclass derived from "
            "davidgen_hf.methods.Method. See docs/add_a_method.md."
        )
