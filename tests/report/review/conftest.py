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
def visit(browser, client) -> Iterator[Callable]:
    """Open the page; in the end it must have run nothing of its texts, logged no error, and asked no one else."""
    asked, said, contexts = [], [], []

    def visit(width: int = 1440, scheme: str = "light", name: str = "ada"):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("request", lambda one: asked.append(one.url))
        page.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.add_init_script(f"localStorage.setItem('reviewer', {json.dumps(name)})")
        page.goto(client.address)
        page.wait_for_selector("html[data-ready]")
        return page

    yield visit
    for context in contexts:
        assert all(page.evaluate("window.hacked") is None for page in context.pages)
        context.close()
    assert [text for text in said if "409 (Conflict)" not in text] == []
    assert [url for url in asked if not url.startswith((client.address.partition("?")[0], "data:"))] == []
