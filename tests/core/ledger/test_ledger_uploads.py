"""Uploads' rows: quotas, tenants, what jobs need, and what nobody uses."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tasks.core.clock import now
from tasks.core.errors import Conflict, InputRejected, NotFound, QuotaExceeded
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger, accepting, queries, transitions, uploads
from tasks.core.ledger.accepting import Idempotency
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.core.ledger.uploads import Unused
from tasks.core.records import Upload
from tests.samples import a_job, ago, eventually

QUOTA = 1000
SHA = "a" * 64


def an_upload(tenant: Tenant, **changes: Any) -> Upload:
    at = now()
    values: dict[str, Any] = {
        "id": new_id(),
        "tenant_id": tenant.id,
        "size_bytes": 10,
        "name": "deaths.csv",
        "media_type": "text/csv",
        "metadata": "filename ZGVhdGhzLmNzdg==",
        "sha256": None,
        "created_at": at,
        "used_at": at,
        "completed_at": None,
    }
    return Upload(**(values | changes))


def created(ledger: Ledger, tenant: Tenant, **changes: Any) -> Upload:
    upload = an_upload(tenant, **changes)
    uploads.create(ledger, upload, quota_bytes=QUOTA)
    return upload


def complete(ledger: Ledger, tenant: Tenant, **changes: Any) -> Upload:
    return uploads.complete(ledger, created(ledger, tenant, **changes).id, sha256=SHA)


@pytest.fixture
def other(ledger: Ledger) -> Tenant:
    tenant = tenant_of(ledger, create_key(ledger, tenant="other", name="test"))
    assert tenant is not None
    return tenant


def test_upload_reads_back_as_it_was_written(ledger: Ledger, tenant: Tenant) -> None:
    """No value changes its type or zone on the way through the database."""
    upload = created(ledger, tenant, size_bytes=QUOTA)
    assert upload == uploads.find(ledger, upload.id, tenant_id=tenant.id)


def test_another_tenants_upload_is_not_there(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """Neither to find, nor to list, nor to delete."""
    upload = complete(ledger, tenant)
    for act in (uploads.find, uploads.delete):
        with pytest.raises(NotFound):
            act(ledger, upload.id, tenant_id=other.id)
    assert {} == uploads.find_all(ledger, [upload.id], tenant_id=other.id)
    assert [] == uploads.listing(ledger, tenant_id=other.id, sha256=SHA, limit=10)
    assert (10, 0) == (uploads.kept_bytes(ledger, tenant.id), uploads.kept_bytes(ledger, other.id))


def test_quota_counts_whole_sizes_of_one_tenant(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """What was announced counts from the beginning; what was deleted does not."""
    first = created(ledger, tenant, size_bytes=600)
    with pytest.raises(QuotaExceeded, match="401 bytes more would be over the 1000"):
        created(ledger, tenant, size_bytes=401)
    created(ledger, other, size_bytes=1000)
    uploads.delete(ledger, first.id, tenant_id=tenant.id)
    created(ledger, tenant, size_bytes=1000)


def test_two_at_once_do_not_share_one_room(ledger: Ledger, tenant: Tenant) -> None:
    """Of eight that would each fit alone, one is taken."""

    def take(_: int) -> bool:
        try:
            created(ledger, tenant, size_bytes=600)
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert 1 == sum(pool.map(take, range(8)))


def test_contents_are_found_by_their_digest(ledger: Ledger, tenant: Tenant) -> None:
    """Complete ones apart from those that only announce it; newest first, page by page."""
    done = [complete(ledger, tenant) for _ in range(3)]
    begun = created(ledger, tenant, sha256=SHA)
    created(ledger, tenant, sha256="b" * 64)

    def ids(**wanted: Any) -> list[str]:
        return [one.id for one in uploads.listing(ledger, tenant_id=tenant.id, **wanted)]

    newest = [one.id for one in reversed(done)]
    assert newest == ids(sha256=SHA, complete=True, limit=10)
    assert [begun.id] == ids(sha256=SHA, complete=False, limit=10)
    assert newest[1:] == ids(sha256=SHA, complete=True, before=newest[0], limit=10)
    assert newest[:2] == ids(complete=True, limit=2)
    assert 5 == len(ids(limit=10))


def test_completing_twice_changes_nothing_but_the_use(ledger: Ledger, tenant: Tenant) -> None:
    """Whoever repairs after a crash may have been second."""
    first = complete(ledger, tenant)
    again = uploads.complete(ledger, first.id, sha256=SHA)
    assert first == replace(again, used_at=first.used_at)
    with pytest.raises(NotFound):
        uploads.complete(ledger, new_id(), sha256=SHA)


def test_use_is_noted_once_a_minute(ledger: Ledger, tenant: Tenant) -> None:
    """A commit for each look would be too dear."""
    fresh, older = created(ledger, tenant), created(ledger, tenant, used_at=ago(61))
    assert fresh == uploads.touch(ledger, fresh)
    assert uploads.touch(ledger, older).used_at > ago(5)
    gone = an_upload(tenant, used_at=ago(61))
    assert gone == uploads.touch(ledger, gone)


def test_job_keeps_its_uploads_until_it_is_erased(ledger: Ledger, tenant: Tenant) -> None:
    """Neither deleted nor swept, whatever their age; and free afterwards."""
    upload, spare = complete(ledger, tenant), complete(ledger, tenant)
    job = accepting.accept(ledger, a_job(tenant), uploads=[upload.id, upload.id]).job
    everything = Unused(now().replace(year=9999))
    with pytest.raises(Conflict, match=f"needed by job {job.id}"):
        uploads.delete(ledger, upload.id, tenant_id=tenant.id)
    assert (1, 10) == uploads.count_unused(ledger, everything)
    assert [spare.id] == uploads.forget_unused(ledger, everything, limit=10)
    transitions.request_cancel(ledger, job.id, tenant_id=tenant.id)
    transitions.erase(ledger, job.id, tenant_id=tenant.id)
    assert [upload.id] == uploads.forget_unused(ledger, everything, limit=10)
    assert set() == uploads.known_among(ledger, [upload.id, spare.id])


def test_submitting_counts_as_using(ledger: Ledger, tenant: Tenant) -> None:
    """The day begins anew."""
    upload = created(ledger, tenant, completed_at=now(), used_at=ago(90_000))
    accepting.accept(ledger, a_job(tenant), uploads=[upload.id])
    assert uploads.find(ledger, upload.id, tenant_id=tenant.id).used_at > ago(60)


@pytest.mark.parametrize("lack", ["gone", "incomplete", "another tenant's"])
def test_job_with_an_upload_that_is_not_there_is_not_accepted(
    ledger: Ledger, tenant: Tenant, other: Tenant, lack: str
) -> None:
    """All or nothing, alone and among many; and its idempotency key stays free."""
    make = {
        "gone": lambda: an_upload(tenant),
        "incomplete": lambda: created(ledger, tenant),
        "another tenant's": lambda: complete(ledger, other),
    }
    there, missing = complete(ledger, tenant), make[lack]()
    job, key = a_job(tenant), Idempotency("k", "b" * 64, ttl_s=60)
    with pytest.raises(InputRejected, match=missing.id):
        accepting.accept(ledger, job, idempotency=key, uploads=[there.id, missing.id])
    with pytest.raises(InputRejected, match=missing.id):
        accepting.accept_many(ledger, [(a_job(tenant), None), (job, key)], uploads={job.id: [missing.id]})
    assert queries.job(ledger, job.id) is None
    assert not accepting.accept(ledger, job, idempotency=key, uploads=[there.id]).replayed


def test_each_of_many_jobs_keeps_its_own(ledger: Ledger, tenant: Tenant) -> None:
    """Also when two need the same."""
    shared, own = complete(ledger, tenant), complete(ledger, tenant)
    one, two = a_job(tenant), a_job(tenant)
    accepting.accept_many(
        ledger, [(one, None), (two, None)], uploads={one.id: [shared.id, own.id], two.id: [shared.id]}
    )
    for upload in (shared, own):
        with pytest.raises(Conflict):
            uploads.delete(ledger, upload.id, tenant_id=tenant.id)


def test_only_what_is_old_goes_and_only_so_many(ledger: Ledger, tenant: Tenant, other: Tenant) -> None:
    """Oldest first, of one tenant or of all, finished or not."""
    old = created(ledger, tenant, used_at=ago(200))
    older = created(ledger, tenant, used_at=ago(300), completed_at=ago(300))
    foreign = created(ledger, other, used_at=ago(250))
    young = created(ledger, tenant)
    assert (2, 20) == uploads.count_unused(ledger, Unused(ago(100), tenant.id))
    assert [older.id] == uploads.forget_unused(ledger, Unused(ago(100), tenant.id), limit=1)
    assert {old.id, foreign.id} == set(uploads.forget_unused(ledger, Unused(ago(100)), limit=10))
    assert {young.id} == uploads.known_among(ledger, [one.id for one in (old, older, foreign, young)])


def test_sweep_and_accept_at_once_lose_nothing(ledger: Ledger, tenant: Tenant) -> None:
    """Either the job is refused or its upload stays; never an accepted job without its upload."""
    for _ in range(10):
        upload = created(ledger, tenant, used_at=ago(200), completed_at=ago(200))
        job = a_job(tenant)
        start = threading.Barrier(2)

        def accept(upload: Upload = upload, job: Any = job, start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                accepting.accept(ledger, job, uploads=[upload.id])
            except InputRejected:
                return False
            return True

        def sweep(start: threading.Barrier = start) -> list[str]:
            start.wait()
            return uploads.forget_unused(ledger, Unused(ago(100)), limit=10)

        with ThreadPoolExecutor(2) as pool:
            accepted, swept = pool.submit(accept), pool.submit(sweep)
            assert accepted.result() == (upload.id not in swept.result())
        assert (queries.job(ledger, job.id) is not None) == accepted.result()
        assert accepted.result() == (uploads.known_among(ledger, [upload.id]) == {upload.id})


def test_sweep_does_not_wait_for_an_accept_that_holds_the_row(ledger: Ledger, tenant: Tenant) -> None:
    """It passes over what is locked, and what was used once the lock is free stays."""
    if ledger.url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time")
    upload = created(ledger, tenant, used_at=ago(200), completed_at=ago(200))
    accepted = accepting.accept(ledger, a_job(tenant)).job
    swept: list[list[str]] = []
    with ledger.write() as connection:
        uploads.keep_for(connection, accepted.id, tenant_id=tenant.id, upload_ids=[upload.id])
        sweep = threading.Thread(target=lambda: swept.append(uploads.forget_unused(ledger, Unused(ago(100)), limit=10)))
        sweep.start()
        assert eventually(lambda: not sweep.is_alive())
    assert [[]] == swept
