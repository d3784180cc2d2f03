"""The paper's method: a generator writes instructions for text that people wrote; the best one stays (section 2)."""

from dataclasses import dataclass, field, fields
from typing import Literal

from davidgen_hf.errors import SettingError
from davidgen_hf.methods.base import Method, Stage
from davidgen_hf.processors import (
    Decontaminate,
    ExtractFragments,
    ExtractKeywords,
    ExtractSentence,
    ExtractWithModel,
    GenerateInstructions,
    GuardCandidates,
    KeepWhole,
    LimitPassages,
    Processor,
    ScoreCandidates,
    SelectInstruction,
)
from davidgen_hf.processors.near_duplicates import NearDuplicates
from davidgen_hf.processors.own import OwnSteps, ShippedOrOwn


@dataclass(frozen=True)
class ExtractSettings:
    """The strategies of section 3.2; each one that is named yields a fragment of each passage."""

    whole: KeepWhole | None = None
    keywords: ExtractKeywords | None = None
    sentence: ExtractSentence | None = None
    model: ExtractWithModel | None = None
    own: OwnSteps = ()

    def strategies(self) -> list[Processor]:
        """Return the strategies in the order above, a user's own last.

        Raises:
            SettingError: There is none.
        """
        shipped = [one.name for one in fields(self) if one.name != "own"]
        named = [one for one in (getattr(self, name) for name in shipped) if one is not None] + list(self.own)
        if not named:
            raise SettingError(
                f"extract names no strategy. Name one or more of {', '.join(shipped)}, or your own as "
                "own: {package.module:Class: {settings}}."
            )
        return named


@dataclass(frozen=True)
class GuardSettings:
    """What rejects candidates before they are scored: rules on a row, evaluation sets, the rest of the corpus."""

    rules: GuardCandidates = field(default_factory=GuardCandidates)
    decontaminate: Decontaminate | None = None
    near_duplicates: NearDuplicates | Literal["none"] = field(default_factory=NearDuplicates)
    own: OwnSteps = ()

    def on_rows(self) -> tuple[Processor, ...]:
        """Return the guards that look at one row at a time, in order."""
        named = [getattr(self, one.name) for one in fields(self) if one.name not in ("near_duplicates", "own")]
        return (*(one for one in named if one is not None), *self.own)


@dataclass(frozen=True)
class BackTranslation(Method):
    """3_corpus.yaml for ``method: back_translation``: the steps from passages to pairs.

    An engine whose ``model`` is left empty is the run's own: the generator that it trained where candidates are
    written, the base model everywhere else. ``guards: none`` lets every candidate through, as the paper does.

    ``limit``, ``generate``, ``score`` and ``select`` may each hold ``own: {package.module:Class: {settings}}`` instead
    of settings: a processor of your own takes the place of the shipped one. ``extract`` and ``guards`` may have
    ``own`` next to the names of shipped steps.
    """

    limit: ShippedOrOwn[LimitPassages] = field(default_factory=LimitPassages, metadata={"role": "tokenizer"})
    extract: ExtractSettings = field(
        default_factory=lambda: ExtractSettings(whole=KeepWhole()), metadata={"role": "extractor"}
    )
    generate: ShippedOrOwn[GenerateInstructions] = field(
        default_factory=GenerateInstructions, metadata={"role": "generator"}
    )
    guards: GuardSettings | Literal["none"] = field(default_factory=GuardSettings, metadata={"role": "scorer"})
    score: ShippedOrOwn[ScoreCandidates] = field(default_factory=ScoreCandidates, metadata={"role": "scorer"})
    select: ShippedOrOwn[SelectInstruction] = field(default_factory=SelectInstruction, metadata={"role": "scorer"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.extract.strategies()
        if isinstance(self.select, SelectInstruction) and isinstance(self.score, ScoreCandidates):
            missing = [f"score.{name}: true" for name in self.select.needs.values() if not getattr(self.score, name)]
            if missing:
                raise SettingError(f"select needs scores that score does not write. Set {' and '.join(missing)}.")

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages in order; without guards, two of them are left out."""
        guarded = []
        if self.guards != "none":
            guarded.append(Stage("guarded", self.guards.on_rows()))
            if self.guards.near_duplicates != "none":
                guarded.append(Stage("unique", (self.guards.near_duplicates,), whole_corpus=True))
        return (
            Stage("fragments", (self.limit, ExtractFragments(tuple(self.extract.strategies())))),
            Stage("candidates", (self.generate,)),
            *guarded,
            Stage("scored", (self.score,)),
            Stage("corpus", (self.select,)),
        )
