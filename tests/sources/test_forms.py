"""Forms of files that people have: what is read though its name or first bytes say otherwise, and what is refused."""

import bz2
import gzip
import json
import lzma
import os
import shutil
import subprocess
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from davidgen_hf.errors import InputError
from davidgen_hf.sources.origins import source_part
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages
from davidgen_hf.sources.rows import read_rows

LINES = '{"text": "Der Fluß friert."}\n{"text": "Er taut."}\n'
TEXTS = ["Der Fluß friert.", "Er taut."]
DEEP = '{"text": "a", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"


@pytest.fixture
def write(tmp_path):
    def write_file(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write_file


def texts(source: str) -> list[str]:
    return [row["text"] for _, row in read_rows(source)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.jsonl.gz"])
def test_unicode_is_read_in_any_of_its_encodings(write, name, encoding):
    content = {"a.csv": "text\nDer Fluß friert.\nEr taut.\n", "a.txt": "Der Fluß friert.\n\nEr taut.\n"}.get(
        name, LINES
    )
    encoded = content.encode(encoding)
    assert texts(write(name, gzip.compress(encoded) if name.endswith("gz") else encoded)) == TEXTS


def test_utf_16_that_is_cut_off(write):
    with pytest.raises(InputError, match=r"a\.jsonl, line 3: not valid UTF-16.*iconv -f utf-16"):
        texts(write("a.jsonl", LINES.encode("utf-16") + b"x"))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", 'id,text\r1,"one, two"\r2,three\r', ["one, two", "three"]),
        ("a.jsonl", '{"text": "one"}\r{"text": "two"}\r', ["one", "two"]),
        ("a.txt", "one\rmore\r\rtwo\r", ["one\rmore", "two"]),
    ],
)
def test_lines_that_end_in_carriage_returns_alone(write, name, content, expected):
    assert texts(write(name, content)) == expected


def test_a_carriage_return_among_line_feeds_ends_no_line(write):
    assert [place for place, _ in read_rows(write("a.txt", "one\rmore\n\ntwo\n"))] == ["a.txt:1", "a.txt:3"]


@pytest.mark.parametrize("compress", [gzip.compress, lambda text: pyarrow.compress(text, "zstd", asbytes=True)])
def test_a_compressed_file_is_known_by_its_content(write, compress):
    assert texts(write("a.jsonl", compress(LINES.encode()))) == TEXTS


def test_a_file_that_only_its_name_calls_compressed(write):
    assert texts(write("a.jsonl.gz", LINES)) == TEXTS


def zip_of(text: str) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jsonl", text)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (zip_of(LINES), r"is a ZIP archive, .* unpack it"),
        (bz2.compress(LINES.encode()), "is compressed with bzip2, .* gzip"),
        (lzma.compress(LINES.encode()), "is compressed with xz, .* gzip"),
        (gzip.compress(gzip.compress(LINES.encode(), mtime=0), mtime=0), "is compressed twice, .* unpack it once"),
        (b"PAR1....", r"is a Parquet file, .* ending \.parquet"),
        (b"%PDF-1.4", "is a PDF, .* convert it to text"),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.csv"])
def test_what_is_not_text_is_named(write, name, content, what):
    with pytest.raises(InputError, match=rf"{name} {what}"):
        texts(write(name, content))


@pytest.mark.parametrize("name", ["A.JSONL", "a.JsonL", "A.JSON.GZ"])
def test_the_case_of_an_ending_does_not_matter(write, name):
    assert texts(write(name, LINES)) == TEXTS


def test_hidden_files_are_passed_over(write, tmp_path):
    for name in (
        "a.txt",
        ".a.txt",
        "._a.txt",
        ".cache/a.txt",
        "__MACOSX/a.txt",
        "part/__MACOSX/._b.txt",
        "part/b.TXT",
    ):
        write(f"texts/{name}", name)
    assert list(read_rows(str(tmp_path / "texts"))) == [
        ("a.txt:1", {"text": "a.txt"}),
        ("b.TXT:1", {"text": "part/b.TXT"}),
    ]
    write("hidden/.a.txt", "a")
    with pytest.raises(InputError, match=r"hidden holds no .* begin with a dot, and __MACOSX, are skipped"):
        texts(str(tmp_path / "hidden"))


def test_a_folder_that_is_itself_hidden_is_read(write, tmp_path):
    write(".texts/a.txt", "one")
    assert texts(str(tmp_path / ".texts")) == ["one"]


def test_files_of_one_name_in_several_folders_have_places_and_ids_of_their_own(write, tmp_path):
    for name in ("part.txt", "en/part.txt", "fr/part.txt", "fr/other.txt"):
        write(f"texts/{name}", f"Of {name}.")
    passages = list(read_passages(PassageSource(str(tmp_path / "texts")), Skipped()))
    assert {row["id"]: row["text"] for row in passages} == {
        "en/part.txt:1": "Of en/part.txt.",
        "fr/part.txt:1": "Of fr/part.txt.",
        "other.txt:1": "Of fr/other.txt.",
        "part.txt:1": "Of part.txt.",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n1,one, two, three\n", r"line 2: 4 field\(s\) where the header has 2\. .*double quotes.* Quote it"),
        ("id,text\n1,one\n2\n", r"line 3: 1 field\(s\) where the header has 2"),
        ("id;text\n1;one, two\n", r"line 2: 2 field\(s\) where the header has 1"),
        ("text\tid\none, two\t1\n", r"line 2: 2 field\(s\) where the header has 1"),
        ("text,text\none,two\n", r"line 1: the header has \['text'\] more than once.* Rename"),
        ("id,text\n1,one\rtwo\n", r"line 2: not valid CSV \(a carriage return outside quotes\).* Fix that line"),
        ('id,text\n1,"one\n', r"line 2: not valid CSV \(unexpected end of data\)"),
    ],
)
def test_a_csv_file_that_would_lose_text(write, content, message):
    with pytest.raises(InputError, match=rf"a\.csv, {message}"):
        texts(write("a.csv", content))


