"""Rows become seeds, in the plain form and in Self-Instruct's."""

import json

import pytest

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.recipe import load_recipe
from davidgen_hf.sources.passages import Skipped
from davidgen_hf.sources.seeds import SeedColumns, SeedSource, read_seeds


def seeds_of(tmp_path, *rows: dict, **settings):
    path = tmp_path / "s.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    skipped = Skipped()
    return read_seeds(SeedSource(str(path), **settings), skipped), skipped


def test_plain_and_nested_forms(tmp_path):
    nested = {"id": "n", "instruction": "i", "instances": [{"input": "x", "output": "o"}, {"output": "p"}]}
    seeds, _ = seeds_of(tmp_path, {"instruction": "a", "input": None, "output": "b"}, nested)
    assert [(row["id"], row["instruction"], row["input"], row["output"]) for row in seeds] == [
        ("s.jsonl:1", "a", "", "b"),
        ("n", "i", "x", "o"),
        ("n-1", "i", "", "p"),
    ]


@pytest.mark.parametrize(
    ("row", "seed"),
    [
        ({"instruction": "i", "context": "c", "response": "r", "category": "open_qa"}, ("i", "c", "r")),
        ({"instruction": "i", "context": "", "response": "r", "category": "open_qa"}, ("i", "", "r")),
        ({"input": "i", "output": "o", "source": "Wikipedia", "subset": "wikipedia"}, ("i", "", "o")),
        ({"task_name": "t", "id": "1", "definition": "d", "inputs": "i", "targets": "o"}, ("d", "i", "o")),
    ],
    ids=["dolly", "dolly_without_context", "longform", "superni"],
)
def test_known_columns_need_no_setting(tmp_path, row, seed):
    seeds, _ = seeds_of(tmp_path, row)
    assert (seeds["instruction"][0], seeds["input"][0], seeds["output"][0]) == seed


def test_columns_of_any_name(tmp_path):
    columns = SeedColumns("question", "answer", "facts")
    seeds, _ = seeds_of(tmp_path, {"question": "q", "answer": "a", "facts": "f"}, columns=columns)
    assert (seeds["instruction"][0], seeds["input"][0], seeds["output"][0]) == ("q", "f", "a")
    with pytest.raises(InputError, match=r"needs 'question' and 'answer', and may have 'facts'; .*with `columns`"):
        seeds_of(tmp_path, {"instruction": "a", "output": "b"}, columns=columns)


def test_columns_in_a_recipe():
    recipe = load_recipe("demo", ["seeds.source.columns={instruction: q, output: a}", "seeds.source.source=a/b"])
    assert recipe.seeds.source.columns == SeedColumns("q", "a")
    with pytest.raises(SettingError, match=r"source\.columns\.answer: unknown key"):
        load_recipe("demo", ["seeds.source.columns={answer: a}"])


def test_licences_are_demanded_of_seeds_as_well(tmp_path):
    seed = {"instruction": "a", "output": "b"}
    rows = [seed | {"license": name} for name in ("MIT", "CC BY-SA 4.0")]
    seeds, skipped = seeds_of(tmp_path, *rows, allowed_licenses=("permissive",))
    assert (seeds["license"], skipped.counts) == (["MIT"], {"license_not_allowed": 1})


def test_max_rows_counts_whole_seeds(tmp_path):
    whole = {"instruction": "a", "output": "b"}
    seeds, skipped = seeds_of(tmp_path, whole | {"output": ""}, whole, whole, whole, max_rows=2)
    assert (len(seeds), skipped.counts) == (2, {"empty": 1})


def test_half_seeds_are_counted(tmp_path):
    whole = {"instruction": "a", "output": "b"}
    seeds, skipped = seeds_of(tmp_path, whole, whole | {"output": ""}, whole | {"instruction": None})
    assert (len(seeds), skipped.counts) == (1, {"empty": 1, "null": 1})


def test_the_175_seed_tasks(shared_data):
    skipped = Skipped()
    seeds = read_seeds(SeedSource(str(shared_data / "self_instruct" / "seed_tasks.jsonl")), skipped)
    assert (len(seeds), sum(not given for given in seeds["input"]), skipped.counts) == (175, 50, {})


@pytest.mark.parametrize("row", [{"text": "a"}, {"instruction": "a"}, {"instruction": "a", "instances": []}])
def test_rows_that_are_not_seeds(tmp_path, row):
    with pytest.raises(InputError, match=r"s\.jsonl:1 is not a seed: .* the columns \[.*'instruction' and 'output'"):
        seeds_of(tmp_path, row)


def test_no_whole_seed(tmp_path):
    with pytest.raises(InputError, match=r"has no row with an instruction and an output: {'empty': 1}"):
        seeds_of(tmp_path, {"instruction": "a", "output": ""})
