"""Transactions of prepared statements, on connections of the driver's own."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from tasks.core.errors import LedgerBusy, LedgerUnavailable
from tasks.core.ledger import Ledger, accepting, drivers, locking, queries, transitions
from tasks.core.ledger.accepting import Idempotency
from tasks.core.ledger.drivers import Driver
from tasks.core.ledger.prepared import Prepared
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.schema import UTCDateTime, jobs
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tasks.core.records import Job, JobState
from tests.samples import a_job, ago, carried
from tests.servers import PostgreSQL

_COUNT = Prepared(sa.select(sa.func.count(jobs.c.id)))


class Interrupted(Exception):
    pass


def count(driver: Driver) -> int:
    row = _COUNT.first(driver, {})
    assert row is not None
    return int(row[0])


def tenant_in(ledger: Ledger) -> Tenant:
    tenant = tenant_of(ledger, create_key(ledger, tenant="a", name="k"))
    assert tenant is not None
    return tenant


def succeed(ledger: Ledger, job: Job) -> Job:
    running = transitions.claim(ledger, job.id, carry=job.carry, worker="w", child_pid=1)
    assert running is not None
    ended = transitions.finish(
        ledger, job.id, fence=running.fence, state=JobState.SUCCEEDED, cause="completed", may_vanish=True
    )
    assert ended is not None
    return ended


@pytest.fixture
def impatient(sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """Another writer, who holds the SQLite ledger; we wait for it for a moment only."""
    monkeypatch.setattr(locking, "BUSY_TIMEOUT_S", 0.2)
    holder = sqlite3.connect(sqlite_ledger.url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    yield holder
    holder.close()


def test_exception_leaves_nothing_behind(ledger: Ledger, tenant: Tenant) -> None:
    """Whatever was written is undone, and the next transaction is none the wiser."""
    job = a_job(tenant)
    with pytest.raises(Interrupted), ledger.write_prepared() as driver:  # noqa: PT012  # it fails on its way
        accepting._write(driver, [(job, None)])
        assert count(driver) == 1
        raise Interrupted
    with ledger.read_prepared() as driver:
        assert count(driver) == 0
    assert accepting.accept(ledger, job).job == queries.job(ledger, job.id)


def test_one_connection_serves_one_call_after_the_other(ledger: Ledger, tenant: Tenant) -> None:
    """Reads and writes alike."""
    seen = set()
    for _ in range(3):
        with ledger.write_prepared() as driver:
            accepting._write(driver, [(a_job(tenant), None)])
            seen.add(id(driver))
        with ledger.read_prepared() as driver:
            count(driver)
            seen.add(id(driver))
    assert len(seen) == 1


def test_who_gets_no_connection_in_time_is_told_to_come_back(
    ledger: Ledger, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the pool of the other connections."""
    monkeypatch.setattr(drivers, "_WAIT_S", 0.1)
    crowded = Ledger(ledger.url, pool_size=1)
    with crowded.read_prepared(), pytest.raises(LedgerBusy, match="Too many"):
        accepting.accept(crowded, a_job(tenant))
    accepting.accept(crowded, a_job(tenant))
    crowded.close()


def test_locked_sqlite_is_busy(sqlite_ledger: Ledger, impatient: sqlite3.Connection) -> None:
    """And takes the same job a moment later."""
    with pytest.raises(LedgerBusy, match="Try again"), sqlite_ledger.write_prepared():
        pass
    impatient.execute("ROLLBACK")
    with sqlite_ledger.write_prepared() as driver:
        assert count(driver) == 0


def test_who_has_waited_longer_looks_more_often() -> None:
    """Newcomers let each other be; nobody who is nearly out of time is kept waiting by them."""
    pause_s, pauses = locking._FIRST_PAUSE_S, []
    for waited_ms in range(0, 600, 20):
        pause_s = locking._next_pause_s(pause_s, waited_s=waited_ms / 1000)
        pauses.append(pause_s)
    longest = pauses.index(max(pauses))
    assert pauses[: longest + 1] == sorted(pauses[: longest + 1])
    assert pauses[longest:] == sorted(pauses[longest:], reverse=True)
    assert (max(pauses), pauses[-1]) == (locking._LONGEST_PAUSE_S, locking._INSISTENT_PAUSE_S)


def test_only_a_claim_may_vanish_with_the_power(sqlite_ledger: Ledger) -> None:
    """1 is NORMAL, which commits without waiting for the disk; 2 is FULL."""

    def synchronous(**options: bool) -> int:
        with sqlite_ledger.write_prepared(**options) as driver:
            return int(driver.connection.execute("PRAGMA synchronous").fetchone()[0])

    assert [synchronous(), synchronous(may_vanish=True), synchronous(), synchronous(of_one=True)] == [2, 1, 2, 2]


