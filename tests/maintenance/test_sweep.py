"""``maintenance.sweep`` on a real ledger, real folders and a real Redis: what is old goes, what is not stays."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from tasks.core.clock import now
from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import JobCancelled
from tasks.core.ids import first_id_at, new_id
from tasks.core.kernel import Kernel
from tasks.core.ledger import (
    Ledger,
    accepting,
    cached_results,
    fleet,
    pauses,
    queries,
    replaying,
    tenants,
    transitions,
)
from tasks.core.ledger.accepting import Idempotency
from tasks.core.ledger.audit import AT_THE_MACHINE
from tasks.core.ledger.control_tables import audit as audit_rows
from tasks.core.ledger.control_tables import pauses as pause_rows
from tasks.core.ledger.pauses import Scope
from tasks.core.ledger.schema import cached_results as cached_rows
from tasks.core.ledger.schema import jobs, metadata, outbox, stream_heads
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import Job, JobState
from tasks.core.relay import announce_all
from tasks.core.spec import JobSpec, Retention
from tasks.discovery import contract as discovery
from tasks.discovery.store.run_log import runs_of
from tasks.discovery.store.tables import runs
from tasks.discovery.store.tools import find_named
from tasks.knowledge import contract as knowledge
from tasks.knowledge.store.reading import standings
from tasks.knowledge.store.tables import pages as known_pages
from tasks.maintenance.contract import PING, SPECS, Freed, SweepRequest, SweepResult
from tasks.maintenance.engine import sweep
from tasks.maintenance.store import shelves_for
from tests.discovery.tools import SITE, a_tool, ran, record
from tests.fakes import FakeJob
from tests.knowledge.house import House, documents
from tests.samples import a_job, a_worker, ago, carried, claimed
from tests.servers import RedisServer

DAY_S = 24 * 3600.0


def specs(**retention: float | None) -> Mapping[str, JobSpec]:
    return {spec.kind: replace(spec, retention=Retention(**retention)) for spec in SPECS}


@pytest.fixture
def system(ledger: Ledger) -> Tenant:
    return tenants.named(ledger, tenants.SYSTEM)


@pytest.fixture
def clear(kernel: Kernel, system: Tenant, tmp_path: Path) -> Callable[..., SweepResult]:
    """Sweep as a job of ``by``, the system unless another tenant is named."""

    def run(
        kinds: Mapping[str, JobSpec] | None = None,
        *,
        by: Tenant = system,
        job: FakeJob | None = None,
        **request: object,
    ) -> SweepResult:
        mine = accepting.accept(kernel.ledger, a_job(by)).job
        context = job or FakeJob(tmp_path, Egress(EgressPolicy()))
        context.id = mine.id
        shelves = partial(shelves_for, kernel, {spec.kind: spec for spec in SPECS} if kinds is None else kinds)
        return sweep(SweepRequest(**request), context, shelves=shelves)

    return run


def ended(kernel: Kernel, tenant: Tenant, *, days_ago: float, **changes: object) -> Job:
    """A job that left everything that a job can leave."""
    job = claimed(kernel.ledger, carried(kernel.ledger, tenant, labels={"a": "b"}, **changes))
    kernel.artifacts.save(job.id, "out/a.txt", b"12345", fence=job.fence, attempt=1, media_type="text/plain")
    (kernel.artifacts.folder(job.id, job.fence) / "job.log.jsonl").write_bytes(b"log")
    done = transitions.finish(
        kernel.ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause="completed", result={"x": 1}
    )
    assert done is not None
    announce_all(kernel.ledger, kernel.events, [done])
    age(kernel, done, days_ago)
    return done


def age(kernel: Kernel, job: Job, days: float) -> None:
    with kernel.ledger.write() as connection:
        connection.execute(jobs.update().where(jobs.c.id == job.id).values(finished_at=ago(days * DAY_S)))


def left(kernel: Kernel, job: Job) -> dict[str, bool]:
    """What there still is of a job."""
    row = queries.job(kernel.ledger, job.id)
    return {
        "row": row is not None,
        "result": row is not None and row.result is not None,
        "files": kernel.artifacts.extent(job.id)[0] > 0,
        "stream": kernel.events.position(job.id) != (None, None),
    }


def test_things_go_at_their_own_ages(kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]) -> None:
    """Stream, files, result and record, each when its kind says."""
    kinds = specs(stream_s=DAY_S / 2, artifacts_s=2 * DAY_S, result_s=4 * DAY_S, row_s=8 * DAY_S)
    ages = {days: ended(kernel, tenant, days_ago=days) for days in (0.1, 1, 3, 5, 9)}
    result = clear(kinds)
    everything = {"row": True, "result": True, "files": True, "stream": True}
    assert {
        0.1: everything,
        1: everything | {"stream": False},
        3: everything | {"stream": False, "files": False},
        5: {"row": True, "result": False, "files": False, "stream": False},
        9: dict.fromkeys(everything, False),
    } == {days: left(kernel, job) for days, job in ages.items()}
    assert result.freed["jobs"] == Freed(rows=1)
    assert result.freed["artifacts"] == Freed(rows=3, files=6, size_bytes=24)
    assert (result.freed["results"].rows, result.freed["streams"].rows, result.more) == (2, 4, False)


def test_artifact_rows_go_with_their_files(kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]) -> None:
    """The record stops listing what cannot be fetched."""
    job = ended(kernel, tenant, days_ago=8)
    assert kernel.artifacts.list(job.id, job.fence, 1)
    clear()
    assert kernel.artifacts.list(job.id, job.fence, 1) == []


def test_second_sweep_finds_nothing(kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]) -> None:
    """An attempt that runs twice does no harm, and what went is not told twice."""
    for days in (8, 40):
        ended(kernel, tenant, days_ago=days)
    clear()
    assert all(freed == Freed() for freed in clear().freed.values())


def test_dry_run_tells_and_keeps(kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]) -> None:
    """The same figures as the sweep that follows, apart from what one job would lose twice."""
    old, older = ended(kernel, tenant, days_ago=8), ended(kernel, tenant, days_ago=40)
    told = clear(dry_run=True)
    assert left(kernel, old) == left(kernel, older) == {"row": True, "result": True, "files": True, "stream": True}
    done = clear()
    assert (told.freed, told.dry_run) == (done.freed, True)


def test_given_age_overrides_those_of_the_kinds(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]
) -> None:
    """Down to an hour, and only for what has ended."""
    gone, kept = ended(kernel, tenant, days_ago=2 / 24), ended(kernel, tenant, days_ago=0.5 / 24)
    waiting = accepting.accept(kernel.ledger, a_job(tenant, created_at=ago(90 * DAY_S))).job
    clear(older_than_hours=1)
    assert [False, True, True] == [left(kernel, job)["row"] for job in (gone, kept, waiting)]


def test_jobs_of_a_kind_that_is_gone_age_by_the_default(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]
) -> None:
    """A family that was removed must not leave its jobs for ever."""
    gone, kept = (ended(kernel, tenant, days_ago=days, kind="former.kind") for days in (31, 29))
    clear()
    assert [False, True] == [left(kernel, job)["row"] for job in (gone, kept)]


def test_tenants_sweep_reaches_their_own_jobs_only(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]
) -> None:
    """Nobody erases what belongs to another, nor what belongs to all."""
    stranger = tenants.named(kernel.ledger, "stranger")
    mine, theirs = ended(kernel, tenant, days_ago=40), ended(kernel, stranger, days_ago=40)
    result = clear(by=tenant)
    assert [False, True] == [left(kernel, job)["row"] for job in (mine, theirs)]
    assert set(result.freed) == {"results", "artifacts", "streams", "jobs", "uploads"}


def test_bounded_sweep_says_that_there_is_more(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]
) -> None:
    """It stops when its time is over, after a whole batch, and the next one goes on."""
    for _ in range(3):
        ended(kernel, tenant, days_ago=40)
    first = clear(specs(artifacts_s=99 * DAY_S), batch=1, max_seconds=1e-6)
    assert first.more
    rest = clear(specs(artifacts_s=99 * DAY_S), batch=1)
    assert (rest.freed["jobs"].rows, rest.more) == (3, False)


def test_cancel_ends_a_sweep_between_batches(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult], tmp_path: Path
) -> None:
    """Each report is a cancellation point."""
    ended(kernel, tenant, days_ago=40)
    with pytest.raises(JobCancelled):
        clear(job=FakeJob(tmp_path, Egress(EgressPolicy()), cancel_after=2))


def test_orphaned_folders_go_after_a_day(kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]) -> None:
    """A folder without a row may belong to an erasure that is under way; yesterday's does not."""
    left_folder(kernel, new_id(), hours_ago=1)
    left_folder(kernel, old := new_id(), hours_ago=30)
    with capture_logs() as logs:
        assert clear().freed["orphans"] == Freed(rows=1, files=1, size_bytes=3)
    assert old not in set(kernel.artifacts.job_ids())
    assert logs == []


