"""The contract of every processor: its columns, its cache key, and running in map, in workers and in streams."""

import pickle
from pathlib import Path

import pytest
from datasets import Dataset, disable_caching
from datasets.fingerprint import Hasher

from davidgen_hf import processors
from davidgen_hf.engines import EngineSettings
from davidgen_hf.errors import MissingColumnsError
from davidgen_hf.processors import apply
from davidgen_hf.schema import CANDIDATES, empty_candidate
from davidgen_hf.sources.source import Source

ECHO = EngineSettings(kind="echo")
CANDIDATE = empty_candidate(instruction="Who built the bridge?", input="", style="chatbot", finished=True)
TEXT = "The bridge was built in 1849 by an engineer. It still carries the traffic of the whole town."
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
ROW = {"text": TEXT, "instruction": "Who?", "input": "", "output": TEXT, "language": "en", "id": "a"}
OTHERS = [{"instruction": f"Name {n} rivers.", "input": "", "output": "The Nile."} for n in range(4)]
STEPS = [
    processors.ReverseSeeds(),
    processors.FollowSeeds(),
    processors.ListSeeds(),
    processors.LimitPassages(engine=ECHO),
    processors.KeepWhole(),
    processors.ExtractKeywords(),
    processors.ExtractSentence(),
    processors.ExtractWithModel(engine=ECHO),
    processors.ExtractFragments((processors.KeepWhole(),)),
    processors.GenerateInstructions(engine=ECHO),
    processors.GenerateInstructions(
        engine=ECHO, styles={"title": {"head": "Text: ", "tail": " Title:"}, "chatbot": "none"}, styles_per_passage=3
    ),
    processors.GuardCandidates(),
    processors.Decontaminate((Source(str(CONSTRAINTS)),)),
    processors.ScoreCandidates(engine=ECHO),
    processors.SelectInstruction(),
    processors.WriteTasks(engine=ECHO),
    processors.GuardTasks(),
    processors.SelectInstruction(choose="random", keep=2),
]
each_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)


@pytest.fixture
def rows() -> Dataset:
    disable_caching()
    scored = CANDIDATE | {"nll": 4.0, "n_tokens": 2}
    made = Dataset.from_list([ROW | {"id": str(number)} for number in range(4)])
    made = made.add_column("candidates", [[CANDIDATE, scored]] * 4, feature=CANDIDATES["candidates"])
    return made.add_column("others", [OTHERS] * 4)


@each_step
def test_it_runs_the_same_in_map_in_workers_and_in_a_stream(step, rows):
    expected = apply(step, rows)
    assert expected.num_rows == 4
    assert {name: expected.features[name] for name in step.writes} == dict(step.writes)
    assert apply(step, rows, num_proc=2)[:] == expected[:]
    assert list(apply(step, rows.to_iterable_dataset())) == list(expected)


@each_step
def test_it_runs_in_plain_map(step, rows):
    removed = rows.column_names if step.changes_row_count else None
    assert rows.map(step, batched=True, remove_columns=removed)["id"][:] == rows["id"][:]


@each_step
def test_missing_columns_are_named(step, rows):
    name = type(step).__name__
    with pytest.raises(
        MissingColumnsError, match=rf"{name} needs the column\(s\) \[.*'{step.reads[0]}'.*has \['id'\]"
    ):
        apply(step, rows.select_columns(["id"]))


@each_step
def test_no_rows_give_no_rows_with_all_columns(step, rows):
    empty = apply(step, rows.select([]))
    assert empty.num_rows == 0
    assert set(step.writes) <= set(empty.column_names)


@each_step
def test_the_cache_key_depends_on_settings_and_version_and_not_on_a_model(step, rows):
    fresh = pickle.loads(pickle.dumps(step))
    key = Hasher.hash(fresh)
    apply(fresh, rows)
    assert Hasher.hash(fresh) == key == Hasher.hash(step)
    object.__setattr__(fresh, "version", step.version + 1)
    assert Hasher.hash(fresh) != key


def test_every_processor_is_covered():
    assert {type(step).__name__ for step in STEPS} == set(processors.__all__) - {
        "Processor",
        "CorpusProcessor",
        "ByRank",
        "NovelInstructions",  # compares the rows of one call: see test_novelty.py
        "apply",
    }
