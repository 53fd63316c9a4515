"""Reading one page: the engine of ``crawling.page``."""

from typing import Literal

from tasks.core.job import JobContext
from tasks.crawling.contract import (
    MARKDOWN_MEDIA_TYPE,
    MARKDOWN_NAME,
    MAX_SHOWN_CHARS,
    PAGES_MEDIA_TYPE,
    PAGES_NAME,
    PDF_NAME,
    PICTURE_NAME,
    CrawlRequest,
    PageRequest,
    PageResult,
)
from tasks.crawling.engine.fetch import FetchLimits
from tasks.crawling.engine.picturing import take_pictures
from tasks.crawling.engine.politeness import Politeness
from tasks.crawling.engine.start import first_page
from tasks.crawling.engine.visiting import USER_AGENT, attended, run, visiting
from tasks.crawling.records import CrawledPage


def read_page(request: PageRequest, job: JobContext, *, limits: FetchLimits | None = None) -> PageResult:
    """Return the page, and keep its text as ``page.md`` and its record as ``pages.jsonl``; pictures where asked for.

    Args:
        job: is asked every 0.2 s whether to go on.
    Raises:
        AppError: the page cannot be had, as for the start URL of ``crawling.site``; or not be shown, as
            ``take_pictures`` says.
    """
    page = run(_read(request, job, limits=limits or FetchLimits()))
    markdown, record = job.workdir / MARKDOWN_NAME, job.workdir / PAGES_NAME
    markdown.write_text(page.text, encoding="utf-8")
    job.save(MARKDOWN_NAME, markdown, MARKDOWN_MEDIA_TYPE)
    record.write_text(page.model_dump_json() + "\n", encoding="utf-8")
    job.save(PAGES_NAME, record, PAGES_MEDIA_TYPE)
    pictures = _pictures(request, job, url=page.url)
    shown = page.model_copy(update={"text": page.text[:MAX_SHOWN_CHARS]})
    return PageResult(
        page=shown, is_cut=len(page.text) > MAX_SHOWN_CHARS, artifacts=(MARKDOWN_NAME, PAGES_NAME, *pictures)
    )


def _pictures(request: PageRequest, job: JobContext, *, url: str) -> list[Literal["page.png", "page.pdf"]]:
    """Keep what the page looks like; return the names of what was kept."""
    if not request.screenshot and not request.pdf:
        return []
    job.report("showing", 1, 2, message=url)
    picture, pdf = take_pictures(
        url, job, user_agent=request.user_agent or USER_AGENT, screenshot=request.screenshot, pdf=request.pdf
    )
    kept: list[Literal["page.png", "page.pdf"]] = []
    if picture is not None:
        job.save(PICTURE_NAME, picture, "image/png")
        kept.append(PICTURE_NAME)
    if pdf is not None:
        job.save(PDF_NAME, pdf, "application/pdf")
        kept.append(PDF_NAME)
    return kept


async def _read(request: PageRequest, job: JobContext, *, limits: FetchLimits) -> CrawledPage:
    alone = CrawlRequest(
        **request.model_dump(exclude={"screenshot", "pdf"}), depth=0, max_pages=1, concurrency=1, use_sitemap=False
    )
    politeness = Politeness(delay_s=0.0, concurrency=1)
    async with visiting(alone, job, politeness=politeness, limits=limits, processes=1) as tools:
        return await attended(first_page(request.url, robots=tools.robots, visitor=tools.visitor), job)