def test_folders_older_than_the_ledger_stay_and_are_told_of(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]
) -> None:
    """A new ledger on old storage may be a mistake, and the files all that is left; ids of no time at all stay, too."""
    others = [first_id_at(now() - timedelta(hours=1)), "01234567-89ab-4def-8123-456789abcdef"]
    for job_id in others:
        left_folder(kernel, job_id, hours_ago=30)
    with capture_logs() as logs:
        assert clear().freed["orphans"] == Freed()
    assert set(kernel.artifacts.job_ids()) == set(others)
    assert [(one["event"], one["shelf"], one["folders"]) for one in logs] == [
        ("files_older_than_the_ledger", "orphans", 2)
    ]


def left_folder(kernel: Kernel, job_id: str, *, hours_ago: float) -> None:
    folder = kernel.artifacts.folder(job_id, 1)
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"123")
    then = (now() - timedelta(hours=hours_ago)).timestamp()
    os.utime(folder.parent, (then, then))


def test_sweep_of_a_job_that_was_retried_meanwhile_keeps_its_files(kernel: Kernel, tenant: Tenant) -> None:
    """Only what the earlier attempts left may go, and only while the job is at its end."""
    from tasks.core.ledger import aging

    job = ended(kernel, tenant, days_ago=40)
    aged = aging.Aged({PING: ago(DAY_S)}, ago(DAY_S))
    found = aging.old_among(kernel.ledger, aged, [job.id])
    with kernel.ledger.write() as connection:
        connection.execute(jobs.update().values(state="failed"))
    replaying.replay(kernel.ledger, job.id, tenant_id=tenant.id)
    assert (found, aging.forget_artifacts(kernel.ledger, aged, found)) == ({job.id: 1}, ({}, 0))


