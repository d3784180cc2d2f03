"""A user's own processor or method, named in a recipe as package.module:Class, is treated as the shipped ones are."""

import json
import sys
import textwrap
from pathlib import Path

import pytest

from davidgen_hf.errors import ProvenanceError, SettingError
from davidgen_hf.methods import Method
from davidgen_hf.recipe import Recipe, load_recipe
from davidgen_hf.run.provenance import Pins, judge, pin
from davidgen_hf.run.run import run_recipe
from davidgen_hf.storage.shards import read_shards

MODULE = '''
    """Steps of a user's own."""

    from dataclasses import dataclass, field, replace
    from typing import ClassVar

    from davidgen_hf.engines import EngineSettings, load_engine
    from davidgen_hf.methods import BackTranslation, Stage
    from davidgen_hf.processors import GenerateInstructions, LimitPassages, ScoreCandidates, SelectInstruction
    from davidgen_hf.processors.extract import fragments
    from davidgen_hf.schema import CANDIDATES, FRAGMENT


    @dataclass(frozen=True)
    class Shout:
        reads: ClassVar = ("text",)
        writes: ClassVar = FRAGMENT
        changes_row_count: ClassVar = True

        marks: int = 1
        engine: EngineSettings = field(default_factory=EngineSettings)
        version: int = 1

        def __call__(self, batch):
            shouted = [(text.upper() + "!" * self.marks, None, None) for text in batch["text"]]
            return fragments(batch, "shout", shouted)


    @dataclass(frozen=True)
    class RejectWord:
        reads: ClassVar = ("candidates",)
        writes: ClassVar = CANDIDATES
        changes_row_count: ClassVar = False

        word: str = "river"
        version: int = 1

        def __call__(self, batch):
            return {"candidates": [[self._mark(one) for one in many] for many in batch["candidates"]]}

        def _mark(self, one):
            hit = one["reject_reason"] is None and self.word in one["instruction"]
            return one | {"reject_reason": "has_word"} if hit else one


    @dataclass(frozen=True)
    class Generate(GenerateInstructions):
        def __call__(self, batch):
            written = super().__call__(batch)["candidates"]
            return {"candidates": [[one | {"style": "own"} for one in many] for many in written]}


    @dataclass(frozen=True)
    class Limit(LimitPassages):
        pass


    @dataclass(frozen=True)
    class Score(ScoreCandidates):
        pass


    @dataclass(frozen=True)
    class Select(SelectInstruction):
        pass


    @dataclass(frozen=True)
    class Unguarded(BackTranslation):
        loud: bool = False

        def stages(self):
            return tuple(stage for stage in super().stages() if stage.name not in ("guarded", "unique"))


    class Plain:
        pass
'''
TEXTS = [f"The house number {n} stands by the river, and {n + 1} people live in it." for n in range(6)]


