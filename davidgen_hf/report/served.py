"""The page of a run of any size, served to this machine only; no file of the run can be changed through it."""

import json
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from davidgen_hf.corpus.facts import read_facts
from davidgen_hf.errors import DavidgenError, SettingError
from davidgen_hf.report.index import RowQuery, Rows
from davidgen_hf.report.page import render

SLOW_CLIENT_SECONDS = 30


class ReportServer(ThreadingHTTPServer):
    """A server whose queue holds the requests of many readers, and which keeps quiet about those who leave early."""

    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of a fault of ours; a reader who closed the connection is not one."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def serve_report(run: Path, port: int = 8321) -> ReportServer:
    """Return a server of the page on this machine's own address; ``serve_forever`` starts it.

    Args:
        run: The run's folder.
        port: 0 picks a free one.

    Raises:
        RunFolderError: It is not a run folder, or a file of it is damaged.
        SettingError: The port is taken.
    """
    page = render(run, read_facts(run)).encode()
    return open_server(type("Served", (Handler,), {"rows": Rows(run), "page": page}), port)


def open_server(handler: type[BaseHTTPRequestHandler], port: int) -> ReportServer:
    """Return a server on this machine's own address.

    Raises:
        SettingError: The port is taken.
    """
    try:
        return ReportServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise SettingError(
            f"Port {port} is taken ({error.strerror}). Name another with --port, or 0 for any."
        ) from error


class Handler(BaseHTTPRequestHandler):
    """Answers with the page at ``/`` and with rows at ``/rows``."""

    protocol_version = "HTTP/1.1"
    timeout = SLOW_CLIENT_SECONDS
    rows: Rows
    page: bytes

    def is_named(self) -> bool:
        """Return whether the request names this machine's own address, and not one that another page made up."""
        return self.headers.get("Host", "").rpartition(":")[0] in ("127.0.0.1", "localhost")

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        # A page of another origin that gives this address a name of its own must not read what is here.
        if not self.is_named():
            self.answer(403, "text/plain", b"ask 127.0.0.1")
        elif address.path == "/":
            self.answer(200, "text/html", self.page)
        elif address.path == "/rows":
            self.find(address.query)
        else:
            self.answer(404, "text/plain", b"there is / and /rows")

    def find(self, query: str) -> None:
        """Answer which rows a query finds."""
        try:
            found = self.rows.find(RowQuery.parse(dict(parse_qsl(query))))
        except SettingError as error:
            self.answer(400, "text/plain", str(error).encode("utf-8", "replace"))
        except (DavidgenError, OSError, sqlite3.Error) as error:
            self.answer(500, "text/plain", f"{error} Restart `davidgen report --serve`.".encode("utf-8", "replace"))
        else:
            self.answer(200, "application/json", json.dumps(found, allow_nan=False).encode())

    def answer(self, status: int, kind: str, body: bytes) -> None:
        """Send a whole answer, which nobody may keep or frame."""
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
