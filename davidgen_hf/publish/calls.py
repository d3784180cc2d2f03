"""Calls of the Hub: repeated after a fault that passes, and ended with words where it refuses."""

import time
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub import get_token
from huggingface_hub.constants import ENDPOINT
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is httpx's
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from davidgen_hf.errors import DavidgenError, HubError
from davidgen_hf.secrecy import hide

Answer = TypeVar("Answer")
TRIES, LONGEST_WAIT_SECONDS = 4, 60.0
# What the libraries raise when an answer is not what the Hub's protocol says.
_STRANGE = (ValueError, KeyError, TypeError, AttributeError, AssertionError)
_WRITING = {
    401: "the Hub does not know the token. Set HF_TOKEN, or call `hf auth login`.",
    402: "the account's credit or quota does not cover this. Jobs are paid by the minute. Add credit to the "
    "account, or take cheaper hardware or fewer jobs, and run the same command again.",
    403: "the token may not write there. Use one with the right to write, or another --private or organization.",
    404: "there is no such repository, or the token may not see it. Check the name, org/name.",
    409: "a repository of that name exists and cannot become this one. Name another repository.",
    412: "someone else has changed the repository meanwhile. Run the same command again; their change stays.",
    429: "the Hub asks for a pause: too many requests. Run the same command again in a few minutes.",
}
_READING = _WRITING | {403: "the token may not read it. Use one with the right to read, or ask its owner."}


def call_hub(repo: str, call: Callable[[], Answer], *, writing: bool = False, tries: int | None = None) -> Answer:
    """Call the Hub, again after a pause if the fault is one of the network or a conflict.

    Args:
        repo: Id of the repository, for the error.
        call: Does nothing but call the Hub.
        writing: Whether it publishes something.
        tries: How often it may be called, if not ``TRIES`` times; once, if a second call could do a thing twice.

    Raises:
        HubError: The Hub refuses, or the fault stays.
    """
    most = tries or TRIES
    for attempt in range(1, most + 1):
        try:
            return call()
        except DavidgenError:
            raise
        except OfflineModeIsEnabled as error:
            raise HubError(
                f"{repo}: HF_HUB_OFFLINE is set, so the Hub is not called. Unset it and run the same command again."
            ) from error
        except (HTTPError, OSError, RuntimeError) as error:
            cause = _cause(error)
            if not _passes(cause) or attempt == most:
                raise HubError(_describe(repo, cause, writing=writing)) from error
            time.sleep(min(LONGEST_WAIT_SECONDS, _pause(cause, attempt)))
        except HFValidationError as error:
            raise HubError(f"{repo!r} is not the id of a repository: {error}. Write it as org/name.") from error
        except _STRANGE as error:
            raise HubError(
                f"{repo}: the answer is not one of the Hub ({hide(repr(error))[:300]}). Check HF_ENDPOINT, and run "
                "the same command again later."
            ) from error
    raise AssertionError("the last attempt returns or raises")


def _cause(error: Exception) -> Exception:
    """Return what the Hub answered where a download only reports that a file is not in the cache either."""
    return error.__cause__ if isinstance(error.__cause__, HfHubHTTPError) else error


def _passes(error: Exception) -> bool:
    """Return whether the same call may succeed a moment later."""
    if isinstance(error, LocalEntryNotFoundError):  # how snapshot_download reports that the network failed
        return True
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return status in (412, 429) or status >= 500
    return isinstance(error, HTTPError | ConnectionError | TimeoutError) or getattr(error, "errno", None) is None


def _describe(repo: str, error: Exception, *, writing: bool) -> str:
    advice = "use a token that may see it" if get_token() else "set HF_TOKEN"
    texts = {
        GatedRepoError: f"{repo} asks its readers for consent: visit its page, {_page(repo, error)}, and accept its "
        "terms. Then set HF_TOKEN to a token of that account, and run the same command again.",
        DisabledRepoError: f"{repo}: Access to this resource is disabled. The Hub blocks it: use another repository.",
        RevisionNotFoundError: f"{repo}: there is no such branch, tag or commit. Check --revision.",
        RepositoryNotFoundError: f"{repo}: there is no such repository, or it is private: check the name, org/name, "
        f"or {advice}.",
    }
    if known := next((text for kind, text in texts.items() if isinstance(error, kind)), None):
        return known
    if isinstance(error, HfHubHTTPError):
        words = (_WRITING if writing else _READING).get(error.response.status_code)
        return f"{repo}: {words or f'{_said(error)} Run the same command again later.'}"
    if isinstance(error, OSError) and not _passes(error):
        return f"{repo}: {error.filename or 'a file'} cannot be used: {error.strerror}. Make room or allow access."
    return f"{repo}: {_said(error)} Run the same command again to resume."


def _page(repo: str, error: Exception) -> str:
    kind = getattr(error, "repo_type", None)
    return f"{ENDPOINT}/{f'{kind}s/' if kind in ('dataset', 'space') else ''}{repo}"


def _said(error: Exception) -> str:
    return hide(str(error)).strip().rstrip(".") + "."


def _pause(error: Exception, attempt: int) -> float:
    given = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return float(given) if given.isdecimal() else 0.5 * 2**attempt