def test_leftovers_of_nobody_go(kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]) -> None:
    """Keys past their time, old events up to the first young one, workers that ended, streams that expired."""
    ledger = kernel.ledger
    for number, created_at in enumerate((ago(2 * DAY_S), now())):
        key = Idempotency(f"k{number}", "0" * 64, ttl_s=86400)
        accepting.accept(ledger, a_job(tenant, created_at=created_at), idempotency=key)
    for name, state, days in (("old#1", "gone", 2), ("new#1", "stopped", 0), ("up#1", "up", 2)):
        fleet.register(ledger, a_worker(name, state=state, beat_at=ago(days * DAY_S)))
    with ledger.write() as connection:
        for seq, days, relayed in ((1, 9, True), (2, 9, False), (3, 1, True), (4, 9, True)):
            row = {"id": new_id(), "seq": seq, "tenant_id": tenant.id, "type": "t", "at": ago(days * DAY_S), "data": {}}
            connection.execute(outbox.insert().values(**row, relayed_at=now() if relayed else None))
        for expires_at in (ago(5), now() + timedelta(days=1)):
            head = {"job_id": new_id(), "epoch": 1, "seq": 1, "fence": 1, "n": 1, "expires_at": expires_at}
            connection.execute(stream_heads.insert().values(**head))
    freed = clear().freed
    expected = {"idempotency_keys": 1, "workers": 1, "domain_events": 2, "ledger_streams": 1}
    assert expected == {name: freed[name].rows for name in expected}
    with ledger.read() as connection:
        assert [3, 4] == list(connection.execute(sa.select(outbox.c.seq).order_by(outbox.c.seq)).scalars())


def test_the_book_of_changes_and_ended_pauses_grow_old(
    ledger: Ledger, tenant: Tenant, clear: Callable[..., SweepResult]
) -> None:
    """An entry after a year; a pause a day after its end, unless a job still refers to it; none that holds."""
    held = [
        pauses.pause(ledger, Scope(kind=kind), by=AT_THE_MACHINE)[0] for kind in ("a.holds", "b.ended", "c.referred")
    ]
    for one in held[1:]:
        pauses.resume(ledger, one.id, by=AT_THE_MACHINE)
    accepting.accept(ledger, a_job(tenant, parked=True, paused_by=held[2].id))
    with ledger.write() as connection:
        connection.execute(pause_rows.update().values(created_at=ago(400 * DAY_S)))
        connection.execute(
            pause_rows.update().where(pause_rows.c.ended_at.is_not(None)).values(ended_at=ago(2 * DAY_S))
        )
        made = audit_rows.c.what == "pause.made"
        connection.execute(audit_rows.update().where(made).values(at=ago(366 * DAY_S)))
    freed = clear().freed
    assert {"audit": 3, "pauses": 1} == {name: freed[name].rows for name in ("audit", "pauses")}
    with ledger.read() as connection:
        left = set(connection.execute(sa.select(pause_rows.c.kind)).scalars())
        told = set(connection.execute(sa.select(audit_rows.c.what)).scalars())
    assert ({"a.holds", "c.referred"}, True) == (left, "pause.ended" in told and "pause.made" not in told)


