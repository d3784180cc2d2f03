"""Requests to one OpenAI-compatible server, through the ``openai`` client: bounded, timed and retried."""

import logging
import random
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any, TypeVar

import httpx2
from openai import APIConnectionError, APIStatusError, OpenAI
from pydantic_core import from_json

from davidgen_hf.engines.transport import Transport
from davidgen_hf.engines.unanswered import count_reasons, report_unanswered
from davidgen_hf.errors import ModelError
from davidgen_hf.secrecy import KEY_VARIABLE, api_key

logger = logging.getLogger(__name__)
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

CONNECT_SECONDS = 10.0
# A server that is loading, full or restarting says one of these; 529 is "overloaded".
RETRIED_STATUSES = (408, 425, 429, 500, 502, 503, 504, 529)
# What a server says to one request that is too long or malformed; another try gets the same.
REFUSED_STATUSES = (400, 413, 414, 422)
RETRIES = 5
# Time-outs and broken answers cost more time than refusals.
READ_RETRIES = 2
BACKOFF_SECONDS = 0.5
MAX_WAIT_SECONDS = 600
# A server that has failed on so many requests of a call, and answered none, is not sent the others.
MAX_FIRST_FAILURES = 8


class RequestFailedError(Exception):
    """A request failed after all retries; the text says why.

    Args:
        reason: What happened, in a few words.
        unreachable: No server answered at all.
        refused: The server refused this one request, or sent nonsense. Another try would get the same.
    """

    def __init__(self, reason: str, unreachable: bool = False, refused: bool = False) -> None:
        super().__init__(reason)
        self.unreachable, self.refused = unreachable, refused


class _TransientError(RequestFailedError):
    """A request failed in a way that a retry may mend: at most ``retries`` of them, after ``wait`` seconds."""

    def __init__(self, reason: str, retries: int, wait: float | None = None, unreachable: bool = False) -> None:
        super().__init__(reason, unreachable)
        self.retries, self.wait = retries, wait


