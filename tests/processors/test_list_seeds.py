"""Seeds as lists of tasks (Table 8) and as rows of a follower (Table 7)."""

import pytest
from datasets import Dataset

from davidgen_hf import prompts
from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.methods.seeds import SeedSettings
from davidgen_hf.processors import ListSeeds
from davidgen_hf.schema import SEED
from davidgen_hf.sources.seeds import SeedSource
from davidgen_hf.sources.source import Skipped


def seeds(n: int = 8, words: int = 1) -> Dataset:
    rows = [
        {"instruction": f"Name {i} rivers.", "input": "" if i % 2 else "in Asia", "output": "Amur " * words}
        for i in range(n)
    ]
    return Dataset.from_list(
        [dict.fromkeys(SEED) | row | {"id": f"s{i}"} for i, row in enumerate(rows)], features=SEED
    )


@pytest.fixture
def settings(tmp_path):
    seeds().to_json(tmp_path / "seeds.jsonl")

    def settings(**given) -> SeedSettings:
        return SeedSettings(SeedSource(str(tmp_path / "seeds.jsonl")), held_out=2, **given)

    return settings


def test_a_list_holds_the_rows_own_task_and_others_of_the_training_seeds(settings):
    made = settings(layout="tasks", tasks=ListSeeds(examples=2, new_tasks=3))
    parts = made.read(Skipped())
    laid_out = made.lay_out(parts)
    assert {name: rows.num_rows for name, rows in laid_out.items()} == {"train": 6, "held_out": 2}
    assert set(laid_out["train"].column_names) == {*SEED, "prompt", "completion"}
    training = set(parts["train"]["instruction"])
    for name, rows in laid_out.items():
        for row in rows:
            tasks = prompts.parse_tasks(row["prompt"] + row["completion"])
            assert tasks[2] == (row["instruction"], row["input"], row["output"].strip())
            others = [task[0] for place, task in enumerate(tasks) if place != 2]
            assert len({*others, row["instruction"]}) == 5, name
            assert set(others) <= training
            assert row["prompt"].startswith("Write 5 tasks")
    again = made.lay_out(made.read(Skipped()))
    assert again["train"][:] == laid_out["train"][:]


def test_a_follower_learns_to_answer(settings):
    made = settings(layout="following")
    rows = made.lay_out(made.read(Skipped()))["train"]
    assert [prompts.parse_follower(prompt) for prompt in rows["prompt"]] == list(
        zip(rows["instruction"], rows["input"], strict=True)
    )
    assert rows["completion"][:] == rows["output"][:]


def test_long_seeds_are_not_drawn_and_too_few_are_an_error():
    mixed = Dataset.from_list(
        [*seeds(5), *(row | {"instruction": "Long"} for row in seeds(3, words=300))], features=SEED
    )
    assert {task[0] for task in ListSeeds().pool(mixed)} == set(seeds(5)["instruction"])
    with pytest.raises(InputError, match=r"4 of 4 seeds have at most 200 words\. A list of tasks needs 5 of them"):
        ListSeeds().pool(seeds(4))


def test_numbers_below_one_are_refused():
    with pytest.raises(SettingError, match="must be at least 1, got 3, 0 and 200"):
        ListSeeds(new_tasks=0)
