"""A served review of a copy of the hostile run, and requests to it."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from review_client import Client

from davidgen_hf.report.review import serve_review


@contextmanager
def reviewed(run: Path) -> Iterator[Client]:
    with serve_review(run, 0, "ada") as (server, address):
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Client(run, address)
        server.shutdown()


@pytest.fixture
def copy(hostile_run, tmp_path) -> Path:
    return shutil.copytree(hostile_run, tmp_path / "run")


@pytest.fixture
def client(copy) -> Iterator[Client]:
    with reviewed(copy) as client:
        yield client


@pytest.fixture
def visit(watch, client) -> Iterator[Callable]:
    """Open the page as a reviewer; a conflict between two of them is part of the tests."""
    with watch(client.address.partition("?")[0], expected="409 (Conflict)") as open_page:

        def visit(width: int = 1440, scheme: str = "light", name: str = "ada"):
            script = f"localStorage.setItem('reviewer', {json.dumps(name)})"
            return open_page(client.address, width, scheme, script)

        yield visit
