"""The one way in which this package reads YAML: plain data of bounded size, every fault with its line."""

import math
from pathlib import Path
from typing import Any, ClassVar

import yaml

from davidgen_hf.errors import DavidgenError, InputError, SettingError

MAX_BYTES = 2**20
MAX_DEPTH = 40
MAX_VALUES = 100_000  # with every alias counted as often as it is used
_INTEGERS = range(-(2**63), 2**63)


class _Loader(yaml.SafeLoader):
    """Builds text, numbers, booleans, null, lists and mappings of text to these, and nothing else.

    A key is the text that was typed, so that ``no: …`` is Norwegian; a date is text too.
    """

    yaml_constructors: ClassVar[dict[Any, Any]] = {
        f"tag:yaml.org,2002:{kind}": getattr(yaml.SafeLoader, f"construct_yaml_{kind}")
        for kind in ("null", "bool", "int", "float", "str", "seq", "map")
    } | {"tag:yaml.org,2002:value": yaml.SafeLoader.construct_yaml_str, None: yaml.SafeLoader.construct_undefined}
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise _fault(f"more than {MAX_DEPTH} levels of nesting", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return self.construct_document(node)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse keys that are not text or are repeated, before ``<<`` adds those of other mappings."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault("a key that is a list or a mapping", key.start_mark)
            if key.value in seen:
                raise _fault(f"the key {key.value!r} for the second time", key.start_mark)
            seen.add(key.value)
            if key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
        super().flatten_mapping(node)
        # What was typed in this mapping comes after what was merged, and wins.
        node.value = list({key.value: (key, value) for key, value in node.value}.values())

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError) as error:  # too many digits, digits that the base lacks, `!!bool x`
            raise _fault(f"a value that is not of type {node.tag.rpartition(':')[2]}", node.start_mark) from error
        if isinstance(value, float) and not math.isfinite(value):
            raise _fault(f"{node.value}, which is not a finite number", node.start_mark)
        if isinstance(value, int) and value not in _INTEGERS:
            raise _fault("an integer of more than 64 bits", node.start_mark)
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise _fault("half of a surrogate pair, which is not text", node.start_mark) from error
        return value


def parse_yaml(text: str, name: str) -> Any:
    """Return what a YAML text holds: text, numbers, booleans, null, lists, and mappings with text as keys.

    Args:
        text: The YAML.
        name: What to call it in an error, such as its file.

    Raises:
        SettingError: It is not YAML, has a repeated key or one that is not text, holds a number that is not finite or
            has more than 64 bits, or is larger or nested deeper than any recipe.
    """
    if len(text) > MAX_BYTES:
        raise SettingError(_describe(name, f"has more than {MAX_BYTES:,} characters"))
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingError(_describe(f"{name}{place}", error.problem or "it cannot be parsed")) from error
    except yaml.YAMLError as error:
        raise SettingError(_describe(name, " ".join(str(error).split()))) from error


def read_config(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file of a recipe holds, unchecked; an empty file holds an empty one.

    Raises:
        InputError: The file is missing, is not a regular file, or is not UTF-8 text.
        SettingError: As for ``parse_yaml``, or the top level is not a mapping.
    """
    values = read_yaml(path)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingError(
            f"{path}: its top level is a {type(values).__name__}. A recipe file holds `key: value` lines. Write it so."
        )
    return values


def read_yaml(path: Path, *, error: type[DavidgenError] = InputError) -> Any:
    """Return what a YAML file holds, as ``parse_yaml`` does.

    Raises:
        DavidgenError: Of the class ``error``: the file is missing, is not a regular file, or is not UTF-8 text.
        SettingError: As for ``parse_yaml``.
    """
    advice = "Name a file of `key: value` lines in UTF-8."
    try:
        if not path.is_file():  # a pipe would block
            raise error(f"{path} cannot be read as YAML: there is no such file. {advice}")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as found:
        raise error(f"{path} cannot be read as YAML: {found.strerror}. {advice}") from found
    except UnicodeDecodeError as found:
        raise error(f"{path} cannot be read as YAML: byte {found.start + 1} is not UTF-8. {advice}") from found
    return parse_yaml(text, str(path))


def _check_size(root: yaml.Node) -> None:
    """Refuse aliases that contain themselves or multiply what they name, before anything is built from them."""
    measured: dict[int, tuple[int, int]] = {}  # values and levels of each list or mapping; of open ones nothing yet

    def measure(node: yaml.Node, level: int) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1, 1
        if id(node) not in measured:
            measured[id(node)] = (0, 0)
            nodes = node.value if isinstance(node, yaml.SequenceNode) else [one for pair in node.value for one in pair]
            parts = [measure(one, level + 1) for one in nodes]
            measured[id(node)] = 1 + sum(size for size, _ in parts), 1 + max((depth for _, depth in parts), default=0)
        size, depth = measured[id(node)]
        if size == 0:
            raise _fault("an alias of a value inside this value itself", node.start_mark)
        if size > MAX_VALUES:
            raise _fault(f"more than {MAX_VALUES:,} values, aliases included", node.start_mark)
        if level + depth > MAX_DEPTH + 1:
            raise _fault(f"more than {MAX_DEPTH} levels of nesting, aliases included", node.start_mark)
        return size, depth

    measure(root, 1)


def _fault(found: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=f"found {found}", problem_mark=mark)


def _describe(place: str, problem: str) -> str:
    return (
        f"{place}: {problem}. Expected YAML: `key: value` lines, where a value is text, a number, true, false, null, "
        "a list or more such lines. Correct this place, or put quotes around text."
    )
