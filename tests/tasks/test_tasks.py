import json

import pytest
import yaml
from lm_eval.tasks import TaskManager

import davidgen_hf.evaluation.tasks
from davidgen_hf.errors import EvaluationError, InputError, SettingError
from davidgen_hf.evaluation.benchmark import tasks_path
from davidgen_hf.evaluation.tasks import local_tasks, parse_data, task_folder
from davidgen_hf.prompts import parse_follower
from davidgen_hf.tasks.superni.utils import table_7_prompt, tk_instruct_prompt

GROUP = "davidgen_superni_overlap_extraction"
TASKS = ("task039_qasc_find_overlapping_words", "task281_points_of_correspondence")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(davidgen_hf.evaluation.tasks, "HF_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def index():
    return TaskManager(include_path=str(tasks_path()), include_defaults=False).task_index


def members(index, group):
    """Return the names of the tasks in a group and the groups within it."""
    names = []
    for member in index[group].cfg["task"]:
        names += members(index, member) if isinstance(member, str) else [member["task"]]
    return names


@pytest.mark.parametrize(
    ("group", "track", "counts"),
    [("davidgen_superni", "default", (12, 119)), ("davidgen_superni_xlingual", "xlingual", (4, 35))],
)
def test_groups_hold_the_official_test_tasks(index, shared_data, group, track, counts):
    official = (shared_data / "superni" / "splits" / track / "test_tasks.txt").read_text("utf-8").split()
    assert sorted(members(index, group)) == sorted(official)
    assert (len(index[group].cfg["task"]), len(official)) == counts


def test_each_task_is_in_its_own_category(index, shared_data):
    checked = 0
    for path in (shared_data / "superni" / "tasks").glob("*.json"):
        category = json.loads(path.read_text("utf-8"))["Categories"][0]
        for prefix in ("davidgen_superni_", "davidgen_superni_xlingual_"):
            group = index.get(prefix + category.lower().replace(" ", "_"))
            if group and path.stem in members(index, group.name):
                assert group.cfg["group_alias"] == category
                checked += 1
    assert checked == 81


def test_variants_hold_what_the_groups_hold(index):
    for group in ("davidgen_superni", "davidgen_superni_xlingual"):
        assert members(index, f"{group}_tk_instruct") == members(index, group)


def test_each_member_reads_its_own_task(index):
    dicts = [one for entry in index.values() for one in entry.cfg.get("task", []) if isinstance(one, dict)]
    assert len(dicts) == 154
    assert all(one["dataset_kwargs"] == {"task": one["task"]} for one in dicts)


def test_table_7_is_the_prompt_of_a_task(superni_folder):
    task = load(local_tasks({"superni": superni_folder}, [GROUP])[0], GROUP)[f"{GROUP}::{TASKS[0]}"]
    doc = task.eval_docs[1]
    assert parse_follower(task.doc_to_text(doc)) == ("Say the word that both sentences share", "red 1 | 1 blue")
    assert task.doc_to_text(doc) == table_7_prompt(doc)


def test_tk_instructs_prompt_has_definition_two_examples_and_input(superni_folder):
    task = load(local_tasks({"superni": superni_folder}, [GROUP])[0], GROUP)[f"{GROUP}::{TASKS[0]}"]
    assert tk_instruct_prompt(task.eval_docs[1]) == (
        "Definition: Say the word that both sentences share.\n\n"
        " Positive Example 1 -\nInput: a 0 | 0 b.\n Output: 0.\n\n"
        " Positive Example 2 -\nInput: a 1 | 1 b.\n Output: 1.\n\n"
        "Now complete the following example -\nInput: red 1 | 1 blue.\nOutput: "
    )


def test_tk_instructs_prompt_needs_examples():
    with pytest.raises(InputError, match="needs positive examples, and task1 has none"):
        tk_instruct_prompt({"task": "task1", "examples": []})


def test_variant_has_the_same_tasks_with_the_other_prompt(superni_folder):
    name = "davidgen_superni_tk_instruct"
    folder, _ = local_tasks({"superni": superni_folder}, [name], partial=True)
    task = load(folder, name)[f"{GROUP}::{TASKS[0]}"]
    assert task.doc_to_text(task.eval_docs[0]).startswith("Definition: ")
    assert "Positive Example" in task.config.generation_kwargs["until"]


def test_absent_and_broken_task_files_are_all_named(superni_folder):
    (superni_folder / f"{TASKS[0]}.json").unlink()
    (superni_folder / f"{TASKS[1]}.json").write_text("{", "utf-8")
    with pytest.raises(EvaluationError) as caught:
        local_tasks({"superni": superni_folder}, [GROUP])
    assert "2 tasks cannot be read" in str(caught.value)
    assert f"{TASKS[0]}.json is not there." in str(caught.value)
    assert f"{TASKS[1]}.json: Invalid JSON" in str(caught.value)
    assert "leave them out with --partial" in str(caught.value)


def test_the_rest_continues_where_the_user_allows_it(superni_folder):
    (superni_folder / f"{TASKS[1]}.json").write_text("{", "utf-8")
    folder, left_out = local_tasks({"superni": superni_folder}, ["davidgen_superni"], partial=True)
    assert TASKS[1] in left_out
    assert len(left_out) == 118
    assert list(load(folder, "davidgen_superni")) == [f"{GROUP}::{TASKS[0]}"]


def test_a_folder_without_any_task_is_an_error(tmp_path):
    with pytest.raises(EvaluationError, match="holds no task of davidgen_superni_xlingual"):
        local_tasks({"superni": tmp_path}, ["davidgen_superni_xlingual"], partial=True)


def test_same_data_gives_the_same_folder_and_the_hub_the_package(superni_folder):
    folders = [task_folder({"superni": superni_folder}, [GROUP]) for _ in range(2)]
    assert folders[0] == folders[1]
    content = yaml.safe_load((folders[0] / f"{GROUP}.yaml").read_text("utf-8"))
    assert [member["task"] for member in content["task"]] == list(TASKS)
    assert task_folder({}, ["davidgen_superni"]) == tasks_path()


@pytest.mark.parametrize(
    ("data", "names", "error", "text"),
    [
        ({"mmlu": "."}, [GROUP], SettingError, "no benchmark mmlu; there are superni, longform, vicuna"),
        ({}, ["davidgen_mmlu"], SettingError, "no task davidgen_mmlu; there are .*davidgen_vicuna"),
        ({"superni": "absent"}, [GROUP], InputError, "no file or folder absent"),
    ],
)
def test_unknown_names_and_paths_are_named(data, names, error, text):
    with pytest.raises(error, match=text):
        local_tasks(data, names)


def test_data_are_named_by_benchmark_or_belong_to_the_only_one():
    assert str(parse_data(["superni=a/b"], ["davidgen_superni", "davidgen_longform"])["superni"]) == "a/b"
    assert str(parse_data(["a=b"], ["davidgen_longform"])["longform"]) == "a=b"
    with pytest.raises(SettingError, match=r"does not say whose data it is\. Write superni=x or longform=x"):
        parse_data(["x"], ["davidgen_superni", "davidgen_longform"])


def load(folder, name):
    return TaskManager(include_path=str(folder), include_defaults=False).load([name])["tasks"]
