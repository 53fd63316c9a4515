"""Finding the crawl to compare with."""

from contextlib import closing

import pytest

from tasks.core.errors import NotFound
from tasks.core.kernel import Kernel
from tasks.core.ledger import Ledger, transitions
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.core.records import Job, JobState
from tasks.crawling.contract import KIND, LAST
from tasks.crawling.earlier import open_earlier
from tests.samples import running

URL = "https://docs.example.org"


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    """A ledger on each database."""
    return either_ledger


def crawled(kernel: Kernel, tenant: Tenant, *, url: str = URL, has_pages: bool = True, **changes: object) -> Job:
    """Put a crawl into the ledger that has ended; ``changes`` are fields of its result."""
    job = running(kernel.ledger, tenant, kind=KIND, queue="crawler", request={"url": url})
    if has_pages:
        for name, lines in (("pages.jsonl", b"{}\n"), ("unreached.jsonl", b"{}\n\n")):
            kernel.artifacts.save(job.id, name, lines, fence=job.fence, attempt=1, media_type="application/x-ndjson")
    result = {"reader": "r1", "is_mostly_failed": False, **changes}
    ended = transitions.finish(
        kernel.ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause="completed", result=result
    )
    assert ended is not None
    return ended


def asking(kernel: Kernel, tenant: Tenant, *, url: str = URL) -> str:
    """Return the id of a crawl under way."""
    return running(kernel.ledger, tenant, kind=KIND, queue="crawler", request={"url": url}).id


def last(kernel: Kernel, job_id: str) -> str | None:
    found = open_earlier(kernel, job_id, LAST)
    if found is None:
        return None
    found.close()
    return found.job_id


def test_last_is_the_newest_of_the_url_that_can_be_used(local_kernel: Kernel, tenant: Tenant) -> None:
    """However the URL is spelled; another site's, one without pages, one that failed or was listed is passed over."""
    job_id = asking(local_kernel, tenant, url=f"{URL}:443/#top")
    assert last(local_kernel, job_id) is None
    crawled(local_kernel, tenant)
    wanted = crawled(local_kernel, tenant)
    crawled(local_kernel, tenant, url=f"{URL}/other")
    crawled(local_kernel, tenant, has_pages=False)
    crawled(local_kernel, tenant, is_mostly_failed=True)
    crawled(local_kernel, tenant, stopped_by="listed")
    asking(local_kernel, tenant)
    assert last(local_kernel, job_id) == wanted.id


def test_crawl_of_another_tenant_is_none(local_kernel: Kernel, tenant: Tenant) -> None:
    """Neither as the last one nor by its id."""
    other_tenant = tenant_of(local_kernel.ledger, create_key(local_kernel.ledger, tenant="other", name="test"))
    assert other_tenant is not None
    foreign = crawled(local_kernel, other_tenant)
    job_id = asking(local_kernel, tenant)
    assert last(local_kernel, job_id) is None
    with pytest.raises(NotFound, match=foreign.id):
        open_earlier(local_kernel, job_id, foreign.id)


def test_crawl_that_is_named_must_be_there(local_kernel: Kernel, tenant: Tenant) -> None:
    """Ended well, a crawl, and with its pages."""
    named = crawled(local_kernel, tenant, url=f"{URL}/other")
    job_id = asking(local_kernel, tenant)
    found = open_earlier(local_kernel, job_id, named.id)
    assert found is not None
    assert found.unreached is not None
    with closing(found):
        assert (found.job_id, found.reader, found.pages.read()) == (named.id, "r1", b"{}\n")
        assert b"{}\n\n" == found.unreached.read()
    empty = crawled(local_kernel, tenant, has_pages=False)
    for job_id_of_none in (job_id, empty.id):
        with pytest.raises(NotFound):
            open_earlier(local_kernel, job_id, job_id_of_none)
