"""Opens the first pages of a live site in a browser, and says what is wrong with them there."""

import asyncio
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


def trouble_in_browser(job: JobContext, url: str, paths: list[str]) -> str | None:
    """Open pages of the site and return the first thing that is wrong; None: nothing is.

    Wrong is an exception of a script, and an error in the console or a request that fails where the site itself is
    concerned: what other sites have on theirs is not this site's.

    Raises:
        EngineUnavailable, Transient: there is no browser, or it failed.
    """
    base = url if url.endswith("/") else url + "/"

    async def look(visit: "Visit") -> str | None:
        for path in paths:
            if (wrong := await _wrong_with(visit, urljoin(base, quote(path)))) is not None:
                return f"{path!r} in a browser: {wrong}"[:_MOST_TOLD]
        return None

    return job.browser.visit(look, timeout_s=_ALL_S)


async def _wrong_with(visit: "Visit", url: str) -> str | None:
    page = await visit.context.new_page()
    heard = _Listener(page, url)
    try:
        answer = await visit.open(page, url, timeout_s=_PAGE_S, until="load")
    except (Transient, EgressRefused) as exc:
        return exc.message
    if not answer.ok:
        return f"it is answered with status {answer.status}"
    await asyncio.sleep(_SETTLE_S)
    await page.close()
    return heard.first


class _Listener:
    """Keeps the first thing that goes wrong on a page."""

    def __init__(self, page: "Page", url: str) -> None:
        self.first: str | None = None
        self._origin = _origin(url)
        page.on("pageerror", lambda error: self._note(f"a script threw {error.message}"))
        page.on("console", self._hear)
        page.on("requestfailed", self._miss)
        page.on("response", self._judge)

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
