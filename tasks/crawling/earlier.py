"""An earlier crawl to compare with: looked up for the tenant of the job that asks."""

from contextlib import suppress
from typing import BinaryIO

from tasks.core.errors import NotFound
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries
from tasks.core.ledger.queries import Filter
from tasks.core.records import Job, JobState
from tasks.core.web_address import canonical
from tasks.crawling.contract import KIND, LAST, PAGES_NAME, UNREACHED_NAME, StopReason
from tasks.crawling.records import EarlierCrawl

# Newest crawls of the tenant that are looked through for one of the same URL.
_LOOKED_THROUGH = 500
_AT_A_TIME = 50


def open_earlier(kernel: Kernel, job_id: str, since: str) -> EarlierCrawl | None:
    """Return the crawl of the job's tenant that ``since`` names; None where it is ``last`` and there is none.

    Raises:
        NotFound: no crawl of that id has succeeded, or its pages were erased.
    """
    own = queries.job(kernel.ledger, job_id)
    assert own is not None  # noqa: S101  # it is running
    found = _last(kernel, own) if since == LAST else queries.job(kernel.ledger, since, tenant_id=own.tenant_id)
    if found is None and since == LAST:
        return None
    if found is None or found.kind != KIND or found.state is not JobState.SUCCEEDED or found.result is None:
        raise NotFound(f"No {KIND} job {since} has succeeded.", field="since")
    pages = kernel.artifacts.path(found.id, found.fence, PAGES_NAME).open("rb")
    unreached: BinaryIO | None = None
    with suppress(NotFound):
        unreached = kernel.artifacts.path(found.id, found.fence, UNREACHED_NAME).open("rb")
    return EarlierCrawl(found.id, str(found.result.get("reader", "")), pages, unreached)


def _last(kernel: Kernel, own: Job) -> Job | None:
    """Return the newest crawl of the same URL that has pages and was not mostly failing."""
    wanted = Filter(tenant_id=own.tenant_id, kind=KIND, states=(JobState.SUCCEEDED,))
    url = canonical(own.request["url"])
    cursor = None
    for _ in range(0, _LOOKED_THROUGH, _AT_A_TIME):
        page = queries.listing(kernel.ledger, wanted, limit=_AT_A_TIME, cursor=cursor)
        for job in page.jobs:
            if canonical(job.request["url"]) == url and _is_usable(kernel, job):
                return job
        cursor = page.next_cursor
        if cursor is None:
            break
    return None


def _is_usable(kernel: Kernel, job: Job) -> bool:
    # One of listed URLs says nothing of the rest of the site.
    if job.result is None or job.result.get("is_mostly_failed") or job.result.get("stopped_by") == StopReason.LISTED:
        return False
    try:
        kernel.artifacts.path(job.id, job.fence, PAGES_NAME)
    except NotFound:
        return False
    return True