def test_what_answered_for_a_job_goes_with_its_files(
    kernel: Kernel, ledger: Ledger, tenant: Tenant, clear: Callable[..., SweepResult]
) -> None:
    """An entry is useless once the files that it answers with are gone; nobody but the system clears any."""
    for age_s, key in ((8 * DAY_S, "a"), (6 * DAY_S, "b")):
        job = claimed(ledger, carried(ledger, tenant))
        cached_results.remember(ledger, job.id, fence=job.fence, key=key * 64)
        how = {"fence": job.fence, "state": JobState.SUCCEEDED, "cause": "completed", "result": {"x": 1}}
        transitions.finish(ledger, job.id, **how)
        with ledger.write() as connection:
            old = cached_rows.c.job_id == job.id
            connection.execute(cached_rows.update().where(old).values(created_at=ago(age_s)))
    assert "cached_results" not in clear(by=tenant).freed
    assert 1 == clear(dry_run=True).freed["cached_results"].rows
    assert 1 == clear().freed["cached_results"].rows
    assert 1 == cached_results.standing(ledger, tenant_id=tenant.id, kind=PING).entries


def test_nothing_stays_of_jobs_that_are_old(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult], redis_server: RedisServer
) -> None:
    """Tables, keys and folders are as they were before 300 jobs came and went."""

    def extent() -> dict[str, int]:
        with kernel.ledger.read() as connection:
            sizes = {
                name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for name, table in metadata.tables.items()
            }
        return sizes | {"redis keys": redis_server.client.dbsize(), "folders": len(list(kernel.artifacts.job_ids()))}

    before = extent()
    for number in range(300):
        key = Idempotency(f"key-{number}", "0" * 64, ttl_s=60)
        job = accepting.accept(kernel.ledger, a_job(tenant), idempotency=key, may_publish=True).job
        finish_with_a_file(kernel, claimed(kernel.ledger, job))
    grown = extent()
    assert all(grown[name] >= 300 for name in ("jobs", "attempts", "artifacts", "idempotency_keys", "folders"))
    assert grown["state_events"] == 900
    assert grown["redis keys"] >= 600
    result = clear(specs(stream_s=0, artifacts_s=0, result_s=0, row_s=0))
    sweeping_job = {"jobs": 1, "state_events": 1}
    assert {name: size + sweeping_job.get(name, 0) for name, size in before.items()} == extent()
    assert result.freed["jobs"].rows == result.freed["artifacts"].files == 300


def finish_with_a_file(kernel: Kernel, job: Job) -> None:
    kernel.artifacts.save(job.id, "a.txt", b"1", fence=job.fence, attempt=1, media_type="text/plain")
    done = transitions.finish(kernel.ledger, job.id, fence=job.fence, state=JobState.SUCCEEDED, cause="completed")
    assert done is not None
    announce_all(kernel.ledger, kernel.events, [done])


def test_rows_of_a_family_go_at_their_own_age(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult]
) -> None:
    """As a kind's spec says, by the system's sweep; what was counted of them stays."""
    ledger = kernel.ledger
    record(ledger, tenant, a_tool("a"))
    found = find_named(ledger, tenant.id, SITE, "a")
    for days in (31, 29):
        ran(ledger, tenant, found, took_ms=float(days))
        with ledger.write() as connection:
            fresh = runs.update().where(runs.c.took_ms == float(days))
            connection.execute(fresh.values(at=ago(days * DAY_S)))
    kinds = {spec.kind: spec for spec in discovery.SPECS}
    assert 0 == clear(kinds, by=tenant).freed.get("tool_runs", Freed()).rows
    assert Freed(rows=1) == clear(kinds, dry_run=True).freed["tool_runs"]
    assert Freed(rows=1) == clear(kinds).freed["tool_runs"]
    assert [29.0] == [run.took_ms for run in runs_of(ledger, found.id, limit=9)]
    assert 2 == find_named(ledger, tenant.id, SITE, "a").uses


def test_tombstones_of_pages_go_after_thirty_days(
    kernel: Kernel, tenant: Tenant, clear: Callable[..., SweepResult], tmp_path: Path
) -> None:
    """A page that is gone is still known to have been there for as long; one that is there never goes by age."""
    with Egress(EgressPolicy()) as egress:
        house = House(kernel.ledger, tenant, tmp_path, egress)
        house.update(documents=documents())
        house.update(delete=["tea", "travel"])
    with kernel.ledger.write() as connection:
        connection.execute(known_pages.update().values(updated_at=ago(90 * DAY_S)))
        for key, days in (("tea", 31), ("travel", 29)):
            gone = known_pages.update().where(known_pages.c.key == key)
            connection.execute(gone.values(gone_at=ago(days * DAY_S)))
    kinds = {spec.kind: spec for spec in knowledge.SPECS}
    assert Freed(rows=1) == clear(kinds, dry_run=True).freed["knowledge_tombstones"]
    assert Freed(rows=1) == clear(kinds).freed["knowledge_tombstones"]
    assert Freed() == clear(kinds).freed["knowledge_tombstones"]
    (site,) = standings(kernel.ledger, tenant.id)
    assert (1, 1, 1) == (site.pages, site.tombstones, site.chunks)
    assert ["holidays"] == house.keys("paid holiday", mode="lexical")
