"""Celery tasks of the crawling kinds; they only delegate."""

from functools import partial
from typing import TYPE_CHECKING, Any

from celery import shared_task

from tasks.core.job import Engine, JobContext
from tasks.core.kernel import Kernel
from tasks.core.run import JobTask, Returned, run_job
from tasks.crawling.contract import KIND, LINKS_KIND, PAGE_KIND, SITEMAP_KIND, SPECS

if TYPE_CHECKING:
    from tasks.crawling.records import EarlierCrawl


@shared_task(name=KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def crawl_site(self: JobTask, _job_id: str) -> Returned:
    """Run ``crawling.site``."""
    kernel: Kernel = self.app.kernel
    return run_job(self, SPECS[0], lambda: load_crawl(kernel))


def load_crawl(kernel: Kernel) -> Engine[Any]:
    """Return the engine of ``crawling.site``."""
    from tasks.crawling.engine.site import SiteCrawler  # noqa: PLC0415  # engines load on the first job

    return SiteCrawler(partial(_earlier, kernel))


def _earlier(kernel: Kernel, job: JobContext, since: str) -> "EarlierCrawl | None":
    from tasks.crawling.earlier import open_earlier  # noqa: PLC0415  # as above

    return open_earlier(kernel, job.id, since)


@shared_task(name=PAGE_KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def read_page(self: JobTask, _job_id: str) -> Returned:
    """Run ``crawling.page``."""
    return run_job(self, SPECS[1], _load_page)


def _load_page() -> Engine[Any]:
    from tasks.crawling.engine.one_page import read_page  # noqa: PLC0415  # engines load on the first job

    return read_page


@shared_task(name=SITEMAP_KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def map_site(self: JobTask, _job_id: str) -> Returned:
    """Run ``crawling.sitemap``."""
    return run_job(self, SPECS[2], _load_map)


def _load_map() -> Engine[Any]:
    from tasks.crawling.engine.site_map import map_site  # noqa: PLC0415  # engines load on the first job

    return map_site


@shared_task(name=LINKS_KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def check_links(self: JobTask, _job_id: str) -> Returned:
    """Run ``crawling.links``."""
    return run_job(self, SPECS[3], _load_links)


def _load_links() -> Engine[Any]:
    from tasks.crawling.engine.links import check_links  # noqa: PLC0415  # engines load on the first job

    return check_links
