"""Opens the first pages of a live site in a browser, and says what is wrong with them there."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from tasks.core.errors import EgressRefused, Transient
from tasks.core.job import JobContext

if TYPE_CHECKING:  # a worker that never opens a browser need not have Playwright
    from playwright.async_api import ConsoleMessage, Page, Request, Response

    from tasks.core.browser import Visit

# Of one page, and of all.
_PAGE_S = 20.0
_ALL_S = 90.0
# After a page has loaded, for what its scripts do then.
_SETTLE_S = 0.5
_MOST_TOLD = 300


@dataclass(frozen=True, slots=True)
class Budget:
    """What a page may load, from wherever, until its scripts rest; None: any."""

    max_bytes: int | None = None
    max_requests: int | None = None

    def exceeded_by(self, size_bytes: int, requests: int) -> bool:
        """Tell whether it is more."""
        is_heavy = self.max_bytes is not None and size_bytes > self.max_bytes
        return is_heavy or (self.max_requests is not None and requests > self.max_requests)


def trouble_in_browser(job: JobContext, url: str, paths: list[str], budget: Budget) -> str | None:
    """Open pages of the site and return the first thing that is wrong; None: nothing is.

    Wrong is an exception of a script, and an error in the console or a request that fails where the site itself is
    concerned: what other sites have on theirs is not this site's. So is a page that loads more than it may.

    Raises:
        EngineUnavailable, Transient: there is no browser, or it failed.
    """
    base = url if url.endswith("/") else url + "/"

    async def look(visit: "Visit") -> str | None:
        for path in paths:
            heard = await _listened(visit, urljoin(base, quote(path)))
            job.log(f"{path}: {heard.requests} requests, {heard.size_bytes:,} bytes in a browser")
            if heard.first is None and budget.exceeded_by(heard.size_bytes, heard.requests):
                heard.first = f"{heard.size_bytes:,} bytes in {heard.requests} requests, over what a page may load"
            if heard.first is not None:
                return f"{path!r} in a browser: {heard.first}"[:_MOST_TOLD]
        return None

    return job.browser.visit(look, timeout_s=_ALL_S)


async def _listened(visit: "Visit", url: str) -> "_Listener":
    page = await visit.context.new_page()
    heard = _Listener(page, url)
    try:
        answer = await visit.open(page, url, timeout_s=_PAGE_S, until="load")
    except (Transient, EgressRefused) as exc:
        heard.first = exc.message
        return heard
    if not answer.ok:
        heard.first = f"it is answered with status {answer.status}"
        return heard
    await asyncio.sleep(_SETTLE_S)
    await heard.weigh()
    await page.close()
    return heard


class _Listener:
    """Keeps the first thing that goes wrong on a page, and counts what it loads."""

    def __init__(self, page: "Page", url: str) -> None:
        self.first: str | None = None
        self.requests = 0
        self.size_bytes = 0
        self._finished: list[Request] = []
        page.on("requestfinished", self._finish)
        self._origin = _origin(url)
        page.on("pageerror", lambda error: self._note(f"a script threw {error.message}"))
        page.on("console", self._hear)
        page.on("requestfailed", self._miss)
        page.on("response", self._judge)

    async def weigh(self) -> None:
        """Count what has come so far, as it came over the line."""
        finished = list(self._finished)
        sizes = await asyncio.gather(*(one.sizes() for one in finished))
        self.requests = len(finished)
        self.size_bytes = sum(one["responseBodySize"] + one["responseHeadersSize"] for one in sizes)

    def _finish(self, request: "Request") -> None:
        self._finished.append(request)

    def _note(self, what: str) -> None:
        self.first = self.first or " ".join(what.split())

    def _hear(self, message: "ConsoleMessage") -> None:
        # A failed request is an error in the console, too, and told better by the others.
        is_ours = _origin(message.location.get("url", "")) == self._origin
        if is_ours and message.type == "error" and "Failed to load resource" not in message.text:
            self._note(f"the console has {message.text}")

    def _miss(self, request: "Request") -> None:
        # The browser itself gives up what a page no longer needs.
        if _origin(request.url) == self._origin and request.failure != "net::ERR_ABORTED":
            self._note(f"{request.url} fails with {request.failure}")

    def _judge(self, response: "Response") -> None:
        if _origin(response.url) == self._origin and response.status >= 400:
            self._note(f"{response.url} is answered with status {response.status}")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
