"""Random samples of local data, and parts of one dataset that have no row in common."""

import json

import pytest

from davidgen_hf.errors import SettingError
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages
from davidgen_hf.sources.rows import read_rows
from davidgen_hf.sources.seeds import SeedSource, read_seeds


@pytest.fixture
def repository(tmp_path):
    """SuperNI's repository with 40 tasks of 30 instances."""
    names = [f"task{number:03d}_t" for number in range(40)]
    (tmp_path / "tasks").mkdir()
    (tmp_path / "splits" / "default").mkdir(parents=True)
    (tmp_path / "splits/default/train_tasks.txt").write_text("\n".join(names))
    for name in names:
        instances = [{"id": f"{name}-{n}", "input": f"in {n}", "output": [f"out {n}"]} for n in range(30)]
        task = {"Definition": ["Do it."], "URL": [], "Instance License": ["MIT"], "Output_language": ["English"]}
        (tmp_path / "tasks" / f"{name}.json").write_text(json.dumps(task | {"Instances": instances}))
    return str(tmp_path)


def tasks_of(ids: list[str]) -> set[str]:
    return {one.partition("-")[0] for one in ids}


def test_a_sample_of_supernis_tasks_comes_from_nearly_all_of_them(repository):
    asked = {"source": repository, "max_rows": 200}
    assert len(tasks_of(read_seeds(SeedSource(**asked), Skipped())["id"])) == 7
    seeds = read_seeds(SeedSource(**asked, shuffle_seed=1), Skipped())
    assert len(set(seeds["id"])) == 200
    assert len(tasks_of(seeds["id"])) >= 38
    assert seeds["id"] == read_seeds(SeedSource(**asked, shuffle_seed=1), Skipped())["id"]
    assert set(seeds["id"]) != set(read_seeds(SeedSource(**asked, shuffle_seed=2), Skipped())["id"])


def test_every_row_has_the_same_chance(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": str(n)}) + "\n" for n in range(20)))
    drawn = [
        int(row["text"])
        for seed in range(400)
        for row in read_passages(PassageSource(str(tmp_path / "a.jsonl"), max_rows=5, shuffle_seed=seed), Skipped())
    ]
    assert all(60 < drawn.count(number) < 140 for number in range(20))  # 100 are expected, with a deviation of 9


def test_a_sample_of_all_rows_is_another_order_of_them(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join("abcdefghij"))
    rows = list(read_passages(PassageSource(str(tmp_path / "a.txt"), max_rows=99, shuffle_seed=0), Skipped()))
    texts = [row["text"] for row in rows]
    assert (sorted(texts), texts != sorted(texts)) == (list("abcdefghij"), True)


def test_rows_per_task_and_a_sample_together(repository):
    seeds = read_seeds(SeedSource(repository, rows_per_task=2, max_rows=50, shuffle_seed=0), Skipped())
    assert len(tasks_of(seeds["id"])) >= 30
    assert {one.rpartition("-")[2] for one in seeds["id"]} == {"0", "1"}


def test_the_folds_of_a_dataset_have_no_row_in_common_and_all_of_them_together(repository):
    skipped = Skipped()
    seeds = read_seeds(SeedSource(repository, fold="0/2"), skipped)["id"]
    passages = read_passages(PassageSource(repository, text_column="targets", fold="1/2"), Skipped())
    ids = [row["id"] for row in passages]
    assert not set(seeds) & set(ids)
    assert set(seeds) | set(ids) == {row["id"] for _, row in read_rows(repository)}
    assert 500 < len(seeds) < 700
    assert skipped.counts == {"other_fold": len(ids)}


@pytest.mark.parametrize("fold", ["1", "2/2", "a/b", "-1/2", "1/0", "0/0", "1/99999", "1/2 "])
def test_a_fold_that_there_is_not(fold):
    with pytest.raises(SettingError, match=f"fold is '?{fold}"):
        SeedSource("a.jsonl", fold=fold)


def test_a_sample_of_local_files_needs_its_size():
    with pytest.raises(SettingError, match=r"without max_rows, and 'a\.jsonl' is not a Hub dataset.* Set max_rows"):
        SeedSource("a.jsonl", shuffle_seed=1)
