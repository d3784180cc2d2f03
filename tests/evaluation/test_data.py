import json
from functools import partial

import pytest
from huggingface_hub import hf_hub_download

from davidgen_hf.errors import InputError
from davidgen_hf.evaluation import data
from davidgen_hf.evaluation.data import longform_docs, superni_docs

TASK = "task039_qasc_find_overlapping_words"


def test_superni_task_gives_its_instances_and_examples(superni_folder):
    docs = superni_docs(TASK, superni_folder)
    assert len(docs) == 4
    assert docs[1] == {
        "task": TASK,
        "id": f"{TASK}-1",
        "definition": "Say the word that both sentences share",
        "input": "red 1 | 1 blue",
        "references": ["1", "the 1"],
        "examples": [{"input": f"a {n} | {n} b", "output": str(n)} for n in range(3)],
    }


def test_only_the_first_hundred_instances_count(superni_folder):
    path = superni_folder / f"{TASK}.json"
    content = json.loads(path.read_text("utf-8"))
    content["Instances"] = [{"id": str(n), "input": "x", "output": ["y"]} for n in range(120)]
    path.write_text(json.dumps(content), "utf-8")
    assert superni_docs(TASK, superni_folder)["id"][-1] == "99"


def test_a_clone_of_the_official_repository_is_a_folder_too(superni_folder):
    superni_folder.rename(superni_folder.with_name("tasks"))
    assert len(superni_docs(TASK, superni_folder.parent)) == 4


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "task039_qasc_find_overlapping_words.json: Invalid JSON: "),
        (
            '{"Definition": ["x"]}',
            r"\.json: Positive Examples: Field required; Instances: Field required\. A SuperNI",
        ),
        ("[]", r"\.json: Input should be an object, got \[\]\. A SuperNI task file has"),
        ('{"Definition": ["x"], "Positive Examples": [], "Instances": []}', "has no instances"),
        (None, "There is no task file"),
    ],
)
def test_broken_task_files_are_named(superni_folder, content, text):
    path = superni_folder / f"{TASK}.json"
    path.unlink()
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(InputError, match=text):
        superni_docs(TASK, superni_folder)


@pytest.fixture
def hub_copy(tmp_path, monkeypatch):
    """A folder laid out as the Hub's copy: one file a task, one row an output."""
    rows = [
        {"task_name": TASK, "id": f"{TASK}-{n}", "definition": "Find it", "inputs": f"in {n}", "targets": target}
        for n in range(102)
        for target in (["one", "two"] if n == 0 else ["one"])
    ]
    path = tmp_path / "hub" / "test" / f"{TASK}_test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    monkeypatch.setattr(data, "HUB_SUPERNI", str(tmp_path / "hub"))
    monkeypatch.setattr(data, "hub_commit", lambda dataset: None)


def test_outputs_of_the_hubs_copy_are_gathered_by_instance(hub_copy):
    docs = superni_docs(TASK)
    assert len(docs) == 100
    assert docs["references"][:2] == [["one", "two"], ["one"]]
    assert docs[0]["examples"] == []


def test_a_task_that_the_hubs_copy_lacks_says_what_to_name(hub_copy):
    with pytest.raises(InputError, match=r"holds the default track only. Name a folder of the official task files"):
        superni_docs("task1561_clickbait_new_bg_summarization")


@pytest.mark.parametrize(
    ("row", "doc"),
    [
        ({"input": "Ask", "output": "Answer"}, ("x.jsonl:1", "Ask", "", "Answer")),
        ({"id": 7, "instruction": "Ask", "input": "In", "output": "Answer"}, ("7", "Ask", "In", "Answer")),
        ({"instruction": "Ask", "output": ""}, ("x.jsonl:1", "Ask", "", "")),
        (
            {"id": "u", "instruction": "Ask", "instances": [{"input": "In", "output": "Answer"}]},
            ("u", "Ask", "In", "Answer"),
        ),
    ],
)
def test_longform_reads_three_shapes(tmp_path, row, doc):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row), "utf-8")
    assert longform_docs(path)[0] == dict(zip(("id", "instruction", "input", "reference"), doc, strict=True))


@pytest.mark.parametrize("row", [{"text": "a"}, {"instruction": "a"}, {"instances": [{"output": "a"}]}])
def test_longform_names_a_row_of_no_known_shape(tmp_path, row):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row), "utf-8")
    with pytest.raises(InputError, match=r"x.jsonl:1 has the fields .* it needs input and output \(LongForm\)"):
        longform_docs(path)


def test_a_hub_out_of_reach_says_what_to_do(monkeypatch, tmp_path):
    absent = partial(hf_hub_download, endpoint="http://127.0.0.1:9", cache_dir=tmp_path)
    monkeypatch.setattr(data, "hf_hub_download", absent)
    data.hub_commit.cache_clear()
    with pytest.raises(InputError, match=r"from akoksal/LongForm on the Hub \(LocalEntryNotFoundError\)\. Pass local"):
        longform_docs()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"instruction": "a", "output": 5}, "output: Input should be a valid string, got 5"),
        ({"instruction": ["a"], "output": "b"}, r"instruction: Input should be a valid string, got \['a'\]"),
        ({"instruction": "a", "instances": "b"}, "instances: Input should be a valid list, got 'b'"),
        ({"instruction": "a", "instances": [None]}, r"instances\.0: .*, got None"),
        ({"instruction": "a\ud800", "output": "b"}, "instruction: character 2 is half of a surrogate pair"),
    ],
)
def test_longform_names_the_field_that_is_not_text(tmp_path, row, problem):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row), "utf-8")
    with pytest.raises(InputError, match=rf"x\.jsonl:1: {problem}\. .* Fix that row"):
        longform_docs(path)
