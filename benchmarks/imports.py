"""``python -m benchmarks.imports``: seconds until the package, the command line and a recipe are imported, and why.

Each is measured in a process of its own, the fastest of three, since the first one reads files from the disk.
"""

import re
import subprocess
import sys
import time

CASES = {
    "davidgen_hf": "import davidgen_hf",
    "the command line": "import davidgen_hf.cli",
    "a recipe": "from davidgen_hf.recipe import load_recipe; load_recipe('demo')",
}
_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|( *)(\S+)")
N_SHOWN = 10


def seconds(code: str) -> float:
    """Return how long a new process takes to run ``code``, without the start of Python itself."""

    def once(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - started

    return min(once(code) for _ in range(3)) - min(once("") for _ in range(3))


def expensive(code: str) -> list[tuple[float, str]]:
    """Return the modules that take the most time themselves, in seconds, without those that they import."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], check=True, capture_output=True, text=True
    )
    found = [(int(line[1]) / 1e6, line[4]) for line in _LINE.finditer(ended.stderr)]
    return sorted(found, reverse=True)[:N_SHOWN]


def main() -> None:
    """Print the table."""
    for name, code in CASES.items():
        print(f"{seconds(code):6.2f} s  {name}")
    print(f"\nThe {N_SHOWN} most expensive imports of a recipe:")
    for took, module in expensive(CASES["a recipe"]):
        print(f"{took:6.3f} s  {module}")


if __name__ == "__main__":
    main()
