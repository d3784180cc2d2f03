"""Requests to one OpenAI-compatible server: bounded, timed, retried, and answered for each by JSON or a reason."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, InvalidHeader, MaxRetryError, NewConnectionError

from davidgen_hf.errors import ModelError
from davidgen_hf.secrecy import KEY_VARIABLE, api_key

logger = logging.getLogger(__name__)
Key, Value = TypeVar("Key", bound=Hashable), TypeVar("Value")

CONNECT_SECONDS = 10.0
# A server that is loading, full or restarting says one of these; 529 is "overloaded".
RETRIED_STATUSES = (408, 425, 429, 500, 502, 503, 504, 529)
RETRIES = 5
# Time-outs and answers cut short are dearer to wait for than refusals.
READ_RETRIES = 2
BACKOFF_SECONDS = 0.5
MAX_WAIT_SECONDS = 600


class RequestFailedError(Exception):
    """A request failed for good; the text says why, and ``unreachable`` that no server answered at all."""

    def __init__(self, reason: str, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.unreachable = unreachable


class _Retry(urllib3.Retry):
    """Honours ``Retry-After`` as seconds or as a date; what is neither is left to the backoff."""

    def parse_retry_after(self, retry_after: str) -> float:
        try:
            return super().parse_retry_after(retry_after)
        except InvalidHeader:
            return 0.0


class JsonServer:
    """One server, and the threads and connections that talk to it.

    Args:
        base_url: Address without user, password or query, e.g. ``http://127.0.0.1:8000/v1``.
        concurrency: Requests under way at once.
        timeout_seconds: Longest silence of the server within one request.

    The key, if there is one, is read from the environment variable ``DAVIDGEN_API_KEY`` and appears in no message.
    """

    def __init__(self, base_url: str, concurrency: int, timeout_seconds: float) -> None:
        self.base_url, self.concurrency = base_url.rstrip("/"), concurrency
        self._key = api_key()
        self._pool = urllib3.PoolManager(
            maxsize=concurrency,
            block=True,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, timeout_seconds), read=timeout_seconds),
        )

    def get(self, path: str) -> dict:
        """Return the answer to one GET, asked once.

        Raises:
            RequestFailedError: There is no answer, or it is no JSON object.
            ModelError: The server refuses the key, or does not know the path.
        """
        return self._read(self._request("GET", path, urllib3.Retry(0, redirect=False)))

    def post(self, path: str, body: dict) -> dict:
        """Return the answer to one POST, asked again after time-outs, refusals and garbage.

        Raises:
            RequestFailedError: It failed for good.
            ModelError: The server refuses the key, or does not know the path or the model.
        """
        retries = _Retry(
            total=RETRIES,
            read=READ_RETRIES,
            redirect=False,
            allowed_methods=None,
            status_forcelist=RETRIED_STATUSES,
            backoff_factor=BACKOFF_SECONDS,
            backoff_jitter=BACKOFF_SECONDS,
            backoff_max=MAX_WAIT_SECONDS,
            retry_after_max=MAX_WAIT_SECONDS,
            raise_on_status=False,
        )
        for _ in range(READ_RETRIES):
            try:
                return self._read(self._request("POST", path, retries, json=body))
            except _GarbageError:
                time.sleep(BACKOFF_SECONDS)
        return self._read(self._request("POST", path, retries, json=body))

    def post_each(
        self, path: str, bodies: dict[Key, dict], read: Callable[[dict, Key], Value]
    ) -> dict[Key, Value | None]:
        """Return what ``read`` makes of the answer to each POST; ``None`` for those that failed for good.

        How many did, and why, is logged once.

        Args:
            path: Where to post.
            bodies: What to post, by what it is for.
            read: Takes an answer and its key; raises ``RequestFailedError`` where the answer is of no use.

        Raises:
            ModelError: No request reached the server, or one was refused in a way that all will be.
        """
        failures: list[RequestFailedError] = []

        def ask(item: tuple[Key, dict]) -> Value | None:
            try:
                return read(self.post(path, item[1]), item[0])
            except RequestFailedError as failure:
                failures.append(failure)
                return None

        with ThreadPoolExecutor(self.concurrency) as threads:
            futures = [threads.submit(ask, item) for item in bodies.items()]
            try:
                values = [future.result() for future in futures]
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        if failures:
            self._report(failures, len(bodies))
        return dict(zip(bodies, values, strict=True))

    def _report(self, failures: list[RequestFailedError], asked: int) -> None:
        if len(failures) == asked and all(failure.unreachable for failure in failures):
            raise ModelError(
                f"The server at {self.base_url} has gone: {failures[0]}, for all {asked} requests after {RETRIES} "
                "retries. Start it again and run the same command: what is done is kept."
            )
        reasons = Counter(map(str, failures)).most_common(5)
        logger.warning(
            "%d of %d requests to %s failed for good, their rows are left without an answer: %s",
            len(failures),
            asked,
            self.base_url,
            "; ".join(f"{count} x {reason}" for reason, count in reasons),
        )

    def _request(self, method: str, path: str, retries: urllib3.Retry, **options) -> urllib3.BaseHTTPResponse:
        try:
            response = self._pool.request(method, self.base_url + path, retries=retries, redirect=False, **options)
        except MaxRetryError as error:
            raise RequestFailedError(
                _told(error.reason), isinstance(error.reason, NewConnectionError | ConnectTimeoutError)
            ) from None
        except HTTPError as error:
            raise RequestFailedError(_told(error)) from None
        if response.status in (401, 403):
            given = "was refused" if self._key else "is not set"
            raise ModelError(
                f"The server at {self.base_url} answered {response.status}: it wants a key, and the environment "
                f"variable {KEY_VARIABLE} {given}. Set it to a key that this server knows."
            )
        if response.status == 404:
            raise ModelError(
                f"The server at {self.base_url} answered 404 to {path}: {self._clean(response)} base_url usually ends "
                "in /v1; see which models it serves with GET /v1/models."
            )
        return response

    def _read(self, response: urllib3.BaseHTTPResponse) -> dict:
        if response.status != 200:
            raise RequestFailedError(f"HTTP {response.status}: {self._clean(response)}")
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise _GarbageError(f"no JSON object: {self._clean(response)}")
        return answer

    def _clean(self, response: urllib3.BaseHTTPResponse) -> str:
        """Return the start of what the server said, on one line and without the key."""
        text = " ".join(response.data.decode("utf-8", "replace").split())
        return (text.replace(self._key, "[key]") if self._key else text)[:200] or "(nothing)"


class _GarbageError(RequestFailedError):
    """An answer that is no JSON object: cut short, or a page of something between us and the server."""


def _told(error: Exception | None) -> str:
    """Return what happened without the address of an object or of the server that urllib3 puts in front."""
    return f"{type(error).__name__.removesuffix('Error')}: {str(error).rpartition(': ')[2]}"
