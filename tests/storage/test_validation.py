from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from davidgen_hf.errors import InputError, RunFolderError
from davidgen_hf.storage.validation import Number, Text, read_json, validate

ADVICE = "It needs number and text. Fix that line."


class Row(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    number: Number
    text: Text
    share: float = 0.0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"number": "seven", "text": "a"}, "number: Input should be a valid integer, .*, got 'seven'"),
        ({"number": True, "text": "a"}, "number: must be a number, got True"),
        ({"number": 1}, "text: Field required"),
        ({"number": 1, "text": None}, "text: Input should be a valid string, got None"),
        ({"number": 1, "text": "a\udfff"}, "text: character 2 is half of a surrogate pair"),
        ({"number": 1, "text": "a", "share": float("nan")}, "share: Input should be a finite number, got nan"),
        ([], r"Input should be a valid dictionary or instance of Row, got \[\]"),
        ({"number": 10**5000, "text": [10**5000]}, "text: Input should be a valid string, got list"),
    ],
)
def test_the_error_names_place_field_and_value_and_says_what_to_do(content, problem):
    with pytest.raises(InputError, match=rf"^rows\.jsonl:3: {problem}\. {ADVICE}$"):
        validate(Row, content, "rows.jsonl:3", ADVICE)


@pytest.mark.parametrize("number", [7, "7", 7.0])
def test_a_number_may_be_written_as_text(number):
    assert validate(Row, {"number": number, "text": "ä"}, "rows.jsonl:3", ADVICE) == Row(number=7, text="ä")


def test_a_long_value_is_shortened_and_only_three_fields_are_named():
    with pytest.raises(InputError) as caught:
        validate(dict[str, int], dict.fromkeys("abcde", "x" * 500), "f.json", ADVICE)
    assert len(str(caught.value)) < 600
    assert "; and 2 more. It needs" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "Invalid JSON: EOF while parsing a value"),
        (b"\xff\xfe{", "Invalid JSON: expected value"),
        (b"[" * 100_000, "Invalid JSON: recursion limit exceeded"),
        (b'{"number": ' + b"1" * 6000, "Invalid JSON: number out of range"),
        (b'{"number": 1, "text": "a", "share": NaN}', "share: Input should be a finite number"),
    ],
)
def test_a_damaged_file_is_named(content, problem, tmp_path):
    path = tmp_path / "f.json"
    path.write_bytes(content)
    with pytest.raises(RunFolderError, match=rf"f\.json: {problem}.*\. {ADVICE}$"):
        read_json(path, Row, ADVICE, error=RunFolderError)


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path):
    for content in (b'{"number": 1, "text": "a"}', b'\xef\xbb\xbf{"number": "1", "text": "a"}'):
        (tmp_path / "f.json").write_bytes(content)
        assert read_json(tmp_path / "f.json", Row, ADVICE) == Row(number=1, text="a")


def test_what_is_not_a_file_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "absent", Path("/dev/null")):
        with pytest.raises(InputError, match=rf"{path} is not a file\. {ADVICE}"):
            read_json(path, Row, ADVICE)
