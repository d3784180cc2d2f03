"""A server on loopback, a real one of the standard library, that answers as a test says."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "tiny"


class Handler(BaseHTTPRequestHandler):
    """Hands GETs and POSTs to the functions of its server, and records them, their times and how many ran at once."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one packet: in two, the second waits for an acknowledgement

    def do_GET(self) -> None:
        self.server.headers.append(dict(self.headers))
        self.server.on_get(self)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.asked)
            self.server.asked.append(body)
            self.server.times.append(time.monotonic())
            self.server.headers.append(dict(self.headers))
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        try:
            self.server.on_post(self, body, number)
        finally:
            with self.server.lock:
                self.server.under_way -= 1

    def reply(self, answer: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send(json.dumps(answer).encode(), status, headers)

    def send(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None, length: int = -1) -> None:
        """Send ``data`` and say that it has ``length`` bytes."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length < 0 else length))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


def list_models(handler: Handler, **card: object) -> None:
    handler.reply({"object": "list", "data": [{"id": MODEL, **card}]})


@contextmanager
def running(on_post: Callable, on_get: Callable = list_models) -> Iterator[ThreadingHTTPServer]:
    """Run a server for as long as the block lasts; its ``url`` ends in ``/v1``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.lock = True, threading.Lock()
    server.on_post, server.on_get = on_post, on_get
    server.asked, server.times, server.headers, server.under_way, server.most_under_way = [], [], [], 0, 0
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
