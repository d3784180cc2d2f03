"""Every column is guarded, not only the text: ids, addresses, licences, inputs, times, labels, media."""

import json

import pyarrow
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from pyarrow import parquet

from davidgen_hf.errors import InputError
from davidgen_hf.sources.hub import read_dataset
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages
from davidgen_hf.sources.rows import read_rows
from davidgen_hf.sources.seeds import SeedSource, read_seeds

TEXTS = ["Salt dissolves in water.", "Oil floats on water."]
NOT_UTF8 = pyarrow.Array.from_buffers(
    pyarrow.string(), 2, [None, pyarrow.py_buffer(b"\0\0\0\0\4\0\0\0\7\0\0\0"), pyarrow.py_buffer(b"caf\xe9tea")]
)


def write_lines(path, *rows: dict) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def passages(source: str, **settings) -> tuple[list[dict], dict[str, int]]:
    skipped = Skipped()
    return list(read_passages(PassageSource(source, **settings), skipped)), skipped.counts


@pytest.mark.parametrize("column", ["id", "url", "license", "language", "source"])
def test_half_a_character_in_any_column_is_counted(tmp_path, column):
    bad = {"text": "a", column: "https://\ud800"}
    found, counts = passages(write_lines(tmp_path / "a.jsonl", bad, {"text": "b"}))
    assert ([row["text"] for row in found], counts) == (["b"], {"lone_surrogate": 1})


@pytest.mark.parametrize("column", ["id", "instruction", "input", "output", "url", "license"])
def test_half_a_character_in_any_column_of_a_seed_is_counted(tmp_path, column):
    seed = {"instruction": "a", "input": "b", "output": "c"}
    skipped = Skipped()
    found = read_seeds(SeedSource(write_lines(tmp_path / "a.jsonl", seed | {column: "\udfff"}, seed)), skipped)
    assert (len(found), skipped.counts) == (1, {"lone_surrogate": 1})


@pytest.mark.parametrize("value", [None, [], {}, [1], {"a": 1}, 0, "", True, 1.5, 10**30])
@pytest.mark.parametrize("column", ["id", "url", "license", "language", "lang", "source", "task_name"])
def test_a_column_of_another_type_does_not_cost_the_row(tmp_path, column, value):
    found, counts = passages(write_lines(tmp_path / "a.jsonl", {"text": "a", column: value}))
    assert ([row["text"] for row in found], counts) == (["a"], {})
    assert all(isinstance(one, str | bool | int) for one in found[0].values())
    Dataset.from_list(found).to_json(tmp_path / "out.jsonl")


def test_an_id_that_is_a_list_gives_way_to_the_place(tmp_path):
    found, _ = passages(write_lines(tmp_path / "a.jsonl", {"text": "a", "id": ["x"]}, {"text": "b", "id": 7}))
    assert [row["id"] for row in found] == ["a.jsonl:1", "7"]


def test_a_column_task_name_does_not_make_rows_supernis(tmp_path):
    rows = [
        {"task_name": name, "id": identity, "text": text}
        for name in ("t", ["t"], {"t": 1})
        for identity in ("same", ["same"], None)
        for text in "abc"
    ]
    assert len(passages(write_lines(tmp_path / "a.jsonl", *rows))[0]) == 27


def test_rows_of_supernis_copy_that_are_left_out_are_counted(tmp_path):
    row = {"task_name": "t", "definition": "d", "inputs": "i"}
    rows = [row | {"id": number, "targets": f"{number}{turn}"} for number in ("1", "2", "3") for turn in "ab"]
    source = write_lines(tmp_path / "a.jsonl", *rows)
    found, counts = passages(source, text_column="targets", rows_per_task=2)
    assert [row["text"] for row in found] == ["1a", "2a"]
    assert counts == {"further_output": 2, "beyond_rows_per_task": 2}


@pytest.mark.parametrize(
    "instances", [None, 3, "x", [], ["x", 3], [[{"output": "o"}]], [None], {"output": "o"}, [{}, 1]]
)
def test_a_column_instances_that_holds_no_records_is_not_self_instructs(tmp_path, instances):
    seed = {"instruction": "a", "output": "b", "instances": instances}
    skipped = Skipped()
    found = read_seeds(SeedSource(write_lines(tmp_path / "a.jsonl", seed)), skipped)
    assert (found["instruction"][:], found["output"][:], skipped.counts) == (["a"], ["b"], {})
    alone = write_lines(tmp_path / "b.jsonl", {"instruction": "a", "instances": instances})
    with pytest.raises(InputError, match=r"b\.jsonl:1 is not a seed: .*`instances` would be a list of records"):
        read_seeds(SeedSource(alone), Skipped())


@pytest.mark.parametrize(("value", "expected"), [(None, ""), ("", ""), (0, ""), (3, "3"), ([], ""), ({}, "")])
def test_an_input_that_is_not_text(tmp_path, value, expected):
    seed = {"instruction": "a", "input": value, "output": "b"}
    assert read_seeds(SeedSource(write_lines(tmp_path / "a.jsonl", seed)), Skipped())["input"][:] == [expected]


