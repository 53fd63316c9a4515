"""The page that a job starts from, and its failures as errors of the job."""

import socket

from tasks.core.errors import AppError, EgressRefused, EngineFailed, InputRejected, Permanent, TooLarge, Transient
from tasks.core.web_address import MAX_URL_CHARS, canonical
from tasks.crawling.engine.extraction import ExtractionFailed
from tasks.crawling.engine.fetch import FetchFailed, FetchSkipped
from tasks.crawling.engine.frontier import Visit
from tasks.crawling.engine.politeness import HostGate
from tasks.crawling.engine.robots import RobotsBook
from tasks.crawling.engine.visitor import Visitor
from tasks.crawling.records import CrawledPage, FailureReason, may_pass

_NOT_LET_IN = frozenset({401, 403})
_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


async def first_page(url: str, *, robots: RobotsBook, visitor: Visitor) -> CrawledPage:
    """Return the page that the URL leads to, wherever that is; robots.txt has its say about each redirect.

    Raises:
        AppError: there is none; what ``start_error`` and ``robots_refusal`` return.
    """
    address = canonical(url)
    if address is None:
        raise unfetchable(url)
    rules = await robots.rules_for(address)
    if rules.unreachable is not None:
        raise _robots_error(rules.unreachable, url=address) from rules.unreachable
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


def unfetchable(url: str) -> InputRejected:
    """Return the job's error for an address that is none of the web."""
    return InputRejected(
        f"{url!r} cannot be fetched: give an address that begins with http:// or https:// and has no user name, "
        f"of at most {MAX_URL_CHARS} characters",
        field="url",
    )


def _robots_error(failure: FetchFailed, *, url: str) -> AppError:
    error = start_error(failure, url=f"robots.txt of {url}")
    if isinstance(error, Transient):
        return Transient(f"{error.message}; until it can be had, nothing of the site may be fetched (RFC 9309)")
    return error


def start_error(failure: FetchFailed, *, url: str) -> AppError:
    """Return the job's error for a start URL (or its robots.txt) that could not be fetched.

    ``EgressRefused`` and ``InputRejected`` are for good; ``Transient`` for what another attempt may find mended.
    """
    if isinstance(failure.__cause__, EgressRefused):
        return failure.__cause__
    if _names_no_host(failure):
        return InputRejected(f"no host of that name: {url}; check the spelling", field="url")
    if isinstance(failure.__cause__, TooLarge):  # more than this server lets any request fetch
        return InputRejected(f"{url}: {failure.message}", field="url")
    if may_pass(failure.reason, failure.status):
        return Transient(f"{url}: {failure.message}")
    return InputRejected(
        f"{url}: {failure.message}{_remedy(failure)}",
        field="max_page_bytes" if failure.reason is FailureReason.TOO_LARGE else "url",
    )


def _remedy(failure: FetchFailed) -> str:
    if failure.status in _NOT_LET_IN:
        return ": the site does not let this crawler in; ask its owner to, or name another user_agent"
    match failure.reason:
        case FailureReason.TOO_LARGE:
            return ""  # which its message has
        case FailureReason.REDIRECTS:
            return "; give the address of the page itself, to which a browser comes in the end"
        case _:
            return "; the URL must be of a page that exists"


def no_page_in_time(max_duration_s: int, slowest: HostGate | None) -> EngineFailed:
    """Return the job's error for a crawl whose time was used up before its first page came.

    ``Transient`` where other crawls were before it in a host's line.
    """
    told = f"no page within {max_duration_s} s (max_duration_s)"
    if slowest is None or not slowest.stated_delay_s:
        return Permanent(f"{told}; raise max_duration_s")
    told += f": robots.txt asks for {slowest.stated_delay_s:g} s between requests (Crawl-delay)"
    if slowest.waits_for_others:
        return Transient(
            f"{told}, which all crawls of this machine keep together, and others are before this one; raise "
            "max_duration_s, or crawl the site once they have ended"
        )
    return Permanent(f"{told}; raise max_duration_s")


def robots_refusal(*, url: str) -> AppError:
    """Return the job's error for a start URL that robots.txt disallows."""
    return Permanent(
        f"robots.txt disallows the start URL {url} for this user agent: begin at an address that it allows; on a site "
        "of your own, let respect_robots be false",
        code="robots_disallowed",
    )


def _names_no_host(failure: FetchFailed) -> bool:
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return cause.errno in _NO_SUCH_HOST
        cause = cause.__cause__ or cause.__context__
    return False
