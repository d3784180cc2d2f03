"""SuperNI's official repository becomes rows; the lists of tasks keep test tasks out."""

import json

import pytest

from davidgen_hf.errors import InputError
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages
from davidgen_hf.sources.rows import read_rows
from davidgen_hf.sources.seeds import SeedSource, read_seeds

TASK = {
    "URL": ["https://example.org/a"],
    "Definition": [" Say it again.", "Repeat."],
    "Output_language": ["German"],
    "Instances": [{"id": "t-1", "input": "a", "output": ["A", "b"]}, {"id": "t-2", "input": "c", "output": ["C"]}],
    "Instance License": ["MIT"],
}


@pytest.fixture
def repository(tmp_path):
    """A repository with a train task and a test task, and a name in the list whose file is not there."""

    def write(name: str, content: str | dict) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(tmp_path)

    write("splits/default/train_tasks.txt", "task3_gone\ntask1_train\n")
    write("splits/default/test_tasks.txt", "task2_test\n")
    write("tasks/task1_train.json", TASK)
    write("tasks/task2_test.json", TASK | {"Instances": [{"id": "u-1", "input": "x", "output": ["y"]}]})
    return write


def test_a_row_has_the_hub_copys_columns_and_the_tasks_origin(repository, tmp_path):
    rows = list(read_rows(str(tmp_path)))
    assert [place for place, _ in rows] == ["task1_train.json:1", "task1_train.json:2"]
    assert rows[0][1] == {
        "id": "t-1",
        "task_name": "task1_train",
        "definition": "Say it again.",
        "inputs": "a",
        "targets": "A",
        "license": "MIT",
        "language": "de",
        "url": "https://example.org/a",
    }


def test_a_language_without_a_code_is_undetermined(repository, tmp_path):
    repository("tasks/task1_train.json", TASK | {"Output_language": ["Klingon"]})
    assert {row["language"] for _, row in read_rows(str(tmp_path))} == {"und"}


def test_the_train_tasks_as_passages(shared_data):
    folder = shared_data / "superni"
    passages = list(read_passages(PassageSource(str(folder), text_column="targets"), Skipped()))
    assert len(passages) == 8021
    assert len({row["id"] for row in passages}) == 8021
    files = [folder / "tasks" / f"{name}.json" for name in _listed(folder, "train")]
    outputs = {}
    for task in (json.loads(path.read_text("utf-8")) for path in files if path.is_file()):
        outputs |= {one["id"]: (one["output"][0], task["Instance License"][0]) for one in task["Instances"]}
    assert {row["id"]: (row["text"], row["license"]) for row in passages} == outputs


def test_permissive_tasks_alone(shared_data):
    asked = PassageSource(str(shared_data / "superni"), text_column="targets", allowed_licenses=("permissive",))
    skipped = Skipped()
    licenses = [row["license"] for row in read_passages(asked, skipped)]
    assert len(licenses) == 6321
    assert not [name for name in licenses if "SA" in name]
    assert skipped.counts == {"license_not_allowed": 1700}


def test_the_train_tasks_as_seeds_no_test_task_among_them(shared_data):
    folder = shared_data / "superni"
    seeds = read_seeds(SeedSource(str(folder), rows_per_task=3), Skipped())
    assert len(seeds) == 3 * 81
    definitions = {
        json.loads(path.read_text("utf-8"))["Definition"][0].strip()
        for path in (folder / "tasks" / f"{name}.json" for name in _listed(folder, "test"))
        if path.is_file()
    }
    assert len(definitions) > 50
    assert not definitions & set(seeds["instruction"])
    assert all(seeds["output"])


def test_rows_per_task_and_max_rows(repository, tmp_path):
    repository("tasks/task3_gone.json", TASK | {"Instances": [{"id": "v", "input": "", "output": ["w"]}] * 1})
    seeds = read_seeds(SeedSource(str(tmp_path), rows_per_task=1), Skipped())
    assert (seeds["id"], seeds["instruction"][1], seeds["input"][1]) == (["t-1", "v"], "Say it again.", "")
    assert read_seeds(SeedSource(str(tmp_path), max_rows=2), Skipped())["id"] == ["t-1", "t-2"]


def test_the_hub_copy_has_a_row_an_output_of_which_the_first_is_taken(tmp_path):
    row = {"task_name": "t", "definition": "d", "inputs": "i"}
    rows = [{"id": "1", "targets": "a"}, {"id": "1", "targets": "b"}, {"id": "2", "targets": "c"}]
    (tmp_path / "ni.jsonl").write_text("".join(json.dumps(row | one) + "\n" for one in rows))
    seeds = read_seeds(SeedSource(str(tmp_path / "ni.jsonl")), Skipped())
    assert list(zip(seeds["id"], seeds["output"], strict=True)) == [("1", "a"), ("2", "c")]


def test_the_folder_of_tasks_alone_is_not_enough(repository, tmp_path):
    with pytest.raises(InputError, match=r"no list of the train tasks .*Name the folder of the whole repository"):
        list(read_rows(str(tmp_path / "tasks")))


def test_an_unknown_split_lists_those_there_are(repository, tmp_path):
    with pytest.raises(
        InputError, match=r"no list of the dev tasks of track 'default'; it has \['default test_tasks', "
    ):
        list(read_rows(str(tmp_path), split="dev"))


def test_no_task_of_the_list(repository, tmp_path):
    repository("splits/default/train_tasks.txt", "task9\n")
    with pytest.raises(InputError, match=r"has no task of train_tasks\.txt\. .*Download the repository again"):
        list(read_rows(str(tmp_path)))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("{", "not valid JSON.* Fix or remove it"),
        ({"Definition": ["d"]}, "URL: Field required.* Download it again"),
        ("[]", "Input should be a valid dictionary.* Download it again"),
        (TASK | {"URL": 1}, "URL: Input should be a valid list.* Download it again"),
    ],
)
def test_a_damaged_task_file(repository, tmp_path, content, found):
    repository("tasks/task1_train.json", content)
    with pytest.raises(InputError, match=rf"task1_train\.json is not a SuperNI task file: {found}"):
        list(read_rows(str(tmp_path)))


def _listed(folder, split: str) -> list[str]:
    return (folder / "splits" / "default" / f"{split}_tasks.txt").read_text("utf-8").split()
