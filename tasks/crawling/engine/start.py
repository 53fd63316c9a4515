"""The page that a job starts from, and its failures as errors of the job."""

import socket

from tasks.core.errors import AppError, EgressRefused, InputRejected, Permanent, Transient
from tasks.core.web_address import canonical
from tasks.crawling.engine.extraction import ExtractionFailed
from tasks.crawling.engine.fetch import FetchFailed, FetchSkipped
from tasks.crawling.engine.frontier import Visit
from tasks.crawling.engine.robots import RobotsBook
from tasks.crawling.engine.visitor import Visitor
from tasks.crawling.records import CrawledPage, FailureReason

_MAY_PASS = frozenset({FailureReason.TIMEOUT, FailureReason.CONNECTION, FailureReason.HTTP_5XX})
_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


async def first_page(url: str, *, robots: RobotsBook, visitor: Visitor) -> CrawledPage:
    """Return the page that the URL leads to, wherever that is; robots.txt has its say about each redirect.

    Raises:
        AppError: there is none; what ``start_error`` and ``robots_refusal`` return.
    """
    address = canonical(url)
    if address is None:
        raise InputRejected(f"cannot be fetched: {url}", field="url")
    rules = await robots.rules_for(address)
    if rules.unreachable is not None:
        raise start_error(rules.unreachable, url=f"robots.txt of {address}") from rules.unreachable
    if not rules.allows(address):
        raise robots_refusal(url=address)
    try:
        return await visitor.page(
            Visit(address, depth=0, order=0), gatekeeper=lambda _target: None, on_links=lambda _links: None
        )
    except FetchFailed as exc:
        raise start_error(exc, url=address) from exc
    except FetchSkipped as exc:
        if exc.reason == "robots":
            raise robots_refusal(url=f"{address} ({exc.message})") from exc
        raise InputRejected(f"{address}: {exc.message}, not an HTML page", field="url") from exc
    except ExtractionFailed as exc:
        raise Permanent(f"{address}: {exc.message}") from exc


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
    return InputRejected(f"{url}: {failure.message}; the URL must be of a page that exists", field="url")


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