def test_empty_lines_of_a_csv_file_are_not_rows(write):
    assert texts(write("a.csv", "text\n\none\n\n")) == ["one"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a", "n": ' + "9" * 5000 + "}", "JSON with a number of too many digits"),
        (DEEP, "JSON that is nested too deep"),
        ('{"text": "a"', "not valid JSON"),
        ("3", "needs a JSON object, found int"),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_json_that_cannot_be_read_is_named_by_its_line(write, name, line, message):
    content = f'{{"text": "a"}}\n{line}\n'.encode()
    with pytest.raises(InputError, match=rf"{name}, line 2: {message}"):
        texts(write(name, gzip.compress(content) if name.endswith("gz") else content))


def test_big_integers_that_python_holds_are_read(write):
    assert texts(write("a.jsonl", json.dumps({"text": "a", "id": 10**4000}))) == ["a"]


@pytest.mark.parametrize(
    ("content", "warned"), [("a\nb\nc\nd\ne\n", True), ("a\nb\n\nc\nd\ne\nf\n", False), ("a\nb\n", False)]
)
def test_a_text_of_many_lines_without_a_blank_one_is_mentioned(write, tmp_path, caplog, content, warned):
    texts(write(f"{tmp_path.name}.txt", content))
    assert ("lines and no blank one, so it is read as one passage" in caplog.text) is warned


def test_tilde_is_the_home_folder(write, tmp_path, monkeypatch):
    write("texts/a.txt", "one")
    monkeypatch.setenv("HOME", str(tmp_path))
    (passage,) = read_passages(PassageSource("~/texts"), Skipped())
    assert (passage["source"], passage["id"]) == ("texts", "a.txt:1")


def test_the_current_folder_has_a_name(write, tmp_path, monkeypatch):
    write("texts/a.txt", "one")
    monkeypatch.chdir(tmp_path / "texts")
    (passage,) = read_passages(PassageSource("."), Skipped())
    assert passage["source"] == "texts"


@pytest.mark.parametrize(
    "name", ["[l].txt", "a[/b].txt", "my#run.txt", "a b%20c.txt", "a?b*.txt", "größe.txt", "-a.txt"]
)
def test_names_with_signs_that_mean_something_elsewhere(write, tmp_path, name):
    path = write(f"in/{name}", "one")
    assert texts(path) == texts(str(tmp_path / "in")) == ["one"]
    file = BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["two"]}), file)
    assert texts(write(f"{name}.parquet", file.getvalue())) == ["two"]


def test_a_name_that_is_not_utf_8(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    with open(path, "w") as file:
        file.write("one")
    (passage,) = read_passages(PassageSource(str(tmp_path)), Skipped())
    assert (passage["id"], passage["document"]) == (r"caf\xe9.txt:1", r"caf\xe9.txt:1")
    (passage,) = read_passages(PassageSource(os.fsdecode(path)), Skipped())
    assert (passage["source"], passage["id"]) == (r"caf\xe9.txt", r"caf\xe9.txt:1")


@pytest.mark.parametrize(
    "source", ["a" * 5000 + ".jsonl", "a/" * 5000 + "x.jsonl", "~" * 5000, "a\0b", "~nobody-of-that-name/x", ""]
)
def test_names_that_no_file_can_have(source):
    with pytest.raises(InputError, match="There is no file or folder"):
        texts(source)


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.csv"])
def test_a_file_that_the_system_refuses_to_read(tmp_path, name):
    (tmp_path / name).symlink_to("/proc/self/mem")  # opens, and fails at the first byte, for every user
    with pytest.raises(InputError, match=rf"{name} cannot be read: Input/output error"):
        texts(str(tmp_path / name))
    with pytest.raises(InputError, match="Input/output error"):
        texts(str(tmp_path))


@pytest.mark.parametrize("name", ["texts", "texts/part", "texts/part/a.txt"])
@pytest.mark.parametrize("source", ["texts", "texts/part/a.txt"])
def test_a_file_or_folder_without_permission(ordinary_user, name, source):
    (ordinary_user / "texts/part").mkdir(parents=True)
    (ordinary_user / "texts/part/a.txt").write_text("one")
    (ordinary_user / name).chmod(0)
    # Of a file in a closed folder, not even its existence can be seen.
    expected = "cannot be read: Permission denied.* Change its permissions|There is no file or folder"
    with pytest.raises(InputError, match=expected if source != "texts" else expected.partition("|")[0]):
        texts(str(ordinary_user / source))


@pytest.fixture
def ordinary_user():
    """A folder, and a user that is not root, who reads everything."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    if is_root:
        os.seteuid(0)
    subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)
    shutil.rmtree(folder)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match=r"a\.jsonl is neither a file nor a folder"):
        texts(str(tmp_path / "a.jsonl"))


@pytest.mark.parametrize("source", [".", "..", "./", "../texts", "~"])
def test_rows_and_record_know_a_folder_by_the_same_name(write, tmp_path, monkeypatch, source):
    write("texts/a.txt", "one")
    (tmp_path / "texts" / "part").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "texts"))
    monkeypatch.chdir(tmp_path / "texts" / ("part" if source == ".." else ""))
    asked = PassageSource(source)
    (passage,) = read_passages(asked, Skipped())
    part = source_part("passages", asked)
    assert (passage["source"], part.name) == ("texts", "texts")
    assert part.reason.startswith("texts ")
