"""Any override, recipe file and damage to a run folder: settings and rows, or an error in words."""

import copy
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import CHECKS, ends_in_words
from hypothesis import given, settings
from hypothesis import strategies as st

from davidgen_hf.errors import DavidgenError
from davidgen_hf.publish.export import export_pairs, export_preferences
from davidgen_hf.recipe import FILES, load_recipe
from davidgen_hf.report import read_facts
from davidgen_hf.run.steps import STEPS
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.yaml_files import parse_yaml

RECIPE = Path(__file__).parents[2] / "recipes" / "demo"
SECTIONS = {
    name: yaml.safe_load((RECIPE / file).read_text()) or {}
    for name, file in FILES.items()
    if (RECIPE / file).is_file()
}
FEW = max(1, settings.default.max_examples // 6)  # what reads a whole run takes longer
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**30, 2**63, -1, 0, 1, 1e308])
VALUES = st.none() | st.booleans() | NUMBERS | ANY_TEXT | st.sampled_from(["none", "auto", "embedded", "..", "/", "~"])
JSON = st.recursive(
    VALUES, lambda one: st.lists(one, max_size=3) | st.dictionaries(ANY_TEXT, one, max_size=3), max_leaves=8
)
YAML_TEXT = (
    st.text(st.sampled_from("abn1:-.[]{}&*!|>\"'# \n\t,?<=~%@"), max_size=40)
    | ANY_TEXT
    | JSON.map(lambda one: json.dumps(one))
    | st.sampled_from(
        [".nan", "&a [*a]", "!!python/name:os.system", "9" * 5000, "[" * 500, "{a: " * 500, "0x1F", "2020-01-01"]
    )
)


def keys_of(values: Any, before: tuple = ()) -> Iterator[tuple]:
    """Yield the place of everything in nested settings."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from keys_of(value, (*before, key))


PLACES = sorted(".".join(map(str, place)) for place in keys_of(SECTIONS))
OVERRIDE = st.builds(
    "{}{}={}".format, st.sampled_from(PLACES), ANY_TEXT.map(lambda one: one and f".{one}") | st.just(""), YAML_TEXT
)


@contextmanager
def in_words() -> Iterator[None]:
    """Let errors of ours pass that say something, and no others."""
    refusal = "."
    try:
        yield
    except DavidgenError as error:
        refusal = str(error)
    assert refusal.strip()


def replace_at(values: Any, place: tuple, value: Any) -> None:
    for key in place[:-1]:
        values = values[key]
    values[place[-1]] = value


@settings(suppress_health_check=CHECKS)
@given(st.lists(OVERRIDE | ANY_TEXT, min_size=1, max_size=3))
def test_overrides(overrides):
    with in_words():
        load_recipe("demo", overrides)


@settings(suppress_health_check=CHECKS)
@given(
    st.sampled_from(sorted(FILES.values())),
    st.binary(max_size=60) | YAML_TEXT.map(lambda one: one.encode("utf-8", "surrogatepass")),
)
def test_recipe_files(tmp_path_factory, file, content):
    folder = tmp_path_factory.mktemp("recipe") / "mine"
    shutil.copytree(RECIPE, folder)
    (folder / file).write_bytes(content)
    with in_words():
        load_recipe(folder)


@settings(suppress_health_check=CHECKS)
@given(YAML_TEXT)
def test_yaml_is_plain_data_that_json_can_write(text):
    try:
        read = parse_yaml(text, "x")
    except DavidgenError:
        return
    assert json.loads(json.dumps(read, allow_nan=False)) == read


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory) -> Path:
    """A finished run that may be damaged."""
    return Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("damaged") / "run"))


def read_all(run: Path) -> None:
    """Read a run as report, export and the next call do; what is damaged is an error of ours."""
    for read in (
        lambda: read_facts(run),
        lambda: export_pairs(run, run / "out.jsonl"),
        lambda: export_preferences(run, run / "out.jsonl"),
        lambda: [STEPS[step].lost(run, it) for step, it in read_record(run)["steps"].items()],
    ):
        with in_words():
            read()


@settings(max_examples=FEW, suppress_health_check=CHECKS)
@given(st.data(), JSON)
def test_records_with_another_value_in_any_place(run, data, value):
    record = json.loads((run / "run.json").read_text())
    changed = copy.deepcopy(record)
    replace_at(changed, data.draw(st.sampled_from(sorted(keys_of(record), key=str))), value)
    try:
        (run / "run.json").write_text(json.dumps(changed))
        read_all(run)
    finally:
        (run / "run.json").write_text(json.dumps(record))


@settings(max_examples=FEW, suppress_health_check=CHECKS)
@given(st.data(), st.binary(max_size=30))
def test_files_with_other_bytes_in_any_place(run, data, other):
    files = sorted(path for path in run.rglob("*") if path.suffix in (".parquet", ".json") and path.is_file())
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.sampled_from([start, min(start + len(other), len(content)), len(content)]))
    try:
        path.write_bytes(content[:start] + other + content[end:])
        read_all(run)
    finally:
        path.write_bytes(content)


OPTIONS = st.sampled_from(
    [
        "--output",
        "--until",
        "--executor",
        "--address",
        "--workers",
        "--gpus-per-worker",
        "--shard",
        "--min-margin",
        "--port",
    ]
)


@settings(suppress_health_check=CHECKS)
@given(
    st.sampled_from(["run", "corpus", "estimate", "export", "report", "push", "merge"]),
    st.lists(st.tuples(OPTIONS, ANY_TEXT | NUMBERS.map(str)), min_size=1, max_size=3),
)
def test_options(tmp_path_factory, command, options):
    # Each ends before any work: the recipe, run or adapter does not exist.
    folder = tmp_path_factory.mktemp("options")
    words = [word.replace("\0", "") for pair in options for word in pair]
    assert ends_in_words(command, folder / "nowhere", *words) == 2