def test_disk_has_what_was_committed_in_a_hurry_once_that_is_synced(
    sqlite_ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the two files when the disk is asked for is all that a loss of power would leave."""
    tenant, kept = tenant_in(sqlite_ledger), tmp_path / "kept.sqlite"
    here = Path(sqlite_ledger.url.removeprefix("sqlite:///"))
    asked = []

    def sync_file(log: int) -> None:
        kept.write_bytes(here.read_bytes())
        kept.with_name(f"{kept.name}-wal").write_bytes(os.pread(log, 1 << 30, 0))
        asked.append(log)

    monkeypatch.setattr(drivers, "_sync_file", sync_file)
    for number in (1, 2):
        ended = succeed(sqlite_ledger, carried(sqlite_ledger, tenant))
        assert len(asked) == number - 1
        sqlite_ledger.sync()
        with closing(sqlite3.connect(kept)) as left:
            assert left.execute("SELECT state FROM jobs WHERE id = ?", (ended.id,)).fetchone() == ("succeeded",)
        sqlite_ledger.sync()  # it has everything
        assert len(asked) == number


def test_end_that_others_may_see_is_on_the_disk_when_it_is_told(
    sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process reads a job that has just ended; of one that ended long ago, or was told, it knows."""
    asked: list[int] = []
    monkeypatch.setattr(drivers, "_sync_file", asked.append)
    tenant, other = tenant_in(sqlite_ledger), Ledger(sqlite_ledger.url)
    job = carried(sqlite_ledger, tenant)
    assert queries.job(other, job.id) is not None
    assert asked == []
    succeed(sqlite_ledger, job)
    for _ in range(2):
        assert queries.job(other, job.id) is not None
        assert len(asked) == 1
    other._on_disk.clear()
    queries.listing(other, Filter(tenant.id), limit=9)
    assert len(asked) == 2
    other._on_disk.clear()
    other.note_on_disk((job.id, 3))
    assert queries.job(other, job.id) is not None
    other._on_disk.clear()
    with sqlite_ledger.write() as connection:
        connection.execute(jobs.update().values(finished_at=ago(60)))
    assert queries.job(other, job.id) is not None
    assert len(asked) == 2
    other.close()


def test_failing_disk_is_asked_again(sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and what it lacks is not forgotten."""
    succeed(sqlite_ledger, carried(sqlite_ledger, tenant_in(sqlite_ledger)))
    answers: list[Exception | None] = [OSError(errno.EIO, "Input/output error"), None]

    def sync_file(_log: int) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    monkeypatch.setattr(drivers, "_sync_file", sync_file)
    with pytest.raises(LedgerUnavailable):
        sqlite_ledger.sync()
    sqlite_ledger.sync()
    assert answers == []


def test_postgresql_has_nothing_to_sync(postgresql_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server waits for the disk with every commit."""
    monkeypatch.setattr(drivers, "_sync_file", lambda _: pytest.fail("there is no file"))
    with postgresql_ledger.write_prepared(may_vanish=True) as driver:
        count(driver)
    postgresql_ledger.sync()


def test_stopped_postgresql_is_unavailable_and_comes_back(postgresql: PostgreSQL) -> None:
    """In the middle of a transaction, before one, and on a connection that is found dead after a while."""
    ledger = Ledger(postgresql.create("drivers"))
    ledger.prepare()
    job = carried(ledger, tenant_in(ledger))
    try:
        with pytest.raises(LedgerUnavailable), ledger.write_prepared() as driver:  # noqa: PT012  # it fails on its way
            postgresql.stop()
            count(driver)
        with pytest.raises(LedgerUnavailable):
            transitions.claim(ledger, job.id, carry=job.carry, worker="w", child_pid=1)
    finally:
        postgresql.start()
    running = transitions.claim(ledger, job.id, carry=job.carry, worker="w", child_pid=1)
    postgresql.stop()
    postgresql.start()
    ledger._drivers._spare[0].used_at -= 60
    assert running is not None
    ended = transitions.finish(ledger, job.id, fence=running.fence, state=JobState.SUCCEEDED, cause="completed")
    assert ended is not None
    ledger.close()


def test_connections_kept_across_a_restart_of_postgresql_are_not_used(postgresql: PostgreSQL) -> None:
    """Also those used a moment ago, which nobody asks whether they still live."""
    ledger = Ledger(postgresql.create("kept"))
    ledger.prepare()
    with ledger.read() as one, ledger.read() as other:
        assert [1, 2] == [one.scalar(sa.select(1)), other.scalar(sa.select(2))]
    postgresql.stop()
    postgresql.start()
    with ledger.read_prepared() as driver:
        assert (1,) == driver.connection.execute("SELECT 1").fetchone()
    ledger.close()


def test_many_rows_are_what_one_row_would_be(ledger: Ledger, tenant: Tenant) -> None:
    """However they are sent to the database: every column, in every form that a value may have."""
    odd = {"text": "é\t\\N\n\"'", "none": None, "list": [1, 2.5, True], "empty": {}}
    many = [
        a_job(tenant, request=odd, labels={"a": "\\N", "b": "\t"}, reference=reference, expires_at=expires_at)
        for reference in (None, "", "\\N", "a\tb\n\\.")
        for expires_at in (None, ago(-60).replace(microsecond=0), ago(-3600))
    ]
    items = [(job, Idempotency(job.id, "body", 3600)) for job in many]
    assert [answer.job for answer in accepting.accept_many(ledger, items)] == many
    assert [queries.job(ledger, job.id) for job in many] == many
    assert [queries.listing(ledger, Filter(tenant.id, labels=[("a", "\\N")]), limit=1).total] == [len(many)]
    assert all(answer.replayed for answer in accepting.accept_many(ledger, items))


def test_sqlite_keeps_times_as_text_that_sorts(sqlite_ledger: Ledger) -> None:
    """With their microseconds, also where these are 0, as SQLAlchemy itself would write them."""
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))
    kind = UTCDateTime()
    with sqlite_ledger.read() as connection:
        write, read = kind.bind_processor(connection.dialect), kind.result_processor(connection.dialect, None)
        theirs = sa.DateTime().dialect_impl(connection.dialect).bind_processor(connection.dialect)
    assert write is not None
    assert read is not None
    assert theirs is not None
    assert write(at) == theirs(at.astimezone(UTC)) == "2026-01-02 02:04:05.000000"
    assert (read(write(at)), write(None), read(None)) == (at, None, None)
    with pytest.raises(ValueError, match="aware"):
        write(at.replace(tzinfo=None))
