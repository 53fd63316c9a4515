"""Writing a site's sitemap: the engine of ``crawling.sitemap``."""

from xml.sax.saxutils import escape

from tasks.core.job import JobContext
from tasks.core.web_address import host_of
from tasks.crawling.contract import SITEMAP_MEDIA_TYPE, SITEMAP_NAME, SitemapRequest, SitemapResult
from tasks.crawling.engine.crawl_state import CrawlState
from tasks.crawling.engine.fetch import FetchLimits
from tasks.crawling.engine.politeness import pacing
from tasks.crawling.engine.visiting import run
from tasks.crawling.engine.walk import walk
from tasks.crawling.records import CrawledPage

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'


def map_site(request: SitemapRequest, job: JobContext, *, limits: FetchLimits | None = None) -> SitemapResult:
    """Crawl the site and keep its addresses, in the order in which they were found, as ``sitemap.xml``.

    Raises:
        AppError: as ``crawl`` of ``site``.
    """
    with CrawlState.of(job) as state, pacing(request, job, state) as politeness:

        def note(page: CrawledPage) -> bool:
            own = page.canonical if page.canonical and host_of(page.canonical) == host_of(page.url) else page.url
            row = (own, page.modified or page.published)
            with state.writing() as db:
                return db.execute("INSERT OR IGNORE INTO addresses (url, day) VALUES (?, ?)", row).rowcount == 1

        work = walk(request, job, limits=limits or FetchLimits(), state=state, politeness=politeness, keep=note)
        crawled = run(work)
        path = job.workdir / SITEMAP_NAME
        with path.open("w", encoding="utf-8") as out:
            out.write(_HEAD)
            for url, day in state.rows("SELECT url, day FROM addresses ORDER BY number"):
                job.checkpoint()
                lastmod = f"<lastmod>{day}</lastmod>" if day else ""
                out.write(f"  <url><loc>{escape(url)}</loc>{lastmod}</url>\n")
            out.write("</urlset>\n")
        addresses, with_lastmod = state.read("SELECT count(*), count(nullif(day, '')) FROM addresses")[0]
    job.save(SITEMAP_NAME, path, SITEMAP_MEDIA_TYPE)
    return SitemapResult(
        start_url=crawled.start_url,
        addresses=addresses,
        with_lastmod=with_lastmod,
        sitemap_urls=crawled.sitemap_urls,
        pages_failed=crawled.pages_failed,
        stopped_by=crawled.stopped_by,
    )
