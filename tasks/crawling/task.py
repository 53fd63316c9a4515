"""Celery tasks of the crawling kinds; they only delegate."""

from typing import Any

from celery import shared_task

from tasks.core.job import Engine
from tasks.core.run import JobTask, run_job
from tasks.crawling.contract import KIND, PAGE_KIND, SPECS


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
