"""One visit: may we, fetch, read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tasks.crawling.contract import CrawledPage, CrawlRequest, FailureReason, PageError, PageForm, PageType
from tasks.crawling.engine.extraction import Extraction, ExtractionFailed
from tasks.crawling.engine.fetch import Fetcher, FetchFailed, FetchSkipped
from tasks.crawling.engine.frontier import Visit
from tasks.crawling.engine.robots import RobotsBook
from tasks.crawling.engine.tally import SkipReason

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

    def __init__(self, request: CrawlRequest, *, fetcher: Fetcher, robots: RobotsBook, extraction: Extraction) -> None:
        self._max_bytes = request.max_page_bytes
        self._fetcher = fetcher
        self._robots = robots
        self._extraction = extraction

    async def visit(self, visit: Visit, *, gatekeeper: Gatekeeper, on_links: OnLinks) -> Outcome:
        """Return the page, or why there is none.

        Args:
            gatekeeper: asked about the target of each redirect.
            on_links: gets the page's links as soon as they are known, long before the page is read.
        """
        if not (await self._robots.rules_for(visit.url)).allows(visit.url):
            return Skipped("robots")
        try:
            return await self.page(visit, gatekeeper=gatekeeper, on_links=on_links)
        except FetchSkipped as exc:
            return Skipped(exc.reason)
        except FetchFailed as exc:
            return PageError(url=visit.url, reason=exc.reason, status=exc.status, message=exc.message[:300])
        except ExtractionFailed as exc:
            return PageError(url=visit.url, reason=FailureReason.EXTRACTION, message=exc.message[:300])

    async def page(self, visit: Visit, *, gatekeeper: Gatekeeper, on_links: OnLinks) -> CrawledPage:
        """Return the page.

        Raises:
            FetchFailed, FetchSkipped, ExtractionFailed: there is none.
        """
        fetched = await self._fetcher.fetch(
            visit.url, max_bytes=self._max_bytes, types=PAGE_TYPES, judge=self._judge(visit, gatekeeper)
        )
        outline, main = await self._extraction.read(
            fetched.body,
            url=fetched.url,
            charset=fetched.charset,
            on_outline=lambda outline: on_links(outline.links),
        )
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
        )

    def _judge(self, visit: Visit, gatekeeper: Gatekeeper) -> Callable[[str], Awaitable[SkipReason | None]]:
        async def judge(target: str) -> SkipReason | None:
            if not (await self._robots.rules_for(target)).allows(target):
                return "robots"
            # A redirect to itself is no duplicate: it ends by the cap on redirects.
            return None if target == visit.url else gatekeeper(target)

        return judge
