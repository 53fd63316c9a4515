"""A crawl whose pages are to be known: looked up for the tenant of the job that asks."""

import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from tasks.core.errors import NotFound
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries
from tasks.core.records import JobState
from tasks.knowledge.records import Crawl
from tasks.knowledge.store.reading import tenant_of_job

# As the family that crawls calls them.
_CRAWL, _PAGES, _FAILURES = "crawling.site", "pages.jsonl", "failures.jsonl"
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
    failures: BinaryIO | None = None
    with suppress(NotFound):
        failures = kernel.artifacts.path(found.id, found.fence, _FAILURES).open("rb")
    with failures or nullcontext():
        crawl = crawl_of(found.id, found.result, finished_at=found.finished_at, failures=failures)
    return crawl, kernel.artifacts.path(found.id, found.fence, _PAGES).open("rb")


def _addresses(errors: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return where the pages are that failed: as asked for, and where that led to."""
    return frozenset(url for one in errors for url in (one["url"], one.get("final_url")) if url)


def crawl_of(
    job_id: str, result: Mapping[str, Any], *, finished_at: datetime, failures: Iterable[bytes] | None = None
) -> Crawl:
    """Return what a crawl's result says of it.

    Args:
        failures: lines that tell of every page that failed, where the result tells of the first only.
    """
    errors = result.get("errors", []) if failures is None else list(map(json.loads, failures))
    are_told = len(errors) >= result.get("pages_failed", 0)
    return Crawl(
        job_id=job_id,
        site=urlsplit(result["start_url"]).netloc.lower(),
        finished_at=finished_at,
        is_whole=bool(result.get("is_whole", result.get("stopped_by") == "exhausted")),
        is_mostly_failed=bool(result.get("is_mostly_failed")),
        failed=_addresses(errors) if are_told else None,
        gone=_addresses(one for one in errors if one.get("status") in _GONE),
        revisit=result.get("revisit"),
    )
