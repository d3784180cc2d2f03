"""Asks a review server as a script would."""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from davidgen_hf.corpus.review.log import Entry, log_path, read_log


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

    def log(self) -> list[Entry]:
        return read_log(log_path(self.run))
