"""Files, folders and what is wrong with them: every fault is named by its place."""

import csv
import gzip
import os
import subprocess
import sys
from functools import partial

import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset

from davidgen_hf.errors import InputError
from davidgen_hf.sources.rows import read_rows


@pytest.fixture
def write(tmp_path):
    def write_file(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write_file


def test_jsonl_with_blank_lines_and_a_byte_order_mark(write):
    path = write("a.jsonl", b'\xef\xbb\xbf{"text": "one"}\n\n{"text": "two"}\n')
    assert list(read_rows(path)) == [("a.jsonl:1", {"text": "one"}), ("a.jsonl:3", {"text": "two"})]


def test_csv_with_commas_line_breaks_and_long_fields(tmp_path):
    path = tmp_path / "a.csv"
    texts = ["one, two", "three\nfour", "x" * 200_000]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], *enumerate(texts)])
    assert [row["text"] for _, row in read_rows(str(path))] == texts


def test_parquet(tmp_path):
    Dataset.from_dict({"text": [f"t{n}" for n in range(3000)]}).to_parquet(tmp_path / "a.parquet")
    rows = list(read_rows(str(tmp_path / "a.parquet")))
    assert rows[0] == ("a.parquet:1", {"text": "t0"})
    assert rows[-1] == ("a.parquet:3000", {"text": "t2999"})


def test_a_large_parquet_file_is_not_held_in_memory(tmp_path):
    texts = pyarrow.table({"text": [os.urandom(1_000).hex() for _ in range(5_000)]})
    with pyarrow.parquet.ParquetWriter(tmp_path / "a.parquet", texts.schema, compression="none") as writer:
        for _ in range(20):  # row groups of 10 MB
            writer.write_table(texts)
    del texts
    code = "import sys, psutil; from davidgen_hf.sources.rows import read_rows; own = psutil.Process().memory_info\n"
    code += "before = own().rss; print(max(own().rss for _ in read_rows(sys.argv[1])) - before)"
    told = subprocess.run([sys.executable, "-c", code, tmp_path / "a.parquet"], capture_output=True, check=True)
    assert int(told.stdout) < 100_000_000 < (tmp_path / "a.parquet").stat().st_size


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.jsonl.zst", "a.json.zst"])
def test_compressed_lines_in_several_pieces(write, name):
    compress = gzip.compress if name.endswith("gz") else partial(pyarrow.compress, codec="zstd", asbytes=True)
    path = write(name, compress(b'{"text": "one"}\n{"te') + compress(b'xt": "two"}\n'))
    assert list(read_rows(path)) == [(f"{name}:1", {"text": "one"}), (f"{name}:2", {"text": "two"})]


def test_other_compressed_forms(write):
    assert [row for _, row in read_rows(write("a.csv.gz", gzip.compress(b"id,text\n1,one\n")))] == [
        {"id": "1", "text": "one"}
    ]
    assert [row for _, row in read_rows(write("a.txt.gz", gzip.compress(b"one\n\ntwo\n")))] == [
        {"text": "one"},
        {"text": "two"},
    ]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_compressed_file_that_is_cut_off(write, name):
    compress = gzip.compress if name.endswith("gz") else partial(pyarrow.compress, codec="zstd", asbytes=True)
    lines = b"".join(b'{"text": "%d"}\n' % (n * 7919) for n in range(20_000))
    path = write(name, compress(lines)[:-50])
    with pytest.raises(InputError, match=rf"{name} cannot be decompressed: .*Download or copy the file again"):
        list(read_rows(path))


@pytest.mark.parametrize("name", ["a.parquet.gz", "a.jsonl.bz2", "a.json"])
def test_forms_that_are_not_read(write, name):
    with pytest.raises(InputError, match=r"which is not one of \.jsonl, .* or of these with \.gz or \.zst behind it"):
        list(read_rows(write(name, b"x")))


def test_text_files_are_paragraphs(write):
    path = write("a.txt", "\n\none\nstill one\n \ntwo\n")
    assert list(read_rows(path)) == [("a.txt:3", {"text": "one\nstill one"}), ("a.txt:6", {"text": "two"})]


def test_a_folder_is_read_in_the_order_of_its_names(write, tmp_path):
    write("b.txt", "last")
    write("a.jsonl", '{"text": "first"}')
    write("readme.md", "not read")
    assert [row["text"] for _, row in read_rows(str(tmp_path))] == ["first", "last"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "", r"a\.jsonl holds no rows: 1 file\(s\) were read to the end\. Name one that has text"),
        ("a.txt", " \n\n", r"a\.txt holds no rows"),
        ("a.csv", "id,text\n", r"a\.csv holds no rows"),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', r"a\.jsonl, line 2: not valid JSON \(Expecting value at character"),
        ("a.jsonl", '["a"]\n', r"a\.jsonl, line 1: needs a JSON object, found list"),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"text": "\xe9"}\n',
            r"a\.jsonl, line 2: byte 11 of the line is not UTF-8\. .*iconv",
        ),
        ("a.txt", b"caf\xe9", r"a\.txt, line 1: byte 4 of the line is not UTF-8"),
        ("a.csv", 'id,text\n1,"a"b\n', r"a\.csv, line 2: not valid CSV \(.*\)\. .* Fix that line"),
        ("a.parquet", "PAR1 no", r"a\.parquet is not a readable Parquet file: .*Download or write the file again"),
        ("a.md", "text", r"a\.md ends in '\.md', which is not one of \.jsonl, \.csv, \.parquet, \.txt"),
    ],
)
def test_what_cannot_be_read(write, name, content, message):
    with pytest.raises(InputError, match=message):
        list(read_rows(write(name, content)))


@pytest.mark.parametrize("source", ["nowhere.jsonl", "no/where.jsonl", "/no/where", "word"])
def test_a_missing_file(source):
    with pytest.raises(InputError, match=f"There is no file or folder '{source}'. Give the path of a .jsonl, .csv"):
        list(read_rows(source))


def test_a_folder_without_data(write, tmp_path):
    write("readme.md", "text")
    with pytest.raises(InputError, match=r"holds no \.jsonl, \.csv, \.parquet, \.txt file"):
        list(read_rows(str(tmp_path)))


def test_a_hub_dataset_out_of_reach(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match="There is no local path 'org/name', and no dataset of that id could be opened"
    ):
        list(read_rows("org/name"))
