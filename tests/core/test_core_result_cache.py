"""Earlier answers with their files: whole, or not at all; and no job fails for want of them."""

from pathlib import Path

import pytest

from tasks.core.artifacts import Artifacts
from tasks.core.known_results import KnownResult
from tasks.core.ledger import Ledger, cached_results, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, Job, JobState
from tasks.core.result_cache import ResultCache
from tests.samples import accepted, ledger_away, running

KEY = "a" * 64


@pytest.fixture
def cache(ledger: Ledger, tmp_path: Path) -> ResultCache:
    """On a real ledger and a real folder."""
    return ResultCache(ledger, Artifacts(tmp_path / "artifacts", ledger))


@pytest.fixture
def first(cache: ResultCache, tenant: Tenant) -> Job:
    """A job that has left a file and an answer."""
    job = running(cache.ledger, tenant)
    cache.artifacts.save(job.id, "a/b.csv", b"x", fence=job.fence, attempt=1, media_type="text/csv")
    cache.remember(job.id, fence=job.fence, key=KEY)
    how = {"fence": job.fence, "state": JobState.SUCCEEDED, "cause": Cause.COMPLETED, "result": {"n": 1}}
    ended = transitions.finish(cache.ledger, job.id, **how)
    assert ended is not None
    return ended


def found(cache: ResultCache, tenant: Tenant) -> KnownResult | None:
    return cache.find(accepted(cache.ledger, tenant).id, key=KEY)


def test_an_answer_comes_with_its_files(cache: ResultCache, first: Job, tenant: Tenant) -> None:
    """Where they lie, under their names."""
    known = found(cache, tenant)
    assert known is not None
    assert (first.id, first.finished_at, {"n": 1}) == (known.job_id, known.at, known.result)
    (file,) = known.files
    assert ("a/b.csv", "text/csv", b"x") == (file.name, file.media_type, file.path.read_bytes())


def test_an_answer_without_its_files_is_none(cache: ResultCache, first: Job, tenant: Tenant) -> None:
    """They went before the row did."""
    cache.artifacts.erase(first.id)
    assert found(cache, tenant) is None


def test_an_erased_job_is_none(cache: ResultCache, first: Job, tenant: Tenant) -> None:
    """Row and files."""
    transitions.erase(cache.ledger, first.id, tenant_id=tenant.id)
    assert found(cache, tenant) is None


def test_a_ledger_that_is_away_is_a_miss(cache: ResultCache, first: Job, tenant: Tenant) -> None:
    """Looking, counting and remembering do no harm to the job."""
    asking = running(cache.ledger, tenant)
    with ledger_away(cache.ledger):
        assert cache.find(asking.id, key=KEY) is None
        cache.count(asking.id, key=KEY, hit=True)
        cache.remember(asking.id, fence=asking.fence, key=KEY)
    standing = cached_results.standing(cache.ledger, tenant_id=tenant.id, kind=asking.kind)
    assert (1, 0, 0) == (standing.entries, standing.hits, standing.misses)
    assert first.id == getattr(found(cache, tenant), "job_id", None)
