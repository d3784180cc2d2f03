"""Files and rows that other programs wrote, checked by pydantic; an error names the place and the field."""

from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from davidgen_hf.errors import DavidgenError, InputError

T = TypeVar("T")
_SHOWN_PROBLEMS, _SHOWN_CHARACTERS = 3, 80


def _without_surrogates(text: str) -> str:
    """Refuse half of a surrogate pair, which JSON can write and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start + 1} is half of a surrogate pair") from error
    return text


def _without_booleans(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"must be a number, got {value}")
    return value


Text = Annotated[str, AfterValidator(_without_surrogates)]
# An id may be written 1, "1" or 1.0; true is not one.
Number = Annotated[int, BeforeValidator(_without_booleans)]


def validate(
    schema: type[T], content: object, place: str, advice: str, *, error: type[DavidgenError] = InputError
) -> T:
    """Return ``content`` as a value of ``schema``.

    Args:
        schema: A pydantic model, a dataclass, or any type that pydantic knows.
        content: What was read, such as a row of JSON Lines.
        place: Where it was read, such as ``answers.jsonl:3``.
        advice: What was expected, and what to do: the second and third sentence of the error.
        error: Class of the error.

    Raises:
        DavidgenError: The content does not fit; at most three fields are named.
    """
    try:
        return TypeAdapter(schema).validate_python(content)
    except ValidationError as found:
        raise error(f"{place}: {describe(found)}. {advice}") from found


def read_json(path: Path, schema: type[T], advice: str, *, error: type[DavidgenError] = InputError) -> T:
    """Return the content of a JSON file as a value of ``schema``; arguments as for ``validate``.

    Raises:
        DavidgenError: The file does not exist, cannot be read, is not JSON, or its content does not fit.
    """
    if not path.is_file():  # also a pipe, which would block
        raise error(f"{path} is not a file. {advice}")
    try:
        return TypeAdapter(schema).validate_json(path.read_bytes().removeprefix(BOM_UTF8))
    except OSError as found:
        raise error(f"{path} cannot be read: {found.strerror}. {advice}") from found
    except ValidationError as found:
        raise error(f"{path}: {describe(found)}. {advice}") from found


def describe(found: ValidationError) -> str:
    """Return what pydantic found, field by field, without its links and in one line."""
    problems = found.errors(include_url=False)
    texts = []
    for problem in problems[:_SHOWN_PROBLEMS]:
        name = ".".join(map(str, problem["loc"]))
        text = problem["msg"].removeprefix("Value error, ").rstrip(".")
        value = (
            "" if problem["type"] in ("missing", "json_invalid", "value_error") else f", got {brief(problem['input'])}"
        )
        texts.append(f"{name}: {text}{value}" if name else f"{text}{value}")
    rest = len(problems) - _SHOWN_PROBLEMS
    return "; ".join(texts) + (f"; and {rest} more" if rest > 0 else "")


def brief(value: object) -> str:
    """Return a value as an error shows it: its beginning, as ``repr`` writes it, without half surrogate pairs."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; a value nested thousands deep
        text = type(value).__name__
    text = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode()