class JsonServer:
    """One server, and the threads and connections that talk to it.

    The key, if there is one, is read from the environment variable ``DAVIDGEN_API_KEY`` and appears in no message.

    Args:
        base_url: Address without user, password or query, e.g. ``http://127.0.0.1:8000/v1``.
        concurrency: Number of requests that run at the same time.
        timeout_seconds: Longest wait for one answer.

    Raises:
        ModelError: The address is not one.
        SettingError: The key cannot be sent.
    """

    def __init__(self, base_url: str, concurrency: int, timeout_seconds: float) -> None:
        self.base_url, self.concurrency = base_url.rstrip("/"), concurrency
        self._key = api_key()
        self._has_answered = self._has_failed = False
        try:
            self._client = OpenAI(
                base_url=self.base_url,
                api_key="unused",  # the transport sends ours
                timeout=httpx2.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds), pool=None),
                max_retries=0,
                http_client=httpx2.Client(
                    transport=Transport(self.base_url, self._key, concurrency, timeout_seconds),
                    follow_redirects=False,  # a redirect could take the key to another host
                ),
            )
        except httpx2.InvalidURL as error:
            raise ModelError(
                f"base_url {base_url!r} is not an address: {error}. A server's address is http(s)://host[:port]/v1. "
                "Correct base_url."
            ) from error

    def get(self, path: str) -> dict[str, Any]:
        """Return the answer to one GET, which is sent once.

        Raises:
            RequestFailedError: No answer came, or it is not a JSON object.
            ModelError: The server refuses the key, or does not know the path.
        """
        return self._answer("GET", path)

    def post(self, path: str, body: dict[str, Any], stop: Event | None = None) -> dict[str, Any]:
        """Return the answer to one POST, which is sent again after time-outs, refusals and broken answers.

        Args:
            path: Where to post.
            body: What to post.
            stop: No retry follows once this is set.

        Raises:
            RequestFailedError: The last retry failed.
            ModelError: The server refuses the key, or does not know the path or the model.
        """
        stop = stop or Event()
        failed: list[_TransientError] = []
        while True:
            try:
                return self._answer("POST", path, body)
            except _TransientError as failure:
                failed.append(failure)
                of_kind = sum(one.retries == failure.retries for one in failed)
                if of_kind > failure.retries or len(failed) > RETRIES or (failure.wait or 0) > MAX_WAIT_SECONDS:
                    raise
                backoff = BACKOFF_SECONDS * (2 ** (len(failed) - 1) + random.random()) if len(failed) > 1 else 0.0
                if stop.wait(backoff if failure.wait is None else failure.wait):
                    raise

    def post_each(
        self, path: str, bodies: dict[Key, dict[str, Any]], read: Callable[[dict[str, Any], Key], Value]
    ) -> dict[Key, Value | None]:
        """Return what ``read`` makes of the answer to each POST; ``None`` for those that failed.

        How many failed, and why, is logged once per call. Those that another call may answer are also reported to
        ``collect_unanswered``.

        Args:
            path: Where to post.
            bodies: What to post, by what it is for.
            read: Takes an answer and its key; raises ``RequestFailedError`` where the answer is of no use.

        Raises:
            ModelError: No request got an answer, or one was refused in a way that all will be.
        """
        failures: list[RequestFailedError] = []
        answered, stop = Event(), Event()

        def ask(item: tuple[Key, dict[str, Any]]) -> Value | None:
            try:
                if stop.is_set():
                    raise RequestFailedError(f"not sent, after {MAX_FIRST_FAILURES} others had failed")
                value = read(self.post(path, item[1], stop), item[0])
            except RequestFailedError as failure:
                failures.append(failure)
                if not answered.is_set() and sum(not one.refused for one in failures) >= MAX_FIRST_FAILURES:
                    stop.set()
                return None
            answered.set()
            return value

        with ThreadPoolExecutor(self.concurrency) as threads:
            futures = [threads.submit(ask, item) for item in bodies.items()]
            try:
                values = [future.result() for future in futures]
            except BaseException:
                stop.set()
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        if failures:
            self._report(failures, len(bodies), answered.is_set())
        self._has_answered = self._has_answered or answered.is_set()
        return dict(zip(bodies, values, strict=True))

    def _report(self, failures: list[RequestFailedError], requests: int, answered: bool) -> None:
        """Log the failures of a call, or stop the run if there is nothing else.

        A single request does not show that the server refuses everything, unless nothing came from it before.
        """
        reasons = count_reasons(map(str, failures))
        if not answered and all(failure.unreachable for failure in failures):
            raise ModelError(
                f"The server at {self.base_url} has gone: {failures[0]}, for all {len(failures)} requests after "
                f"{RETRIES} retries. Start it again and run the same command: what is done is kept."
            )
        if not answered and (requests > 1 or (self._has_failed and not self._has_answered)):
            raise ModelError(
                f"The server at {self.base_url} has answered none of the {len(failures)} requests that were sent: "
                f"{reasons}. Candidates and scores need a server that answers /completions. Correct what it names and "
                "run the same command again: what is done is kept."
            )
        self._has_failed = True
        logger.warning(
            "%d of %d requests to %s failed, their rows are left without an answer: %s",
            len(failures),
            requests,
            self.base_url,
            reasons,
        )
        knows_better = answered or self._has_answered
        report_unanswered([str(failure) for failure in failures if not (failure.refused and knows_better)])

    def _answer(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            if method == "GET":
                response = self._client.get(path, cast_to=httpx2.Response)
            else:
                response = self._client.post(path, cast_to=httpx2.Response, body=body)
        except APIConnectionError as error:
            cause = error.__cause__ or error
            unreachable = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
            raise _TransientError(
                f"{type(cause).__name__}: {cause}", RETRIES if unreachable else READ_RETRIES, unreachable=unreachable
            ) from None
        except APIStatusError as error:
            raise self._refusal(error.response, path) from None
        except UnicodeEncodeError as error:
            raise RequestFailedError(f"a text that UTF-8 cannot encode ({error.reason})", refused=True) from None
        try:
            answer = from_json(response.content)
        except ValueError as error:
            raise _TransientError(f"not a JSON object ({error}): {self._clean(response)}", READ_RETRIES) from None
        if not isinstance(answer, dict):
            raise _TransientError(f"not a JSON object: {self._clean(response)}", READ_RETRIES)
        if answer.get("error"):
            raise RequestFailedError(f"an error instead of an answer: {self._clean(response)}")
        return answer

    def _refusal(self, response: httpx2.Response, path: str) -> Exception:
        """Return the error for a status that is not 200."""
        status, text = response.status_code, self._clean(response)
        if status in (401, 403):
            given = "was refused" if self._key else "is not set"
            return ModelError(
                f"The server at {self.base_url} answered {status}: it needs a key, and the environment variable "
                f"{KEY_VARIABLE} {given}. Set it to a key that this server knows."
            )
        if status == 404:
            return ModelError(
                f"The server at {self.base_url} answered 404 to {path}: {text} base_url usually ends in /v1; see "
                "which models it serves with GET /v1/models."
            )
        reason = f"HTTP {status}: {text}"
        if status in RETRIED_STATUSES:
            return _TransientError(reason, RETRIES, _retry_after(response))
        return RequestFailedError(reason, refused=status in REFUSED_STATUSES)

    def _clean(self, response: httpx2.Response) -> str:
        """Return the start of what the server said, on one line and without the key."""
        text = " ".join(response.content.decode("utf-8", "replace").split())
        return (text.replace(self._key, "[key]") if self._key else text)[:200] or "(nothing)"


def _retry_after(response: httpx2.Response) -> float | None:
    """Return the seconds to wait that a server names as a number or as a date; ``None`` where it names neither."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal() and value.isascii():
        return float(value) if len(value) < 20 else float("inf")
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
