"""The paper's method: a generator writes instructions for text that people wrote; the best one stays (section 2)."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from davidgen_hf.errors import SettingError
from davidgen_hf.methods.base import PassageMethod, Stage
from davidgen_hf.plugins import Table
from davidgen_hf.processors import (
    ExtractFragments,
    GenerateInstructions,
    GuardCandidates,
    KeepWhole,
    LimitPassages,
    Processor,
    ScoreCandidates,
    SelectInstruction,
)
from davidgen_hf.processors.near_duplicates import NearDuplicates
from davidgen_hf.processors.own import (
    OwnSteps,
    ShippedOrOwn,
    ShippedOwnOrNone,
    check_processor,
    field_of,
    with_steps,
)
from davidgen_hf.processors.styles import TABLE_9, style_prompts, translations

# What ``extract`` and ``guards`` can name, in the order in which they run, as "module:Class".
STRATEGIES = Table(
    "strategies",
    {
        "whole": "davidgen_hf.processors.extract:KeepWhole",
        "keywords": "davidgen_hf.processors.extract:ExtractKeywords",
        "sentence": "davidgen_hf.processors.extract:ExtractSentence",
        "model": "davidgen_hf.processors.extract:ExtractWithModel",
        "worked_example": "davidgen_hf.processors.worked_example:ExtractWorkedExample",
        "function": "davidgen_hf.processors.extract_code:ExtractFunction",
        "class": "davidgen_hf.processors.extract_code:ExtractClass",
        "file": "davidgen_hf.processors.extract_code:ExtractFile",
    },
    check_processor,
    reserved=("own",),
)
GUARDS = Table(
    "guards",
    {
        "code": "davidgen_hf.processors.guard_code:GuardCode",
        "decontaminate": "davidgen_hf.processors.decontaminate:Decontaminate",
    },
    check_processor,
    reserved=("rules", "near_duplicates", "own"),
)


@dataclass(frozen=True)
@with_steps(STRATEGIES)
class ExtractSettings:
    """The strategies of section 3.2 by the names of ``STRATEGIES``; each one that is named yields a fragment."""

    own: OwnSteps = ()

    def strategies(self) -> list[Processor]:
        """Return the strategies in the order of the table, a user's own last.

        Raises:
            SettingError: There is none.
        """
        named = [*_named(self, STRATEGIES), *self.own]
        if not named:
            raise SettingError(
                f"extract names no strategy. Name one or more of {', '.join(STRATEGIES)}, or your own as "
                "own: {package.module:Class: {settings}}."
            )
        return named


@dataclass(frozen=True)
@with_steps(GUARDS)
class GuardSettings:
    """What rejects candidates before they are scored: rules on a row, evaluation sets, the rest of the corpus."""

    rules: GuardCandidates = field(default_factory=GuardCandidates)
    near_duplicates: NearDuplicates | Literal["none"] = field(default_factory=NearDuplicates)
    own: OwnSteps = ()

    def on_rows(self) -> tuple[Processor, ...]:
        """Return the guards that look at one row at a time: the rules, those of ``GUARDS``, a user's own."""
        return (self.rules, *_named(self, GUARDS), *self.own)


def _named(settings: ExtractSettings | GuardSettings, table: Table) -> list[Processor]:
    fitting = {one.name for one in fields(settings)}
    steps = (getattr(settings, field_of(name)) for name in table if field_of(name) in fitting)
    return [step for step in steps if step is not None]


def _whole_passages() -> ExtractSettings:
    settings: Any = ExtractSettings  # a type checker does not see the fields that come from the table
    found: ExtractSettings = settings(whole=KeepWhole())
    return found


@dataclass(frozen=True)
class BackTranslation(PassageMethod):
    """3_corpus.yaml for ``method: back_translation``: the steps from passages to pairs.

    An engine whose ``model`` is left empty is the run's own: the generator that it trained where candidates are
    written, the base model everywhere else. ``guards: none`` lets every candidate through, as the paper does.
    ``score: none`` leaves the scores out; ``select`` then chooses the first candidate, or one at random.

    ``limit``, ``generate``, ``score`` and ``select`` may each hold ``own: {package.module:Class: {settings}}`` instead
    of settings: a processor of your own takes the place of the shipped one. ``extract`` and ``guards`` may have
    ``own`` next to the names of shipped steps.
    """

    limit: ShippedOrOwn[LimitPassages] = field(default_factory=LimitPassages, metadata={"role": "tokenizer"})
    extract: ExtractSettings = field(default_factory=_whole_passages, metadata={"role": "extractor"})
    generate: ShippedOrOwn[GenerateInstructions] = field(
        default_factory=GenerateInstructions, metadata={"role": "generator"}
    )
    guards: GuardSettings | Literal["none"] = field(default_factory=GuardSettings, metadata={"role": "scorer"})
    score: ShippedOwnOrNone[ScoreCandidates] = field(default_factory=ScoreCandidates, metadata={"role": "scorer"})
    select: ShippedOrOwn[SelectInstruction] = field(default_factory=SelectInstruction, metadata={"role": "scorer"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.extract.strategies()
        if not isinstance(self.select, SelectInstruction):
            return
        if self.score == "none" and (self.select.compares or self.select.needs):
            setting = f"choose: {self.select.choose}" if self.select.compares else "min_ifd and max_ifd"
            raise SettingError(
                f"score is none, and select compares scores ({setting}). Without scores, a candidate is taken by its "
                "place. Set select.choose to first or random, or score the candidates."
            )
        if isinstance(self.score, ScoreCandidates):
            missing = [f"score.{name}: true" for name in self.select.needs.values() if not getattr(self.score, name)]
            if missing:
                raise SettingError(f"select needs scores that score does not write. Set {' and '.join(missing)}.")
            if self.score.eliminate:
                self._check_elimination(self.select)

    @staticmethod
    def _check_elimination(select: SelectInstruction) -> None:
        needs_all = {
            f"choose: {select.choose}": select.choose != "best",
            "mask_copied_words": select.mask_copied_words is not None,
            "min_margin": select.min_margin > 0,
            "keep": select.keep > 1,
        }
        found = [name for name, needs in needs_all.items() if needs]
        if found:
            raise SettingError(
                f"score.eliminate drops candidates by their nll, and select needs the scores of others than the best "
                f"({', '.join(found)}). Only the best by nll is sure to be scored in full. Leave out score.eliminate, "
                "or these settings of select."
            )

    def _knowing_styles(self, guard: Processor) -> Processor:
        """Return a guard that knows the prompts of the recipe's own styles."""
        if not isinstance(guard, GuardCandidates) or not isinstance(self.generate, GenerateInstructions):
            return guard
        own = [style for name, style in style_prompts(self.generate.styles).items() if name not in TABLE_9]
        if self.generate.prompt_language == "row":
            own += [style for styles in translations().values() for style in styles.values()]
        texts = (text for style in own for text in (style.head, style.tail))
        return replace(guard, own_prompts=(*guard.own_prompts, *texts))

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages in order; those that the recipe does not want are left out."""
        guarded = []
        if self.guards != "none":
            guarded.append(Stage("guarded", tuple(map(self._knowing_styles, self.guards.on_rows()))))
            if self.guards.near_duplicates != "none":
                guarded.append(Stage("unique", (self.guards.near_duplicates,), whole_corpus=True))
        return (
            Stage("fragments", (self.limit, ExtractFragments(tuple(self.extract.strategies())))),
            Stage("candidates", (self.generate,)),
            *guarded,
            *([Stage("scored", (self.score,))] if self.score != "none" else []),
            Stage("corpus", (self.select,)),
        )