@pytest.mark.parametrize("value", [["x"], {"x": 1}])
def test_an_input_that_is_a_list_or_record_is_counted(tmp_path, value):
    seed = {"instruction": "a", "output": "b"}
    skipped = Skipped()
    found = read_seeds(SeedSource(write_lines(tmp_path / "a.jsonl", seed | {"input": value}, seed)), skipped)
    assert (len(found), skipped.counts) == (1, {"not_text": 1})


@pytest.mark.parametrize(
    "other",
    [
        NOT_UTF8,
        pyarrow.array([-99999999999999999, 0], pyarrow.timestamp("us")),
        pyarrow.array([0, 0], pyarrow.timestamp("us", tz="Mars/Olympus")),
        pyarrow.array([2**62, 0], pyarrow.duration("s")),
        pyarrow.array([2**30, 0], pyarrow.date32()),
    ],
    ids=["not UTF-8", "far away", "no such zone", "too long", "too late"],
)
@pytest.mark.parametrize("column", ["author", "id", "url"])
def test_a_parquet_column_that_python_cannot_hold_does_not_cost_its_rows(tmp_path, other, column):
    parquet.write_table(pyarrow.table({"text": TEXTS, column: other}), tmp_path / "a.parquet")
    found, counts = passages(str(tmp_path / "a.parquet"))
    if other is NOT_UTF8 and column != "author":
        assert ([row["text"] for row in found], counts) == (TEXTS[1:], {"lone_surrogate": 1})
    else:
        assert ([row["text"] for row in found], counts) == (TEXTS, {})


def test_a_parquet_text_that_is_not_utf_8_is_counted(tmp_path):
    parquet.write_table(pyarrow.table({"text": NOT_UTF8}), tmp_path / "a.parquet")
    found, counts = passages(str(tmp_path / "a.parquet"))
    assert ([row["text"] for row in found], counts) == (["tea"], {"lone_surrogate": 1})


def test_only_the_columns_that_are_needed_are_read_of_a_parquet_file(tmp_path):
    table = pyarrow.table({"text": TEXTS, "html": ["x" * 100, "y"], "n": [1, 2], "raw": [b"a", b"b"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    path = str(tmp_path / "a.parquet")
    assert next(row for _, row in read_rows(path, columns=("text", "n", "absent"))) == {
        "text": TEXTS[0],
        "html": None,
        "n": 1,
        "raw": None,
    }
    assert [row for _, row in read_rows(path)][1] == {"text": TEXTS[1], "html": "y", "n": 2, "raw": None}
    with pytest.raises(InputError, match=r"has no column 'body'; it has \['text', 'html', 'n', 'raw'\]"):
        passages(path, text_column="body")


def test_class_labels_of_a_parquet_file_are_read_by_their_names(tmp_path):
    features = Features({"text": Value("string"), "language": ClassLabel(names=["en", "de"])})
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "language": [1, 0, -1]}, features=features)
    rows.to_parquet(tmp_path / "a.parquet")
    found, _ = passages(str(tmp_path / "a.parquet"), language="fr")
    assert [row["language"] for row in found] == ["de", "en", "fr"]


def test_metadata_that_is_not_of_datasets_does_not_matter(tmp_path):
    for number, metadata in enumerate((b"{", b"[]", b'{"info": null}', b"[" * 9999)):
        table = pyarrow.table({"text": TEXTS}).replace_schema_metadata({"huggingface": metadata})
        parquet.write_table(table, tmp_path / f"{number}.parquet")
    assert len(passages(str(tmp_path))[0]) == 8


@pytest.fixture
def stream(tmp_path, monkeypatch):
    """Write rows to a folder as a dataset of the Hub has them; `datasets` opens both by the same door."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def write(rows: Dataset) -> str:
        (tmp_path / "data").mkdir()
        rows.to_parquet(tmp_path / "data" / "train.parquet")
        return str(tmp_path / "data")

    return write


def test_a_stream_reads_labels_by_name_and_decodes_no_picture(stream):
    features = Features({"text": Value("string"), "lang": ClassLabel(names=["en", "de"]), "image": Image()})
    rows = [{"text": text, "lang": 1, "image": {"bytes": b"no picture", "path": None}} for text in TEXTS]
    folder = stream(Dataset.from_list(rows, features=features))
    expected = [{"text": text, "lang": "de", "image": None} for text in TEXTS]
    assert list(read_dataset(folder, None, "train", None)) == expected
    assert next(read_dataset(folder, None, "train", None, (0, 5), ("text", "lang"))) in expected
    expected = [{"text": text, "lang": None, "image": None} for text in TEXTS]
    assert list(read_dataset(folder, None, "train", None, None, ("text",))) == expected
    (first, _) = read_dataset(folder, None, "train", None, None, ("text", "image"))
    assert first["image"] == {"bytes": b"no picture", "path": None}


def test_a_stream_that_breaks_says_at_which_row(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "data").mkdir()
    lines = b'{"text": "%s"}\n' % (b"Some words. " * 2**16) * 40  # more than `datasets` reads at once
    (tmp_path / "data" / "train.jsonl").write_bytes(lines + b'{"text": "\xff"}\n')
    rows = read_dataset(str(tmp_path / "data"), None, "train", None)
    with pytest.raises(InputError, match=r"read up to row \d+ of its split train, and no further: .*max_rows"):
        for _ in rows:
            pass


def test_a_stream_that_does_not_begin(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="no dataset of that id could be opened"):
        list(read_dataset(str(tmp_path), None, "train", None))
