"""A served review of a copy of the hostile run, and requests to it."""

import http.client
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from davidgen_hf.corpus.review.log import log_path, read_log
from davidgen_hf.report.review import serve_review


@dataclass
class Client:
    """Asks a review server as a script would."""

    run: Path
    address: str

    @property
    def port(self) -> int:
        return urlsplit(self.address).port

    @property
    def token(self) -> str:
        return self.address.partition("token=")[2]

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return status and content; ``headers`` with underscores for hyphens, None leaves one out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {"X-Davidgen-Token": self.token, "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given = {name: value for name, value in given.items() if value is not None}
        connection.request("GET" if body is None else "POST", path, content, given)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if answer.headers["Content-Type"].startswith(
            "application/json"
        ) else text

    def row(self, n: int, reviewer: str = "ada") -> dict:
        return self.ask(f"/row?n={n}&reviewer={reviewer}")[1]

    def decide(self, action: str, n: int | None = None, reviewer: str = "ada", **fields: Any) -> tuple[int, Any]:
        row = {} if n is None else self.row(n, reviewer)
        seen = {} if n is None else {"row": row["key"], "version": row["state"]["version"]}
        return self.ask("/decisions", {"id": str(uuid4()), "reviewer": reviewer, "action": action} | seen | fields)

    def log(self) -> list:
        return read_log(log_path(self.run))


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
