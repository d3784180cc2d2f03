"""The connections to a server: they carry our key and no other, and bound what comes back."""

import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx2

MAX_ANSWER_BYTES = 64 * 2**20
# All others come from variables of the environment that are meant for OpenAI's own server.
_SENT_HEADERS = ("host", "accept", "connection", "content-type", "content-length", "user-agent")


class Transport(httpx2.HTTPTransport):
    """Sends our key and no other, and bounds the size of each answer and the seconds until its end."""

    def __init__(self, base_url: str, key: str, connections: int, timeout_seconds: float) -> None:
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        # Without TLS, there is nothing to verify, and reading the system's certificates takes time.
        verify = ssl.create_default_context() if base_url.startswith("https:") else False
        super().__init__(verify=verify, limits=limits, trust_env=False)
        self._own = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._timeout_seconds = timeout_seconds

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {name: request.headers[name] for name in _SENT_HEADERS if name in request.headers} | self._own
        sent = httpx2.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        end = time.monotonic() + self._timeout_seconds
        try:
            response = super().handle_request(sent)
        except UnicodeError as error:
            raise httpx2.ConnectError(f"not a name that a host can have ({error})", request=request) from None
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise httpx2.DecodingError("a compressed answer, which was not requested", request=request)
        response.stream = BoundedBody(response.stream, end)
        return response


class BoundedBody(httpx2.SyncByteStream):
    """The body of an answer, up to a time and a size."""

    def __init__(self, body: Any, end: float) -> None:
        self._body, self._end = body, end

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._body:
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise httpx2.ReadError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > self._end:
                raise httpx2.ReadTimeout("the answer did not end in time")
            yield part

    def close(self) -> None:
        self._body.close()
