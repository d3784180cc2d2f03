"""The settings of engines that ask a server."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from davidgen_hf.engines.settings import EngineSettings, Problems, too_short, where_and_how_fast
from davidgen_hf.storage.settings import UNLESS_DEFAULT

if TYPE_CHECKING:
    from davidgen_hf.engines.base import Engine


@dataclass(frozen=True)
class ServerSettings(EngineSettings):
    """A model that an OpenAI-compatible server runs.

    Args:
        kind: As for ``EngineSettings``, like ``model`` and ``revision``.
        max_length: Tokens of context and target together; ``None`` takes the server's own limit.
        base_url: Address of the server, e.g. ``http://127.0.0.1:8000/v1``; a key goes into the environment variable
            ``DAVIDGEN_API_KEY``, never in here.
        concurrency: Number of requests that run at the same time.
        timeout_seconds: Longest wait for one answer.
        allow_closed_source: Use the server even if its host is known to serve closed models.
        endpoint: ``completions``, which writes and scores; or ``chat``, ``/v1/chat/completions``, which writes with
            the chat template that the server has, each prompt being a user's message.
    """

    kind: str = "server"
    max_length: int | None = None
    base_url: str = where_and_how_fast("")
    concurrency: int = where_and_how_fast(16)
    timeout_seconds: float = where_and_how_fast(120.0)
    allow_closed_source: bool = False
    endpoint: Literal["completions", "chat"] = field(default="completions", metadata=UNLESS_DEFAULT)

    @property
    def scores(self) -> bool:
        """Whether the engine can score, which no chat endpoint can: a template would come before each target."""
        return self.endpoint == "completions"

    def load(self) -> "Engine":
        """Connect a ``ServerEngine`` or ``ChatEngine``; raises as ``EngineSettings.load``."""
        if self.endpoint == "chat":
            from davidgen_hf.engines.chat import ChatEngine

            return ChatEngine(self)
        from davidgen_hf.engines.server import ServerEngine

        return ServerEngine(self)

    def _problems(self) -> Problems:
        seconds = self.timeout_seconds
        return (
            too_short(self.max_length),
            (not 1 <= self.concurrency <= 10_000, f"concurrency must be 1 to 10,000, got {self.concurrency}"),
            (not 0 < seconds <= 1_000_000, f"timeout_seconds must be above 0 and at most 1,000,000, got {seconds}"),
            (not self.base_url, "kind 'server' needs base_url, e.g. http://127.0.0.1:8000/v1"),
            (
                bool(self.base_url) and not _is_bare_url(self.base_url),
                # Not shown: what does not belong into an address may be a key.
                "base_url must be http(s)://host[:port]/path without user, password, query or fragment, such as "
                "http://127.0.0.1:8000/v1; a key goes into the environment variable DAVIDGEN_API_KEY",
            ),
        )


def _is_bare_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    extras = (parts.username, parts.password, parts.query, parts.fragment)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and not any(extras)
