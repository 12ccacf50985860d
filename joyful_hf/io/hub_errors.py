"""Say in one line what went wrong between this machine and the Hub, and the way out."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..processing.dialogue_error import DialogueError

# Errors of the HTTP client, and of Xet, which sends large files beside it.
_BROKEN = (HTTPError, ConnectionError, TimeoutError)
_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


@contextmanager
def clear_hub_errors(what: str) -> Generator[None, None, None]:
    """Turn errors of the Hub, or of the connection to it, into a `DialogueError` that begins with `what`."""
    try:
        yield
    except Exception as error:
        reason = hub_reason(error)
        if reason is None:
            raise
        raise DialogueError(f"{what}: {reason}") from None


def hub_reason(error: BaseException) -> str | None:
    """Return why the Hub did not do what it was asked for; None for an error that is not the Hub's.

    The libraries wrap what the Hub said in errors of their own: the wrapped error counts.
    """
    errors = list(_chain(error))
    for found in errors:
        if isinstance(found, ConnectionError | LocalEntryNotFoundError) and constants.is_offline_mode():
            return "HF_HUB_OFFLINE is set, and this machine has no copy; unset it to ask the Hub"
        if isinstance(found, HFValidationError):
            return f"it is no id of a repository, which is user/name ({found})"
        if isinstance(found, LocalTokenNotFoundError):
            return f"there is no token; {_LOG_IN}"
        if isinstance(found, HfHubHTTPError):
            return _said_by_hub(found) or " ".join(str(error).split())
    last = next((found for found in reversed(errors) if isinstance(found, _BROKEN)), None)
    if last is not None:
        broken = f"the connection to {constants.ENDPOINT} failed ({str(last) or type(last).__name__})"
        return f"{broken}; the same call again goes on from where this one stopped"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _said_by_hub(error: HfHubHTTPError) -> str | None:
    """Return what an answer means; None where the library's own words are the best."""
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return "its owner gives access on request; ask for it on the repository's page"
    if isinstance(error, RepositoryNotFoundError):
        return f"the Hub has no such repository, or it is private and your token does not open it; {_LOG_IN}"
    if isinstance(error, RevisionNotFoundError):
        return "the repository has no such revision (branch, tag or commit)"
    if status == 401:
        return f"the Hub does not know your token, or was given none; {_LOG_IN}"
    if status == 403:
        return f"your token may not do that; {_LOG_IN} with a token that may write there ({error.server_message})"
    return None


__all__ = ["clear_hub_errors", "hub_reason"]
