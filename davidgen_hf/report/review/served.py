"""The server of the review page: reads and writes need the token in the address, and come from the page itself."""

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel

from davidgen_hf.corpus.facts import read_facts
from davidgen_hf.corpus.review.log import FOLDER
from davidgen_hf.errors import DavidgenError, SettingError
from davidgen_hf.report.page import render
from davidgen_hf.report.review.desk import Desk
from davidgen_hf.report.review.page import render_review
from davidgen_hf.report.review.reasons import Reasons, read_reasons, write_reasons
from davidgen_hf.report.review.requests import Decision, Queue, Refusal
from davidgen_hf.report.served import Handler, ReportServer, open_server
from davidgen_hf.storage.lock import hold
from davidgen_hf.storage.record import read_record
from davidgen_hf.storage.validation import validate

TOKEN_HEADER = "X-Davidgen-Token"
MOST_BYTES = 64 << 10  # of a request; texts are shorter
MOST_DISCARDED = 32 << 20  # of one that is too long, so that its sender gets the answer
S = TypeVar("S", bound=BaseModel)


class Review:
    """What all requests to a server share.

    Args:
        run: The run's folder, locked.
        reviewer: The name that the page suggests.
    """

    def __init__(self, run: Path, reviewer: str) -> None:
        self.run, self.desk, self.token = run, Desk(run), secrets.token_urlsafe(24)
        self.page = render_review(self.desk, reviewer).encode()

    @cached_property
    def report(self) -> bytes:
        """The report page, which takes a pass over all rows."""
        return render(self.run, read_facts(self.run)).encode()


@contextmanager
def serve_review(run: Path, port: int = 8322, reviewer: str = "reviewer") -> Iterator[tuple[ReportServer, str]]:
    """Open a server of the review page on this machine's own address; ``serve_forever`` starts it.

    Args:
        run: The run's folder.
        port: 0 picks a free one.
        reviewer: The name that the page suggests to whoever opens it.

    Yields:
        The server, and the address of its page with the token.

    Raises:
        RunFolderError: It is not a run folder, has no rows, or a file of it is damaged.
        FolderBusyError: Another process serves its review.
        SettingError: The port is taken.
    """
    read_record(run)
    with hold(run / FOLDER):
        review = Review(run, reviewer)
        try:
            server = open_server(type("Served", (ReviewHandler,), {"rows": review.desk.rows, "review": review}), port)
            with server:
                yield server, f"http://127.0.0.1:{server.server_port}/?token={review.token}"
        finally:
            review.desk.close()


class ReviewHandler(Handler):
    """Answers the requests of the review page, and shows the report at ``/report``."""

    review: Review

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        address = urlsplit(self.path)
        with self._answered():
            if address.path in ("/report", "/rows"):
                self._check_place()
                if address.path == "/rows":
                    self.find(address.query)
                else:
                    self.answer(200, "text/html", self.review.report)
                return
            fields = dict(parse_qsl(address.query))
            if address.path == "/":  # a link to it may be on any page, such as that of a terminal in a browser
                self._check_place()
                self._check_token(fields.get("token", ""))
                self.answer(200, "text/html", self.review.page)
                return
            self._check()
            desk = self.review.desk
            answers: dict[str, Callable[[], dict[str, Any]]] = {
                "/queue": lambda: desk.queue(_parse(Queue, fields)),
                "/row": lambda: desk.row(_number(fields), fields.get("reviewer", "")),
                "/progress": lambda: desk.progress(fields.get("reviewer", "")),
                "/reasons": lambda: read_reasons(self.review.run).model_dump(),
            }
            self._send(answers.get(address.path, _nothing)())

    def do_POST(self) -> None:  # noqa: N802 - as above
        with self._answered():
            self._check()
            body = self._body()
            path = urlsplit(self.path).path
            if path == "/decisions":
                self._send(self.review.desk.decide(_parse(Decision, body)))
            elif path == "/reasons":
                write_reasons(self.review.run, _parse(Reasons, body))
                self._send(read_reasons(self.review.run).model_dump())
            else:
                _nothing()

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Answer what goes wrong in the block with its own status."""
        try:
            yield
        except Refusal as refusal:
            self._discard()
            content = {"error": str(refusal), "row": refusal.row}
            self.answer(refusal.status, "application/json", json.dumps(content).encode())
        except (DavidgenError, OSError, sqlite3.Error) as error:
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            self.answer(500, "application/json", json.dumps({"error": str(error)}).encode())

    def _check_place(self) -> None:
        if not self.is_named():
            raise Refusal(421, "The request names another host. This is 127.0.0.1. Open the address it printed.")

    def _check(self) -> None:
        """Refuse what does not come from the page, or comes without the token.

        Raises:
            Refusal: See there.
        """
        self._check_place()
        origin = self.headers.get("Origin")
        site = self.headers.get("Sec-Fetch-Site", "same-origin")
        if (origin is not None and origin != f"http://{self.headers['Host']}") or site not in ("same-origin", "none"):
            raise Refusal(403, "The request comes from another page. Only the review page may ask. Open its address.")
        self._check_token(self.headers.get(TOKEN_HEADER, ""))

    def _check_token(self, token: str) -> None:
        given = token.encode("utf-8", "replace")
        if not secrets.compare_digest(given, self.review.token.encode()):
            raise Refusal(
                401, "The token is missing or wrong. It is in the address that `davidgen review` printed. Open that."
            )

    def _body(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise Refusal(411, "The request does not name its length. It must. Send Content-Length.")
        if len(length) > 12 or int(length) > MOST_BYTES:
            raise Refusal(413, f"The request is too long. It may have {MOST_BYTES:,} bytes. Shorten the text.")
        if self.headers.get_content_type() != "application/json":
            raise Refusal(415, "The request is not JSON. JSON is expected. Send it as application/json.")
        try:
            read = self.rfile.read(int(length))
            del self.headers["Content-Length"]  # nothing is left to discard
            return json.loads(read)
        except (ValueError, RecursionError) as error:
            raise Refusal(422, f"The request is not JSON: {error}. JSON is expected. Reload the page.") from error

    def _discard(self) -> None:
        """Read what is left of a refused request: a sender that still writes would not see the answer."""
        length = self.headers.get("Content-Length", "0")
        left = min(int(length), MOST_DISCARDED) if length.isascii() and length.isdecimal() and len(length) < 13 else 0
        if left:
            self.close_connection = True
        while left > 0 and (read := self.rfile.read(min(left, 1 << 16))):
            left -= len(read)

    def _send(self, content: dict[str, Any]) -> None:
        self.answer(200, "application/json", json.dumps(content, allow_nan=False).encode())


def _nothing() -> dict[str, Any]:
    raise Refusal(404, "There is nothing at this address. Open the one that `davidgen review` printed.")


def _number(fields: dict[str, str]) -> int:
    text = fields.get("n", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise Refusal(422, f"{text[:20]!r} is not the number of a row. Rows count from 0. Reload the page.")
    return int(text)


def _parse(schema: type[S], content: Any) -> S:
    advice = "It must have the fields and values that the page sends. Reload the page."
    try:
        return validate(schema, content, "The request", advice, error=SettingError)
    except SettingError as error:
        raise Refusal(422, str(error)) from error
