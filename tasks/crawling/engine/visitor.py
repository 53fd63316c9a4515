"""One visit: may we, fetch, read (or recall)."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from tasks.core.web_address import canonical
from tasks.crawling.contract import MOST_PAGE_BYTES, CrawlRequest
from tasks.crawling.engine.extraction import Extraction, ExtractionFailed, OnOutline
from tasks.crawling.engine.fetch import Fetched, Fetcher, FetchFailed, FetchSkipped
from tasks.crawling.engine.frontier import Visit
from tasks.crawling.engine.page_content import MainText, Outline
from tasks.crawling.engine.page_robots import page_robots
from tasks.crawling.engine.recall import Recall
from tasks.crawling.engine.rendering import Rendering
from tasks.crawling.engine.robots import RobotsBook
from tasks.crawling.engine.tally import SkipReason
from tasks.crawling.records import CrawledPage, FailureReason, PageError, PageForm, PageType, RenderReason

PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})

Gatekeeper = Callable[[str], SkipReason | None]
OnLinks = Callable[[tuple[str, ...]], None]


@dataclass(frozen=True, slots=True)
class Skipped:
    """The visit brought nothing to keep, and nothing is wrong."""

    reason: SkipReason


Outcome = CrawledPage | PageError | Skipped


class Visitor:
    """Makes visits, several at a time."""

    def __init__(
        self,
        request: CrawlRequest,
        *,
        fetcher: Fetcher,
        robots: RobotsBook,
        extraction: Extraction,
        user_agent: str,
        rendering: Rendering,
        recall: Recall | None = None,
    ) -> None:
        self._max_bytes = request.max_page_bytes
        self._obeys_pages = request.respect_page_robots
        self._user_agent = user_agent
        self._rendering = rendering
        # A page that is wanted as its scripts leave it is not judged by what is sent.
        self._recall = None if rendering.is_for_all else recall
        self._compares_with = recall
        self._fetcher = fetcher
        self._robots = robots
        self._extraction = extraction

    async def visit(self, visit: Visit, *, gatekeeper: Gatekeeper, on_links: OnLinks) -> Outcome:
        """Return the page, or why there is none.

        Args:
            gatekeeper: asked about the target of each redirect.
            on_links: gets the page's links that may be followed as soon as they are known, long before it is read.
        """
        if not (await self._robots.rules_for(visit.url)).allows(visit.url):
            return Skipped("robots")
        if self._compares_with is not None and (known := self._compares_with.not_due(visit.url)) is not None:
            return await self._untouched(known, visit, gatekeeper=gatekeeper, on_links=on_links)
        led_to: str | None = None

        def noting(target: str) -> SkipReason | None:
            nonlocal led_to
            led_to = target
            return gatekeeper(target)

        try:
            return await self.page(visit, gatekeeper=noting, on_links=on_links)
        except FetchSkipped as exc:
            return Skipped(exc.reason)
        except FetchFailed as exc:
            reason, status, message = exc.reason, exc.status, exc.message[:300]
        except ExtractionFailed as exc:
            reason, status, message = FailureReason.EXTRACTION, None, exc.message[:300]
        return PageError(url=visit.url, reason=reason, status=status, message=message, final_url=led_to)

    async def _untouched(
        self, known: CrawledPage, visit: Visit, *, gatekeeper: Gatekeeper, on_links: OnLinks
    ) -> Outcome:
        """Return the earlier record of a page that is not asked for, as if its address had led there again."""
        if known.url != visit.url and (reason := await self._judge(visit, gatekeeper)(known.url)) is not None:
            return Skipped(reason)
        on_links(self.to_follow(known))
        return known.model_copy(update={"requested_url": visit.url, "depth": visit.depth})

    async def page(self, visit: Visit, *, gatekeeper: Gatekeeper, on_links: OnLinks) -> CrawledPage:
        """Return the page.

        Raises:
            FetchFailed, FetchSkipped, ExtractionFailed: there is none.
        """
        try:
            fetched = await self._fetcher.fetch(
                visit.url,
                max_bytes=self._max_bytes,
                types=PAGE_TYPES,
                judge=self._judge(visit, gatekeeper),
                conditions=None if self._recall is None else self._recall.conditions,
            )
        except FetchFailed as exc:
            # One with a cause is over what the server lets any request fetch.
            if exc.reason is FailureReason.TOO_LARGE and exc.__cause__ is None:
                raise self._too_large(status=exc.status) from exc
            raise
        if (page := self._recalled(fetched, visit)) is not None:
            on_links(self.to_follow(page))
            return page
        page = await self._read(fetched, visit, gatekeeper=gatekeeper, on_links=on_links)
        return page if self._compares_with is None else self._compares_with.judged(page)

    async def _read(self, fetched: Fetched, visit: Visit, *, gatekeeper: Gatekeeper, on_links: OnLinks) -> CrawledPage:
        """Return the record of a page that was sent, opened in the browser where it must be."""

        def on_outline(outline: Outline) -> None:
            if not outline.is_shell:  # whose links may be those of what the browser makes of it
                on_links(self._followed(outline, fetched))

        outline, main = await self._extract(fetched, on_outline)
        why = self._rendering.reason(fetched.url, is_shell=outline.is_shell)
        opened = None if why is None else await self._open(fetched, visit, gatekeeper)
        if opened is not None:
            fetched = opened
            outline, main = await self._extract(fetched, lambda _outline: None)
            self._rendering.learn(fetched.url, is_shell=outline.is_shell)
        if opened is not None or outline.is_shell:
            on_links(self._followed(outline, fetched))
        return self._record(fetched, visit, outline, main, rendered=why if opened is not None else None)

    async def _extract(self, fetched: Fetched, on_outline: OnOutline) -> tuple[Outline, MainText]:
        return await self._extraction.read(
            fetched.body, url=fetched.url, charset=fetched.charset, on_outline=on_outline
        )

    async def _open(self, fetched: Fetched, visit: Visit, gatekeeper: Gatekeeper) -> Fetched | None:
        """Return the page as the browser leaves it; None where it is to be taken as it was sent."""
        opened = await self._rendering.open(fetched.url)
        if opened is None:
            return None
        url = canonical(opened.url) or fetched.url
        if url != fetched.url and (reason := await self._judge(visit, gatekeeper)(url)) is not None:
            raise FetchSkipped(f"its scripts lead to {url}"[:300], reason=reason)
        if len(opened.body) > self._max_bytes:
            raise self._too_large(" in the browser")
        return replace(fetched, url=url, body=opened.body, charset="utf-8")

    def _too_large(self, where: str = "", *, status: int | None = None) -> FetchFailed:
        remedy = "raise max_page_bytes" if self._max_bytes < MOST_PAGE_BYTES else "no page may be larger"
        told = f"larger than {self._max_bytes} bytes (max_page_bytes){where}; {remedy}"
        return FetchFailed(told, reason=FailureReason.TOO_LARGE, status=status)

    def to_follow(self, page: CrawledPage) -> tuple[str, ...]:
        """Return the page's links that may be followed."""
        left_out = frozenset(page.unfollowed if self._obeys_pages else ())
        return tuple(url for url in page.links if url not in left_out)

    def _followed(self, outline: Outline, fetched: Fetched) -> tuple[str, ...]:
        left_out = frozenset(self._unfollowed(outline, fetched) if self._obeys_pages else ())
        return tuple(url for url in outline.links if url not in left_out)

    def _unfollowed(self, outline: Outline, fetched: Fetched) -> tuple[str, ...]:
        told = page_robots(outline.robots, fetched.robots, user_agent=self._user_agent)
        return outline.links if told.nofollow else outline.unfollowed

    def _recalled(self, fetched: Fetched, visit: Visit) -> CrawledPage | None:
        """Return the earlier record of a page that stands as it was; None where it must be read."""
        if self._recall is None:
            return None
        is_sent = fetched.status != 304
        if is_sent:
            earlier = self._recall.same(fetched.url, hashlib.sha256(fetched.body).hexdigest())
        else:
            earlier = self._recall.unmodified(fetched.url)
        if earlier is None:
            return None
        told = page_robots((), fetched.robots, user_agent=self._user_agent)
        news = {
            "requested_url": visit.url,
            "depth": visit.depth,
            # Of the header, which may have changed while the body has not; what the body says stands in the record.
            "noindex": earlier.noindex or told.noindex,
            "unfollowed": earlier.links if told.nofollow else earlier.unfollowed,
            "etag": _short(fetched.etag, 300) or ("" if is_sent else earlier.etag),
            "last_modified": _short(fetched.last_modified, 100) or ("" if is_sent else earlier.last_modified),
        }
        return earlier.model_copy(update=news)

    def _record(
        self, fetched: Fetched, visit: Visit, outline: Outline, main: MainText, *, rendered: RenderReason | None
    ) -> CrawledPage:
        # What is sent may be the same although scripts would make another page of it.
        is_as_sent = rendered is None and not outline.is_shell
        told = page_robots(outline.robots, fetched.robots, user_agent=self._user_agent)
        return CrawledPage(
            url=fetched.url,
            requested_url=visit.url,
            canonical=outline.canonical,
            status=fetched.status,
            depth=visit.depth,
            title=outline.title,
            text=main.text,
            links=outline.links,
            hash=main.hash,
            size_bytes=len(fetched.body),
            content_hash=main.content_hash,
            page_type=PageType(main.page_type) if main.page_type else None,
            headline=main.headline,
            author=main.author,
            published=main.published,
            modified=main.modified,
            language=main.language,
            description=main.description,
            structured=main.structured,
            forms=tuple(PageForm.model_validate(form) for form in main.forms),
            noindex=told.noindex,
            unfollowed=self._unfollowed(outline, fetched),
            etag=_short(fetched.etag, 300) if is_as_sent else "",
            last_modified=_short(fetched.last_modified, 100) if is_as_sent else "",
            body_hash=hashlib.sha256(fetched.body).hexdigest() if is_as_sent else "",
            rendered=rendered,
        )

    def _judge(self, visit: Visit, gatekeeper: Gatekeeper) -> Callable[[str], Awaitable[SkipReason | None]]:
        async def judge(target: str) -> SkipReason | None:
            if not (await self._robots.rules_for(target)).allows(target):
                return "robots"
            # A redirect to itself is no duplicate: it ends by the cap on redirects.
            return None if target == visit.url else gatekeeper(target)

        return judge


def _short(text: str, most_chars: int) -> str:
    # One that is cut would match nothing.
    return text if len(text) <= most_chars else ""
