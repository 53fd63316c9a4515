"""Why a crawl cannot even start: the failures of the start URL, as errors of the job."""

import socket

from tasks.core.errors import AppError, EgressRefused, InputRejected, Permanent, Transient
from tasks.crawling.contract import FailureReason
from tasks.crawling.engine.fetch import FetchFailed

_MAY_PASS = frozenset({FailureReason.TIMEOUT, FailureReason.CONNECTION, FailureReason.HTTP_5XX})
_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


def start_error(failure: FetchFailed, *, url: str) -> AppError:
    """Return the job's error for a start URL (or its robots.txt) that could not be fetched.

    ``EgressRefused`` and ``InputRejected`` are for good; ``Transient`` for what another attempt may find mended.
    """
    if isinstance(failure.__cause__, EgressRefused):
        return failure.__cause__
    if _names_no_host(failure):
        return InputRejected(f"no host of that name: {url}; check the spelling", field="url")
    if failure.reason in _MAY_PASS or failure.status == 429:
        return Transient(f"{url}: {failure.message}")
    if failure.reason is FailureReason.TOO_LARGE:
        return InputRejected(f"{url}: {failure.message}; raise max_page_bytes", field="max_page_bytes")
    return InputRejected(f"{url}: {failure.message}; the crawl must start at a page that exists", field="url")


def robots_refusal(*, url: str) -> AppError:
    """Return the job's error for a start URL that robots.txt disallows."""
    return Permanent(f"robots.txt disallows the start URL {url} for this user agent", code="robots_disallowed")


def _names_no_host(failure: FetchFailed) -> bool:
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return cause.errno in _NO_SUCH_HOST
        cause = cause.__cause__ or cause.__context__
    return False
