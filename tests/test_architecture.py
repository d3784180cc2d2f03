"""A module imports only rooms that come before its own in the order of the data's way."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "davidgen_hf"

# A module imports only from rooms that come earlier in this list, and from its own.
ORDER = (
    *("moved", "errors", "plugins", "secrecy", "terminal", "commandline", "schema", "prompts", "storage"),
    *("provenance", "sources", "engines", "processors", "methods", "training", "recipe", "evaluation", "tasks"),
    *("corpus", "publish", "report", "run", "estimate", "study", "cli", "__main__"),
)


def imports_of(path: Path) -> set[str]:
    """The rooms of the package that a module names in its imports, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("davidgen_hf"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("davidgen_hf.")}
    return found


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_a_file_has_at_most_300_lines():
    assert [path for path in modules() if len(path.read_text("utf-8").splitlines()) > 300] == []


def test_every_room_has_its_place():
    assert {room(path) for path in modules()} == set(ORDER)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_way(path):
    assert imports_of(path) <= {*ORDER[: ORDER.index(room(path)) + 1], "__version__"}
