"""Writing a site's sitemap: the engine of ``crawling.sitemap``."""

from xml.sax.saxutils import escape

from tasks.core.job import JobContext
from tasks.core.web_address import host_of
from tasks.crawling.contract import SITEMAP_MEDIA_TYPE, SITEMAP_NAME, SitemapRequest, SitemapResult
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.fetch import FetchLimits
from tasks.crawling.engine.pages_file import PagesFile
from tasks.crawling.engine.visiting import run
from tasks.crawling.engine.walk import walk
from tasks.crawling.records import CrawledPage

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'


def map_site(request: SitemapRequest, job: JobContext, *, limits: FetchLimits | None = None) -> SitemapResult:
    """Crawl the site and keep its addresses, in the order in which they were found, as ``sitemap.xml``.

    Raises:
        AppError: as ``crawl`` of ``site``.
    """
    days: dict[str, str] = {}

    def note(page: CrawledPage) -> bool:
        own = page.canonical if page.canonical and host_of(page.canonical) == host_of(page.url) else page.url
        if own in days:
            return False
        days[own] = page.modified or page.published
        return True

    with CrawlState.of(job) as state, PagesFile(state) as pages:
        keep = pages.keeping(note)
        crawled = run(walk(request, job, limits=limits or FetchLimits(), state=state, keep=keep))
    path = job.workdir / SITEMAP_NAME
    with path.open("w", encoding="utf-8") as out:
        out.write(_HEAD)
        for url, day in days.items():
            lastmod = f"<lastmod>{day}</lastmod>" if day else ""
            out.write(f"  <url><loc>{escape(url)}</loc>{lastmod}</url>\n")
        out.write("</urlset>\n")
    job.save(SITEMAP_NAME, path, SITEMAP_MEDIA_TYPE)
    return SitemapResult(
        start_url=crawled.start_url,
        addresses=len(days),
        with_lastmod=sum(map(bool, days.values())),
        sitemap_urls=crawled.sitemap_urls,
        pages_failed=crawled.pages_failed,
        stopped_by=crawled.stopped_by,
    )
