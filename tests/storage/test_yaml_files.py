"""YAML is plain data of bounded size; whatever else it is, the error has its line."""

import os
import time

import pytest

from davidgen_hf.errors import InputError, SettingError
from davidgen_hf.storage.yaml_files import parse_yaml, read_config, read_yaml


def test_plain_data_is_read():
    text = (
        "a: 1\nb: [x, 2.5, null, true, -3]\nc: {d: 2e-5, e: 'é'}\nf: &one {g: 1, h: 2}\ni: {<<: *one, h: 3}\nj: *one"
    )
    assert parse_yaml(text, "x.yaml") == {
        "a": 1,
        "b": ["x", 2.5, None, True, -3],
        "c": {"d": "2e-5", "e": "é"},
        "f": {"g": 1, "h": 2},
        "i": {"g": 1, "h": 3},
        "j": {"g": 1, "h": 2},
    }
    assert parse_yaml("", "x.yaml") is None


def test_keys_and_dates_are_the_text_that_was_typed():
    read = parse_yaml("{no: nb, 2020-01-01: 1, 7: x, ~: y, day: 2020-01-01}", "x.yaml")
    assert read == {"no": "nb", "2020-01-01": 1, "7": "x", "~": "y", "day": "2020-01-01"}


GROWING = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
CHAIN = "a0: &a0 [1]\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 2000))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: b: c}", "line 1, column 6: expected ',' or '}', but got ':'"),
        ("\tx: y", "line 1, column 1: found character '\\t'"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: found the key 'a' for the second time"),
        ("{[1]: 2}", "found a key that is a list or a mapping"),
        ("&a [*a]", "found an alias of a value inside this value itself"),
        ("&a {<<: *a}", "found an alias of a value inside this value itself"),
        ("*a", "found undefined alias"),
        (GROWING, "found more than 100,000 values, aliases included"),
        (CHAIN, "found more than 40 levels of nesting, aliases included"),
        ("[" * 50_000, "found more than 40 levels of nesting"),
        ("{a: " * 50_000, "found more than 40 levels of nesting"),
        ("a: .nan", "line 1, column 4: found .nan, which is not a finite number"),
        ("a: -.inf", "which is not a finite number"),
        ("a: 1.0e+999", "which is not a finite number"),
        ("9" * 5000, "found a value that is not of type int"),
        (f"{2**63}", "found an integer of more than 64 bits"),
        ("!!bool maybe", "found a value that is not of type bool"),
        ("!!float ''", "found a value that is not of type float"),
        ('"\\ud800"', "found half of a surrogate pair"),
        ("\0", "special characters are not allowed"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("!!binary aGk=", "could not determine a constructor"),
        ("!!set {a}", "could not determine a constructor"),
        ("a\n---\nb", "found another document"),
        ("x" * 2**20 + "x", "has more than 1,048,576 characters"),
    ],
    ids=range(25),
)
def test_what_is_refused(text, message):
    started = time.perf_counter()
    with pytest.raises(SettingError) as refused:
        parse_yaml(text, "x.yaml")
    assert str(refused.value).startswith("x.yaml")
    assert message in str(refused.value)
    assert "Correct this place" in str(refused.value)
    assert time.perf_counter() - started < 5


def test_an_integer_of_64_bits_is_read():
    assert parse_yaml(f"[{2**63 - 1}, {-(2**63)}]", "x") == [2**63 - 1, -(2**63)]


@pytest.mark.parametrize("make", ["missing", "folder", "pipe", "latin"])
def test_files_that_cannot_be_read(tmp_path, make):
    path = tmp_path / "x.yaml"
    {
        "missing": lambda: None,
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "latin": lambda: path.write_bytes(b"a: \xe9"),
    }[make]()
    with pytest.raises(InputError, match=r"x\.yaml cannot be read as YAML: .* Name a file of `key: value` lines"):
        read_yaml(path)


def test_a_recipe_file_is_a_mapping(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbf# nothing\n")
    assert read_config(path) == {}
    path.write_text("- a")
    with pytest.raises(SettingError, match="its top level is a list"):
        read_config(path)
