"""One URL over HTTP: redirects, caps, retries, politeness."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Protocol

import httpx

from tasks.core.clock import now
from tasks.core.egress import Answer, Head, Wants
from tasks.core.errors import EgressRefused, EngineFailed, TooLarge, Transient
from tasks.core.web_address import canonical, host_of
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.engine.tally import SkipReason
from tasks.crawling.records import FailureReason

# What a refused or redirected body is read up to, so that the connection can be used again.
DRAIN_BYTES = 64 * 1024
# What a page may say of itself to robots, in lines of its head or elements; more is no page's need.
MAX_ROBOTS_LINES = 20
# Of a Content-Type, as much as is read: its parameters may be numbered, and numbers of thousands of digits are refused.
MAX_CONTENT_TYPE_CHARS = 300
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WORTH_RETRYING = frozenset({429, 500, 502, 503, 504})
_OVERLOADED = frozenset({429, 503})


class Web(Protocol):
    """What asks servers: ``Downloads`` of the egress guard, with its errors."""

    async def get(self, url: str, headers: Mapping[str, str], *, wants: Wants) -> Answer:
        """Return the answer, and of its body as much as ``wants`` says of its head."""


Judge = Callable[[str], Awaitable[SkipReason | None]]
Conditions = Callable[[str], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How long and how often one URL is tried; seconds."""

    request_s: float = 30.0
    retries: int = 2
    backoff_s: float = 0.5
    longest_pause_s: float = 30.0
    redirects: int = 10


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer 2xx, its body decoded from any content encoding; or 304 without one, where conditions were sent."""

    url: str
    status: int
    charset: str | None
    body: bytes
    etag: str = ""
    last_modified: str = ""
    robots: tuple[str, ...] = ()
    """Lines of X-Robots-Tag."""


class FetchFailed(EngineFailed):
    """The URL could not be fetched; ``__cause__`` is the library's error where there is one."""

    def __init__(self, message: str, *, reason: FailureReason, status: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.retry_after_s: float | None = None

    @property
    def is_worth_retrying(self) -> bool:
        """Whether another request may succeed."""
        return self.status in _WORTH_RETRYING or self.reason in {FailureReason.TIMEOUT, FailureReason.CONNECTION}

    @property
    def tells_of_overload(self) -> bool:
        """Whether the host may want to be asked by fewer at once."""
        return self.status in _OVERLOADED or self.reason is FailureReason.TIMEOUT


class FetchSkipped(EngineFailed):
    """The answer is not wanted: another type, or a redirect to where the crawl does not go."""

    def __init__(self, message: str, *, reason: SkipReason) -> None:
        super().__init__(message)
        self.reason = reason


class Fetcher:
    """Fetches for one crawl."""

    def __init__(self, web: Web, politeness: Politeness, *, user_agent: str, limits: FetchLimits) -> None:
        self._web = web
        self._politeness = politeness
        self._headers = {"User-Agent": user_agent, "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1"}
        self._limits = limits

    async def fetch(
        self,
        url: str,
        *,
        max_bytes: int,
        types: frozenset[str] | None = None,
        judge: Judge | None = None,
        redirects: int | None = None,
        truncate: bool = False,
        conditions: Conditions | None = None,
    ) -> Fetched:
        """Return the answer at the end of the redirects.

        Args:
            max_bytes: cap of the decoded body; ``truncate`` cuts there instead of failing.
            types: media types worth reading; None reads all. An absent Content-Type passes.
            judge: asked about each redirect's target; a reason to skip it ends the fetch.
            conditions: gives the headers that make the request for an address conditional, where there are any.
        Raises:
            FetchFailed: no usable answer, after retries where they may help.
            FetchSkipped: by ``types`` or ``judge``.
        """
        hops_left = self._limits.redirects if redirects is None else redirects
        while True:
            headers = {} if conditions is None else conditions(url)
            answer = await self._patiently(url, headers, max_bytes=max_bytes, types=types, truncate=truncate)
            if isinstance(answer, Fetched):
                return answer
            if hops_left == 0:
                raise FetchFailed("redirected too often", reason=FailureReason.REDIRECTS)
            hops_left -= 1
            if judge is not None and (reason := await judge(answer)):
                raise FetchSkipped(f"redirects to {answer}", reason=reason)
            url = answer

    async def _patiently(
        self, url: str, headers: Mapping[str, str], *, max_bytes: int, types: frozenset[str] | None, truncate: bool
    ) -> Fetched | str:
        gate = self._politeness.gate(host_of(url))
        retry = 0
        while True:
            try:
                async with gate.turn():
                    answer = await self._once(url, headers, max_bytes=max_bytes, types=types, truncate=truncate)
                gate.answered()
                return answer
            except FetchFailed as exc:
                if exc.tells_of_overload:
                    gate.overloaded()
                if exc.retry_after_s:
                    gate.pause(min(exc.retry_after_s, self._limits.longest_pause_s))
                if retry >= self._limits.retries or not exc.is_worth_retrying:
                    raise
            await asyncio.sleep(self._limits.backoff_s * 2**retry)
            retry += 1

    async def _once(
        self, url: str, headers: Mapping[str, str], *, max_bytes: int, types: frozenset[str] | None, truncate: bool
    ) -> Fetched | str:
        """Return the answer, or the URL that it redirects to."""

        def wants(head: Head) -> int:
            if _is_unmodified(head, headers) or not _is_success(head):
                return DRAIN_BYTES
            return 0 if _is_other(head, types) else max_bytes

        try:
            async with asyncio.timeout(self._limits.request_s):
                answer = await self._web.get(url, {**self._headers, **headers}, wants=wants)
            return _judged(answer, url, headers, max_bytes=max_bytes, types=types, truncate=truncate)
        except (TimeoutError, httpx.TimeoutException, Transient) as exc:
            raise FetchFailed("no answer in time", reason=FailureReason.TIMEOUT) from exc
        except (httpx.NetworkError, httpx.ProtocolError) as exc:
            raise FetchFailed(f"connection failed: {exc}"[:300], reason=FailureReason.CONNECTION) from exc
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise FetchFailed(f"the answer is broken: {exc}"[:300], reason=FailureReason.PROTOCOL) from exc
        except EgressRefused as exc:
            raise FetchFailed(exc.message, reason=FailureReason.REFUSED) from exc
        except TooLarge as exc:
            raise FetchFailed(exc.message, reason=FailureReason.TOO_LARGE) from exc


def _judged(
    answer: Answer, url: str, sent: Mapping[str, str], *, max_bytes: int, types: frozenset[str] | None, truncate: bool
) -> Fetched | str:
    head = answer.head
    if _is_unmodified(head, sent):
        return _fetched(head, url, b"")
    if not _is_success(head):
        if head.status not in _REDIRECTS:
            raise _refusal(head)
        target = canonical(_location(head), base=url)
        if target is None or not head.all("location"):
            raise FetchFailed(
                "redirects to nothing that can be fetched", reason=FailureReason.REDIRECTS, status=head.status
            )
        return target
    if _is_other(head, types):
        raise FetchSkipped(f"is {_media_type(head)}"[:300], reason="type")
    if answer.is_cut and not truncate:
        raise FetchFailed(f"larger than {max_bytes} bytes", reason=FailureReason.TOO_LARGE, status=head.status)
    return _fetched(head, url, answer.body)


def _location(head: Head) -> str:
    """Return where an answer redirects to; in UTF-8 where it reads as such, as browsers do."""
    said = head.get("location")
    try:
        return said.encode("latin-1").decode()
    except UnicodeError:
        return said


def _is_success(head: Head) -> bool:
    return 200 <= head.status < 300


def _is_unmodified(head: Head, sent: Mapping[str, str]) -> bool:
    return head.status == 304 and not _CONDITIONS.isdisjoint(name.lower() for name in sent)


def _is_other(head: Head, types: frozenset[str] | None) -> bool:
    media_type = _media_type(head)
    return types is not None and bool(media_type) and media_type not in types


def _media_type(head: Head) -> str:
    return head.get("content-type").partition(";")[0].strip().lower()


def _fetched(head: Head, url: str, body: bytes) -> Fetched:
    return Fetched(
        url=url,
        status=head.status,
        charset=_charset(head.get("content-type")[:MAX_CONTENT_TYPE_CHARS]),
        body=body,
        etag=head.get("etag"),
        last_modified=head.get("last-modified"),
        robots=tuple(head.all("x-robots-tag"))[:MAX_ROBOTS_LINES],
    )


@lru_cache(maxsize=1000)
def _charset(content_type: str) -> str | None:
    message = Message()
    message["Content-Type"] = content_type
    return message.get_content_charset()


def _refusal(head: Head) -> FetchFailed:
    status = head.status
    if 400 <= status < 500:
        reason = FailureReason.HTTP_4XX
    elif 500 <= status < 600:
        reason = FailureReason.HTTP_5XX
    else:
        reason = FailureReason.PROTOCOL
    failure = FetchFailed(f"answered {status}", reason=reason, status=status)
    if status in _WORTH_RETRYING:
        failure.retry_after_s = _wait_s(head.get("retry-after"), said_at=head.get("date"))
    return failure


def _wait_s(wait: str, *, said_at: str) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3), or None where it cannot be read."""
    if wait.isdecimal():
        return float(wait) if len(wait) < 9 else None
    until = _moment(wait)
    # By the server's own clock, which may be wrong.
    return None if until is None else max(0.0, (until - (_moment(said_at) or now())).total_seconds())


def _moment(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for a year of twenty digits
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
