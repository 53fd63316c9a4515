"""A crawl whose pages are to be known: looked up for the tenant of the job that asks."""

from typing import BinaryIO
from urllib.parse import urlsplit

from tasks.core.errors import NotFound
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries
from tasks.core.records import JobState
from tasks.knowledge.records import Crawl
from tasks.knowledge.store.reading import tenant_of_job

# As the family that crawls calls them.
_CRAWL, _PAGES = "crawling.site", "pages.jsonl"
_GONE = {404, 410}


def open_crawl(kernel: Kernel, job_id: str, crawl_job_id: str) -> tuple[Crawl, BinaryIO]:
    """Return a crawl of the job's tenant and its pages, which the caller closes.

    Raises:
        NotFound: there is none that has succeeded, or its pages were erased.
    """
    tenant_id = tenant_of_job(kernel.ledger, job_id)
    found = queries.job(kernel.ledger, crawl_job_id, tenant_id=tenant_id)
    if found is None or found.kind != _CRAWL or found.state is not JobState.SUCCEEDED or found.result is None:
        raise NotFound(f"No {_CRAWL} job {crawl_job_id} has succeeded.", field="crawl_job_id")
    assert found.finished_at is not None  # noqa: S101  # it has ended
    result = found.result
    errors = result.get("errors", [])
    are_told = len(errors) >= result.get("pages_failed", 0)
    crawl = Crawl(
        job_id=found.id,
        site=urlsplit(result["start_url"]).netloc.lower()[:200],
        finished_at=found.finished_at,
        is_whole=result.get("stopped_by") == "exhausted",
        is_mostly_failed=bool(result.get("is_mostly_failed")),
        failed=frozenset(one["url"] for one in errors) if are_told else None,
        gone=frozenset(one["url"] for one in errors if one.get("status") in _GONE),
    )
    return crawl, kernel.artifacts.path(found.id, found.fence, _PAGES).open("rb")
