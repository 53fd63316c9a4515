"""Celery tasks of the crawling kinds; they only delegate."""

from typing import Any

from celery import shared_task

from tasks.core.job import Engine
from tasks.core.run import JobTask, run_job
from tasks.crawling.contract import KIND, LINKS_KIND, PAGE_KIND, SITEMAP_KIND, SPECS


@shared_task(name=KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def crawl_site(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``crawling.site``."""
    return run_job(self, SPECS[0], _load_crawl)


def _load_crawl() -> Engine[Any]:
    from tasks.crawling.engine.site import crawl  # noqa: PLC0415  # engines load on the first job

    return crawl


@shared_task(name=PAGE_KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def read_page(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``crawling.page``."""
    return run_job(self, SPECS[1], _load_page)


def _load_page() -> Engine[Any]:
    from tasks.crawling.engine.one_page import read_page  # noqa: PLC0415  # engines load on the first job

    return read_page


@shared_task(name=SITEMAP_KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def map_site(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``crawling.sitemap``."""
    return run_job(self, SPECS[2], _load_map)


def _load_map() -> Engine[Any]:
    from tasks.crawling.engine.site_map import map_site  # noqa: PLC0415  # engines load on the first job

    return map_site


@shared_task(name=LINKS_KIND, bind=True, base=JobTask)  # type: ignore[untyped-decorator]  # Celery has no types
def check_links(self: JobTask, _job_id: str) -> dict[str, Any]:
    """Run ``crawling.links``."""
    return run_job(self, SPECS[3], _load_links)


def _load_links() -> Engine[Any]:
    from tasks.crawling.engine.links import check_links  # noqa: PLC0415  # engines load on the first job

    return check_links
