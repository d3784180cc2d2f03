"""Tasks that a generator wrote: cut from its list, and rejected as Self-Instruct and Alpaca reject them."""

import pytest
from datasets import Dataset

from davidgen_hf import prompts
from davidgen_hf.engines import EngineSettings, Sampling
from davidgen_hf.engines.echo import EchoEngine
from davidgen_hf.errors import SettingError
from davidgen_hf.processors import GuardTasks, WriteTasks, apply
from davidgen_hf.processors import write_tasks as module
from davidgen_hf.schema import CANDIDATES, empty_candidate

ECHO = EngineSettings(kind="echo", model="echo")
PROMPT, SECOND, THIRD = (prompts.render_meta([("Name a river.", "", name)], 3) for name in ("Nile", "Amur", "Ob"))
TASKS = [("Name two rivers.", "", "Amur and Nile."), ("Sort them.", "b a", "a b")]


class Scripted(EchoEngine):
    """Writes what a test says, by prompt."""

    def __init__(self, answers: dict[str, str | None], room: int = 1000) -> None:
        super().__init__(ECHO)
        self.answers, self.room = answers, room

    def generate(self, prompts, n, sampling):
        return [None if self.answers[prompt] is None else [self.answers[prompt]] for prompt in prompts]

    def tokens_left(self, contexts):
        return [self.room if context in self.answers else 5 for context in contexts]


@pytest.fixture
def write(monkeypatch):
    def write(answers: dict[str, str | None], max_new_tokens: int = 100) -> list[dict]:
        monkeypatch.setattr(module, "load_engine", lambda settings: Scripted(answers))
        rows = Dataset.from_dict({"id": [f"p{n}" for n in range(3)], "text": [PROMPT, SECOND, THIRD]})
        return list(apply(WriteTasks(ECHO, Sampling(max_new_tokens=max_new_tokens)), rows))

    return write


def test_each_task_has_a_row_with_its_output_in_its_text(write):
    written = prompts.render_tasks(TASKS, 2)
    rows = write({PROMPT: written, SECOND: "Name a lake.\n2. Output:\nBaikal"})
    found = [
        (row["id"], one["instruction"], one["input"], row["output"], one["reject_reason"])
        for row in rows
        for one in row["candidates"]
    ]
    assert found == [
        ("p0", "Name two rivers.", "", "Amur and Nile.", None),
        ("p0-1", "Sort them.", "b a", "a b", None),
        ("p1", "Name a lake.", "", "Baikal", "no_input"),
        ("p2", "", "", "", "prompt_too_long"),
    ]
    assert all(row["text"][row["start"] : row["end"]] == row["output"] for row in rows)
    assert rows[0]["text"] == "2. Instruction:\n" + written
    assert {(row["strategy"], row["output_written_by"]) for row in rows} == {("self_instruct", "echo")}


def test_a_task_that_was_cut_is_unfinished_and_those_before_it_are_not(write):
    written = prompts.render_tasks(TASKS, 2)
    rows = write({PROMPT: written, SECOND: None}, max_new_tokens=len(written.split()))
    reasons = [row["candidates"][0]["reject_reason"] for row in rows]
    assert reasons == [None, "unfinished", "engine_failed", "prompt_too_long"]


@pytest.mark.parametrize(
    ("instruction", "given", "output", "reason"),
    [
        ("Name a river of Asia.", "", "Amur.", None),
        ("Name a river.", "", "Amur.", "too_short"),
        ("word " * 151, "", "Amur.", "over_long"),
        ("Draw the course of a river.", "", "Amur.", "unfit_word"),
        ("Name a river. Then go to bed.", "", "Amur.", "unfit_word"),
        ("Say why drawing is fun.", "", "It is.", None),
        ("Write a program that names rivers.", "", "Amur.", "asks_for_program"),
        ("- Name a river of Asia.", "", "Amur.", "starts_with_punctuation"),
        ("Écrivez le nom d'un fleuve.", "", "Amur.", "not_english"),
        ("Correct this sentence for me.", "It are. ", " It are.", "repeats_input"),
        ("Correct this sentence for me.", "Sentence:", "It is.", "open_end"),
        ("Name some rivers of Asia.", "", "Here they are:", "open_end"),
    ],
)
def test_the_rules(instruction, given, output, reason):
    one = empty_candidate(instruction=instruction, input=given)
    other = one | {"reject_reason": "unfinished"}
    rows = Dataset.from_dict({"output": [output], "candidates": [[one, other]]}, features=None).cast_column(
        "candidates", CANDIDATES["candidates"]
    )
    assert [one["reject_reason"] for one in apply(GuardTasks(), rows)[0]["candidates"]] == [reason, "unfinished"]


def test_the_words_are_a_setting():
    rows = {"output": ["Amur."], "candidates": [[empty_candidate(instruction="Draw the course of a river.")]]}
    assert GuardTasks(unfit_words=())(rows)["candidates"][0][0]["reject_reason"] is None
    with pytest.raises(SettingError, match="unfit_words has an empty word"):
        GuardTasks(unfit_words=("",))
    with pytest.raises(SettingError, match="at most max_words, got 9 and 5"):
        GuardTasks(min_words=9, max_words=5)