@pytest.fixture
def own(tmp_path, monkeypatch) -> str:
    (tmp_path / "my_steps.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_steps"
    sys.modules.pop("my_steps", None)


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    echo = [f"corpus.{step}.engine={{kind: echo, model: echo}}" for step in ("limit", "generate", "score")]
    lenient = "corpus.guards.rules={max_copied_run: 99, max_copied_share: 1.0, min_language_confidence: 1.01}"

    def recipe(*overrides: str) -> Recipe:
        return load_recipe("demo", [f"corpus.passages.source={tmp_path}/texts.jsonl", *echo, lenient, *overrides])

    return recipe


def strategy(module: str, **settings) -> str:
    return f"corpus.extract={json.dumps({'own': {f'{module}:Shout': settings}})}"


def test_an_own_step_runs_in_each_stage(own, recipe, tmp_path):
    engine = {"engine": {"kind": "echo", "model": "echo"}}
    asked = recipe(
        strategy(own, marks=2, **engine),
        f"corpus.guards.own={json.dumps({f'{own}:RejectWord': {'word': 'THE'}})}",
        *(
            f"corpus.{name}={json.dumps({'own': {f'{own}:{kind}': settings}})}"
            for name, kind, settings in (
                ("limit", "Limit", engine),
                ("generate", "Generate", engine | {"n": 3}),
                ("score", "Score", engine),
                ("select", "Select", {"min_margin": 0.0}),
            )
        ),
    )
    names = [[type(step).__name__ for step in stage.steps] for stage in asked.corpus.stages()]
    assert names == [
        ["Limit", "ExtractFragments"],
        ["Generate"],
        ["GuardCandidates", "RejectWord"],
        ["NearDuplicates"],
        ["Score"],
        ["Select"],
    ]
    record = run_recipe(asked, tmp_path / "run", lambda _: None, steps=("corpus",))
    rows = read_shards(tmp_path / "run" / "scored")
    assert set(rows["strategy"]) == {"shout"}
    assert rows["output"][0] == TEXTS[0].upper() + "!!"
    assert {one["style"] for many in rows["candidates"] for one in many} == {"own"}
    assert {len(many) for many in rows["candidates"]} == {3}
    counts = record.steps["corpus"]["counts"]
    assert counts["fragments"]["fragments.shout"] == len(TEXTS)
    assert counts["guarded"]["rejected.has_word"] > 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('{"own": {"my_steps:Shout": {"marcs": 2}}}', "my_steps:Shout: marcs: unknown key"),
        ('{"own": {"my_steps:Shout": {"marks": "two"}}}', "my_steps:Shout: marks: input should be a valid integer"),
        ('{"own": {"my_steps:Shout": {"engine": {"kind": "gpt"}}}}', "kind must be one of"),
        ('{"own": {"my_steps:Whisper": {}}}', "my_steps:Whisper cannot be imported"),
        ('{"own": {"no_such_module:Shout": {}}}', "no_such_module:Shout cannot be imported"),
        ('{"own": {"my_steps:Plain": {}}}', "my_steps:Plain is not a processor"),
        ('{"own": {"Shout": {}}}', "Shout cannot be imported"),
    ],
)
@pytest.mark.usefixtures("own")
def test_its_settings_are_checked_as_strictly_as_ours(recipe, override, message):
    with pytest.raises(SettingError, match=r"3_corpus\.yaml") as refused:
        recipe(f"corpus.extract={override}")
    assert message in str(refused.value)


def test_its_model_is_judged_and_pinned_as_ours(own, recipe):
    closed = {
        "kind": "server",
        "model": "gpt-4o",
        "base_url": "https://api.openai.com/v1",
        "allow_closed_source": True,
    }
    rules = ("provenance.allow_restricted=false", "provenance.undeclared=stop")
    asked = recipe(strategy(own, engine=closed), *rules)
    with pytest.raises(ProvenanceError, match="gpt-4o"):
        judge(asked, Pins(None), ("corpus",))
    allowed = recipe(strategy(own, engine=closed), "provenance.allow_restricted=true")
    parts = judge(pin(allowed, Pins(None), ("corpus",)), Pins(None), ("corpus",)).parts
    assert [(part.name, part.answer) for part in parts if part.role == "extractor"] == [("gpt-4o", "restricted")]


def test_its_empty_engine_is_the_base_model(own, recipe):
    filled = recipe(strategy(own)).corpus.with_models("base", "generator", "a" * 40)
    (step,) = filled.extract.strategies()
    assert (step.engine.model, step.engine.revision) == ("base", "a" * 40)


def test_a_method_of_ones_own(own, recipe, tmp_path):
    asked = recipe(f"corpus.method={own}:Unguarded", "corpus.loud=true")
    assert isinstance(asked.corpus, Method)
    run_recipe(asked, tmp_path / "run", lambda _: None, steps=("corpus",))
    stages = ["fragments", "candidates", "scored", "corpus"]
    assert {path.parent.name for path in Path(tmp_path / "run").glob("*/00000.parquet")} == set(stages)
    with pytest.raises(SettingError, match="loud: unknown key"):
        recipe("corpus.loud=true")


@pytest.mark.parametrize("method", ["front_translation", "my_steps:Plain", "7"])
@pytest.mark.usefixtures("own")
def test_an_unknown_method_is_named_with_those_that_exist(recipe, method):
    with pytest.raises(SettingError, match=r"method: got .*Name one of back_translation"):
        recipe(f"corpus.method={method}")
