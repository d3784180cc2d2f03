"""Random bytes and structures into every reader of data: rows that can be stored, or an error in words."""

import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pyarrow
import pytest
from datasets import Dataset
from fuzzing import CHECKS, ends_in_words
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from davidgen_hf.errors import DavidgenError
from davidgen_hf.schema import PASSAGE
from davidgen_hf.sources.paragraphs import Paragraphs
from davidgen_hf.sources.passages import PassageSource, Skipped, read_passages
from davidgen_hf.sources.seeds import SeedSource, read_seeds

BIG = "@big"  # stands for an integer that Python does not convert
TEXTS = st.text(st.characters(), max_size=30)  # lone surrogates too
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just(BIG)
VALUES = st.recursive(SCALARS, lambda one: st.lists(one, max_size=4) | st.dictionaries(TEXTS, one, max_size=4))
NAMES = ("text", "id", "url", "license", "language", "lang", "source", "task_name", "definition", "inputs", "targets")
ROW = {"text": TEXTS | VALUES, "definition": TEXTS, "targets": TEXTS}
OTHERS = st.dictionaries(st.sampled_from(NAMES) | TEXTS, VALUES | TEXTS, max_size=8)
ROWS = st.lists(st.builds(dict.__or__, OTHERS, st.fixed_dictionaries(ROW)), max_size=5)
SEED_NAMES = ("instruction", "input", "output", "instances", "context", "response", "id", "task_name", "license")
SEED = st.dictionaries(st.sampled_from(SEED_NAMES), VALUES | TEXTS, max_size=8)
SEEDS = st.lists(
    SEED | st.builds(dict.__or__, SEED, st.fixed_dictionaries({"instruction": TEXTS, "output": TEXTS})), max_size=5
)
TASK_KEYS = ("Definition", "URL", "Instance License", "Output_language", "Instances")
INSTANCE = {
    "id": st.text("abc", min_size=1),
    "input": TEXTS | VALUES,
    "output": st.lists(TEXTS, min_size=1, max_size=3),
}
ANY_INSTANCE = st.fixed_dictionaries({"id": VALUES, "input": VALUES, "output": VALUES | st.lists(TEXTS, max_size=3)})
INSTANCES = st.lists(st.fixed_dictionaries(INSTANCE), min_size=1, max_size=3) | st.lists(ANY_INSTANCE, max_size=3)
TASK_PARTS = dict.fromkeys(TASK_KEYS[:-1], st.lists(TEXTS, min_size=1)) | {"Instances": INSTANCES}
TASKS = st.fixed_dictionaries(TASK_PARTS) | st.dictionaries(
    st.sampled_from(TASK_KEYS), st.lists(TEXTS, min_size=1) | VALUES | INSTANCES, max_size=5
)
MARKS = (b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\xfe", b"\x1f\x8b", b"\xef\xbb\xbf", b"{", b"[", b"text")
ENDINGS = (".jsonl", ".csv", ".txt", ".parquet", ".jsonl.gz", ".csv.zst", ".JSON.GZ", ".md")


OUTCOMES: Counter[int] = Counter()


def outcome(read: Callable[[Path], object], files: dict[str, bytes]) -> int:
    """Write files and read them; return 0 if that went well and 2 if it ended in an error of ours, as a command."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        message = ""
        try:
            read(Path(folder))
        except DavidgenError as error:
            message = str(error)
        assert not message or len(message.encode()) > 30
        OUTCOMES[2 if message else 0] += 1
        return 2 if message else 0


def read_as_passages(path: Path, **options) -> None:
    for paragraphs in (None, Paragraphs(1, 5)):
        rows = list(read_passages(PassageSource(str(path), paragraphs=paragraphs, **options), Skipped()))
        Dataset.from_list(rows, features=PASSAGE)
        json.dumps(rows, ensure_ascii=False).encode()


def read_as_seeds(path: Path) -> None:
    json.dumps(read_seeds(SeedSource(str(path)), Skipped())[:], ensure_ascii=False).encode()


def lines(rows: list[dict]) -> bytes:
    return "\n".join(map(spell, rows)).encode()


def spell(value: object) -> str:
    return json.dumps(value).replace(f'"{BIG}"', "9" * 5000)


@given(
    content=st.binary(max_size=200) | st.lists(st.sampled_from(MARKS)).map(b"".join), ending=st.sampled_from(ENDINGS)
)
@settings(suppress_health_check=CHECKS)
def test_bytes(content, ending):
    outcome(read_as_passages, {f"a{ending}": content})
    outcome(lambda folder: read_as_passages(folder / f"a{ending}"), {f"a{ending}": content})


@given(
    text=TEXTS, encoding=st.sampled_from(("utf-8", "utf-16", "utf-16-le", "utf-32", "latin-1")), cut=st.integers(0, 9)
)
@settings(suppress_health_check=CHECKS)
def test_encodings(text, encoding, cut):
    for ending, spelled in ((".csv", f"text\n{text}\n"), (".txt", text), (".jsonl", json.dumps({"text": text}))):
        content = spelled.encode(encoding, "replace")
        outcome(read_as_passages, {f"a{ending}": content[: len(content) - cut]})


@given(rows=ROWS)
@settings(suppress_health_check=CHECKS)
def test_rows(rows):
    outcome(read_as_passages, {"a.jsonl": lines(rows)})
    outcome(lambda folder: read_as_passages(folder, text_column="targets"), {"a.jsonl": lines(rows)})


@given(rows=SEEDS)
@settings(suppress_health_check=CHECKS)
def test_seeds(rows):
    outcome(read_as_seeds, {"a.jsonl": lines(rows)})


@given(depth=st.integers(1, 3000), opening=st.sampled_from(("[", '{"a":')), name=st.sampled_from(NAMES + SEED_NAMES))
@settings(suppress_health_check=CHECKS)
def test_depth(depth, opening, name):
    deep = opening * depth + "1" + ("]" if opening == "[" else "}") * depth
    row = f'{{"text": "a", "instruction": "a", "output": "b", "x{name}": 1, "{name}": {deep}}}'.encode()
    outcome(read_as_passages, {"a.jsonl": row})
    outcome(read_as_seeds, {"a.jsonl": row})


@given(task=TASKS, names=st.just(b"task1_a\n") | st.binary(max_size=20))
@settings(suppress_health_check=CHECKS)
def test_supernis_tasks(task, names):
    files = {"tasks/task1_a.json": spell(task).encode(), "splits/default/train_tasks.txt": names}
    outcome(lambda folder: read_as_passages(folder, text_column="targets"), files)
    outcome(read_as_seeds, files)


def parquet_of(texts: list[str | None]) -> bytes:
    file = BytesIO()
    columns = {"text": texts, "id": range(len(texts)), "when": pyarrow.array([0] * len(texts), pyarrow.timestamp("s"))}
    parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


PARQUET, GZIP = parquet_of(["Some text.", None, "More of it."] * 50), gzip.compress(b'{"text": "Some text."}\n' * 99)


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl.gz"])
@given(data=st.data())
@settings(suppress_health_check=CHECKS)
def test_files_with_damaged_bytes(name, data):
    content = bytearray(PARQUET if name.endswith("parquet") else GZIP)
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)
    ):
        content[place] = byte
    cut = data.draw(st.just(0) | st.integers(0, len(content)))
    outcome(read_as_passages, {name: bytes(content[cut:]) if cut % 2 else bytes(content[: len(content) - cut])})


TYPES = st.recursive(
    st.sampled_from(
        [
            *(pyarrow.string(), pyarrow.large_string(), pyarrow.binary(), pyarrow.binary(16), pyarrow.bool_()),
            *(pyarrow.int8(), pyarrow.float16(), pyarrow.decimal128(30, 2), pyarrow.null(), pyarrow.date64()),
            *(pyarrow.timestamp("us"), pyarrow.timestamp("ns", "Nowhere/At_all"), pyarrow.duration("s")),
            pyarrow.time64("ns"),
        ]
    ),
    lambda kind: kind.map(pyarrow.list_) | kind.map(lambda one: pyarrow.struct([("a", one)])),
    max_leaves=3,
)


@given(kinds=st.dictionaries(st.sampled_from(NAMES), TYPES, max_size=5), data=st.data())
@settings(suppress_health_check=CHECKS)
def test_parquet_columns_of_any_type(kinds, data):
    columns = {"text": pyarrow.array(["a", "b"])}
    for name, kind in kinds.items():
        raw = pyarrow.array([data.draw(st.integers(-(2**63), 2**63 - 1)) for _ in range(2)])
        try:
            columns[name] = raw.view(kind)  # any bits, also those that no value has
        except (pyarrow.ArrowException, ValueError):
            columns[name] = pyarrow.nulls(2, kind)
    file = BytesIO()
    try:
        parquet.write_table(pyarrow.table(columns), file)
    except pyarrow.ArrowException:
        return  # Parquet has no such type
    outcome(read_as_passages, {"a.parquet": file.getvalue()})


@pytest.mark.slow
@given(rows=SEEDS, ending=st.sampled_from((".jsonl", ".csv")))
@settings(suppress_health_check=CHECKS, max_examples=10)
def test_the_command(tmp_path_factory, rows, ending):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / f"s{ending}").write_bytes(lines(rows))
    ends_in_words("run", "demo", "--until", "seeds", "--seeds", folder / f"s{ending}", "--output", folder / "out")
