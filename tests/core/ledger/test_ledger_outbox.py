"""Domain events in the ledger: written with the end they belong to, numbered as they are committed."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tasks.core.clock import now
from tasks.core.domain_events import MOST_BYTES, MOST_PER_JOB, Emission, Emissions
from tasks.core.errors import InputRejected
from tasks.core.ledger import Ledger, outbox, tenants, transitions
from tasks.core.ledger.aging import old_events
from tasks.core.ledger.outbox import Wanted
from tasks.core.ledger.schema import outbox as rows
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Cause, JobState
from tests.samples import running

CRAWLED = Emission("site.crawled", {"pages": 3})


@pytest.fixture
def tenant(ledger: Ledger) -> Tenant:
    return a_tenant(ledger, "acme")


def a_tenant(ledger: Ledger, name: str) -> Tenant:
    tenant = tenants.tenant_of(ledger, tenants.create_key(ledger, tenant=name, name="test"))
    assert tenant is not None
    return tenant


def emitted_by(ledger: Ledger, tenant: Tenant, *emitted: Emission) -> str:
    job = running(ledger, tenant)
    ended = transitions.finish(
        ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause=Cause.COMPLETED, emitted=emitted
    )
    assert ended is not None
    return job.id


def test_events_are_numbered_and_read_in_order(ledger: Ledger, tenant: Tenant) -> None:
    """What a job emitted is there once it is numbered, and only then."""
    job_id = emitted_by(ledger, tenant, CRAWLED, Emission("page.found", {"n": 1}))
    assert [] == outbox.events_after(ledger, tenant.id, 0)
    assert (2, 0) == (outbox.number(ledger), outbox.number(ledger))
    events = outbox.events_after(ledger, tenant.id, 0)
    assert [(1, "site.crawled", {"pages": 3}), (2, "page.found", {"n": 1})] == [(e.seq, e.type, e.data) for e in events]
    assert {job_id} == {event.job_id for event in events}
    assert [2] == [event.seq for event in outbox.events_after(ledger, tenant.id, 1)]


def test_end_that_is_refused_emits_nothing(ledger: Ledger, tenant: Tenant) -> None:
    """A writer with an old fence changes nothing, and says nothing."""
    job = running(ledger, tenant)
    refused = transitions.finish(
        ledger, job.id, fence=job.fence + 1, state=JobState.SUCCEEDED, cause=Cause.COMPLETED, emitted=[CRAWLED]
    )
    assert (None, 0) == (refused, outbox.number(ledger))


def test_job_that_ends_dead_says_so_and_others_do_not(ledger: Ledger, tenant: Tenant) -> None:
    """`job.dead` comes with whatever transition ends the job dead."""
    for is_dead in (True, False):
        job = running(ledger, tenant)
        transitions.finish(
            ledger,
            job.id,
            fence=job.fence,
            state=JobState.FAILED,
            cause="timeout",
            error={"code": "timeout", "message": "too slow"},
            dead=is_dead,
        )
    outbox.number(ledger)
    (event,) = outbox.events_after(ledger, tenant.id, 0)
    assert ("job.dead", "timeout", "maintenance.ping") == (event.type, event.data["cause"], event.data["kind"])


def test_events_are_found_by_type_and_job_and_kept_apart_by_tenant(ledger: Ledger, tenant: Tenant) -> None:
    """A noun's star stands for its verbs; no tenant sees another's."""
    other = a_tenant(ledger, "bolt")
    first = emitted_by(ledger, tenant, CRAWLED, Emission("site.published", {}), Emission("site_map.read", {}))
    emitted_by(ledger, other, CRAWLED)
    emitted_by(ledger, tenant, CRAWLED)
    outbox.number(ledger)

    def found(**wanted: object) -> list[tuple[int, str]]:
        events = outbox.events_after(ledger, tenant.id, 0, wanted=Wanted(**wanted))  # type: ignore[arg-type]
        assert all(Wanted(**wanted).matches(event.type, event.job_id) for event in events)  # type: ignore[arg-type]
        return [(event.seq, event.type) for event in events]

    every = [(1, "site.crawled"), (2, "site.published"), (3, "site_map.read"), (5, "site.crawled")]
    assert every == found()
    assert [every[0], every[1], every[3]] == found(types=["site.*"])
    assert [every[1], every[2]] == found(types=["site.published", "site_map.read"])
    assert every[:3] == found(job_id=first)
    assert [] == found(types=["site.c"])


def test_late_commit_gets_a_late_number(ledger: Ledger, tenant: Tenant) -> None:
    """An event written before another, and committed after it was numbered, comes after it."""
    if ledger.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    with ledger.write() as connection:
        late = running(ledger, tenant)
        outbox.write_emitted(connection, late, [Emission("late.committed", {})])
        emitted_by(ledger, tenant, CRAWLED)
        outbox.number(ledger)
    outbox.number(ledger)
    assert ["site.crawled", "late.committed"] == [e.type for e in outbox.events_after(ledger, tenant.id, 0)]


def test_two_that_number_at_once_give_each_event_one_number(ledger: Ledger, tenant: Tenant) -> None:
    """A leader that lost its lease unnoticed does no harm."""
    for _ in range(20):
        emitted_by(ledger, tenant, CRAWLED)
    threads = [threading.Thread(target=outbox.number, args=(ledger,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(range(1, 21)) == [event.seq for event in outbox.events_after(ledger, tenant.id, 0)]


def test_old_events_are_forgotten_in_order_and_the_newest_stays(ledger: Ledger, tenant: Tenant) -> None:
    """What is kept has no holes, and numbers go on where they were, even when everything is old."""
    for _ in range(5):
        emitted_by(ledger, tenant, CRAWLED)
    outbox.number(ledger)
    with ledger.write() as connection:
        old = now() - timedelta(days=40)
        connection.execute(rows.update().where(rows.c.seq.in_([1, 2, 4])).values(at=old))
    assert (2, 0) == tuple(old_events(before=now() - timedelta(days=30)).delete(ledger, limit=9) for _ in range(2))
    assert (3, 5) == outbox.kept(ledger)
    later = now() + timedelta(days=1)
    assert (1, 1, 0) == tuple(old_events(before=later).delete(ledger, limit=1) for _ in range(3))
    assert (5, 5) == outbox.kept(ledger)
    emitted_by(ledger, tenant, CRAWLED)
    outbox.number(ledger)
    assert [6] == [event.seq for event in outbox.events_after(ledger, tenant.id, 5)]


def test_looking_for_pending_events_uses_the_partial_index(ledger: Ledger) -> None:
    """The dispatcher asks at every tick, whatever has piled up before."""
    if not ledger.is_sqlite:
        pytest.skip("PostgreSQL reads a table this small whole")
    asked: list[str] = []
    sa.event.listen(ledger._engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    outbox.pending(ledger)
    (statement,) = [text for text in asked if "FROM outbox" in text]
    with ledger.read() as connection:
        parameters = tuple("x" for _ in range(statement.count("?")))
        plan = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
    assert "ix_outbox_unrelayed" in plan


@pytest.mark.parametrize("type_", ["crawled", "Site.crawled", "site.crawled.twice", "job.dead", "site.", "a b.c", ""])
def test_types_that_are_no_noun_and_verb_are_refused(type_: str) -> None:
    """So are the kernel's own."""
    with pytest.raises(InputRejected, match=r"noun\.verb"):
        Emissions().add(type_, {})


def test_emissions_are_bounded_and_kept_as_they_were() -> None:
    """Too large, not JSON or too many: a clear refusal. What an engine changes later, does not count."""
    emissions = Emissions()
    with pytest.raises(InputRejected, match="over 16384"):
        emissions.add("site.crawled", {"text": "x" * MOST_BYTES})
    with pytest.raises(InputRejected, match="not JSON"):
        emissions.add("site.crawled", {"at": now()})
    data = {"pages": 1}
    emissions.add("site.crawled", data)
    data["pages"] = 2
    assert [Emission("site.crawled", {"pages": 1})] == emissions.emitted
    for _ in range(MOST_PER_JOB - 1):
        emissions.add("site.crawled", {})
    with pytest.raises(InputRejected, match="at most 100"):
        emissions.add("site.crawled", {})
