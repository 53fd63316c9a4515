"""One URL over HTTP: redirects, caps, retries, politeness."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from tasks.core.clock import now
from tasks.core.errors import EgressRefused, EngineFailed, TooLarge, Transient
from tasks.core.web_address import canonical, host_of
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.engine.tally import SkipReason
from tasks.crawling.records import FailureReason

# What a refused or redirected body is read up to, so that the connection can be used again.
DRAIN_BYTES = 64 * 1024
# What a page may say of itself to robots, in lines of its head or elements; more is no page's need.
MAX_ROBOTS_LINES = 20
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WORTH_RETRYING = frozenset({429, 500, 502, 503, 504})
_OVERLOADED = frozenset({429, 503})

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

    def __init__(
        self, client: httpx.AsyncClient, politeness: Politeness, *, user_agent: str, limits: FetchLimits
    ) -> None:
        self._client = client
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
        try:
            async with asyncio.timeout(self._limits.request_s):
                request = self._client.build_request("GET", url, headers={**self._headers, **headers})
                response = await self._client.send(request, stream=True, follow_redirects=False)
                try:
                    return await _read(response, url, max_bytes=max_bytes, types=types, truncate=truncate)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException, Transient) as exc:
            raise FetchFailed("no answer in time", reason=FailureReason.TIMEOUT) from exc
        # A local protocol error is a connection over HTTP/2 that the other side has closed with this request under way.
        except (httpx.NetworkError, httpx.ProtocolError) as exc:
            raise FetchFailed(f"connection failed: {exc}"[:300], reason=FailureReason.CONNECTION) from exc
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise FetchFailed(f"the answer is broken: {exc}"[:300], reason=FailureReason.PROTOCOL) from exc
        except EgressRefused as exc:
            raise FetchFailed(exc.message, reason=FailureReason.REFUSED) from exc
        except TooLarge as exc:
            raise FetchFailed(exc.message, reason=FailureReason.TOO_LARGE) from exc


async def _read(
    response: httpx.Response, url: str, *, max_bytes: int, types: frozenset[str] | None, truncate: bool
) -> Fetched | str:
    status = response.status_code
    if status == 304 and not response.request.headers.keys().isdisjoint(_CONDITIONS):
        return _fetched(response, url, b"")
    if not response.is_success:
        await _body(response, max_bytes=DRAIN_BYTES)
        if status not in _REDIRECTS:
            raise _refusal(response)
        target = canonical(response.headers.get("Location", ""), base=url)
        if target is None or "Location" not in response.headers:
            raise FetchFailed("redirects to nothing that can be fetched", reason=FailureReason.REDIRECTS, status=status)
        return target
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if types is not None and media_type and media_type not in types:
        raise FetchSkipped(f"is {media_type}"[:300], reason="type")
    body = await _body(response, max_bytes=max_bytes)
    if len(body) > max_bytes:
        if not truncate:
            raise FetchFailed(f"larger than {max_bytes} bytes", reason=FailureReason.TOO_LARGE, status=status)
        body = body[:max_bytes]
    return _fetched(response, url, body)


def _fetched(response: httpx.Response, url: str, body: bytes) -> Fetched:
    return Fetched(
        url=url,
        status=response.status_code,
        charset=response.charset_encoding,
        body=body,
        etag=response.headers.get("ETag", ""),
        last_modified=response.headers.get("Last-Modified", ""),
        robots=tuple(response.headers.get_list("X-Robots-Tag"))[:MAX_ROBOTS_LINES],
    )


async def _body(response: httpx.Response, *, max_bytes: int) -> bytes:
    """Read the body, or a little more of it than the cap."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > max_bytes:
            break
    return bytes(body)


def _refusal(response: httpx.Response) -> FetchFailed:
    status = response.status_code
    if 400 <= status < 500:
        reason = FailureReason.HTTP_4XX
    elif 500 <= status < 600:
        reason = FailureReason.HTTP_5XX
    else:
        reason = FailureReason.PROTOCOL
    failure = FetchFailed(f"answered {status}", reason=reason, status=status)
    if status in _WORTH_RETRYING:
        wait, said_at = (response.headers.get(name, "").strip() for name in ("Retry-After", "Date"))
        failure.retry_after_s = _wait_s(wait, said_at=said_at)
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
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
