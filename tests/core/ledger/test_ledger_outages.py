"""What callers hear when the ledger is locked, gone or crowded, and that writers do not disturb each other."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tasks.core.errors import LedgerBusy, LedgerUnavailable
from tasks.core.ledger import Ledger, accepting, answering, database, fleet, locking, queries, upgrade
from tasks.core.ledger.accepting import Idempotency
from tasks.core.ledger.drivers import Driver
from tasks.core.ledger.queries import Filter
from tasks.core.ledger.tenants import Tenant, create_key, tenant_of
from tests.proxy import Proxy
from tests.samples import a_job, accepted, eventually
from tests.servers import PostgreSQL

_WRITER = """
import sys
from tests.samples import accepted, claimed
from tasks.core.ledger import Ledger, carrying, locking, transitions
from tasks.core.ledger.tenants import Tenant
from tasks.core.records import JobState

# A machine that is busy with other things must not fail the test; a lock taken in the wrong order fails at once anyway.
locking.BUSY_TIMEOUT_S = 30
ledger = Ledger(sys.argv[1])
ledger.prepare()
for _ in range(6):
    job = accepted(ledger, Tenant(sys.argv[2], "acme"))
    for due in carrying.take_due(ledger, "maintenance"):
        began = transitions.claim(ledger, due.id, carry=due.carry, worker="w", child_pid=1)
        if began is not None:
            transitions.finish(ledger, began.id, fence=began.fence, state=JobState.SUCCEEDED, cause="completed")
ledger.close()
"""

_SLOW_COMMIT = (
    "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'",
    "CREATE CONSTRAINT TRIGGER stalls AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION stall()",
)


@pytest.fixture
def quick_sqlite(sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The SQLite ledger, with less patience than in service."""
    monkeypatch.setattr(locking, "BUSY_TIMEOUT_S", 0.2)
    return Ledger(sqlite_ledger.url)


def sqlite_file(ledger: Ledger) -> str:
    return ledger.url.removeprefix("sqlite:///")


@pytest.mark.slow
def test_eight_writing_processes_do_not_disturb_each_other(sqlite_ledger: Ledger) -> None:
    """Accepts, carries, claims and ends from all sides on SQLite: no error, nothing lost, nothing done twice."""
    tenant = tenant_of(sqlite_ledger, create_key(sqlite_ledger, tenant="acme", name="k"))
    assert tenant is not None
    command = [sys.executable, "-c", _WRITER, sqlite_ledger.url, tenant.id]
    here = str(Path(__file__).parents[2])
    writers = [
        subprocess.Popen(command, env={"PYTHONPATH": f"{here}:{Path(here).parent}"}, stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    assert [(writer.communicate(timeout=90)[1], writer.returncode) for writer in writers] == [(b"", 0)] * 8
    page = queries.listing(sqlite_ledger, Filter(tenant.id, states=["succeeded"]), limit=200)
    assert page.total == 48
    assert {1} == {job.attempt for job in page.jobs}


def test_threads_share_one_ledger(ledger: Ledger, tenant: Tenant) -> None:
    """More threads than pooled connections."""
    with ThreadPoolExecutor(12) as threads:
        jobs = list(threads.map(lambda _: accepted(ledger, tenant).id, range(48)))
    assert len(set(jobs)) == queries.listing(ledger, Filter(tenant.id), limit=1).total == 48


def test_locked_sqlite_is_busy(quick_sqlite: Ledger) -> None:
    """Another writer holds it for longer than the busy timeout."""
    with sqlite3.connect(sqlite_file(quick_sqlite)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerBusy, match="Try again"):
            create_key(quick_sqlite, tenant="a", name="k")
        assert queries.job(quick_sqlite, "none") is None
    holder.close()
    create_key(quick_sqlite, tenant="a", name="k")
    quick_sqlite.close()


def test_exclusively_locked_sqlite_is_busy_for_readers_too(quick_sqlite: Ledger) -> None:
    """Also for a process that opens its first connection meanwhile."""
    holder = sqlite3.connect(sqlite_file(quick_sqlite), isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerBusy):
        queries.job(quick_sqlite, "none")
    holder.close()
    assert queries.job(quick_sqlite, "none") is None
    quick_sqlite.close()


def test_short_lock_is_waited_out(sqlite_ledger: Ledger) -> None:
    """Half a second of somebody else's work is no reason to fail."""
    holder = sqlite3.connect(sqlite_file(sqlite_ledger), isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as thread:
        made = thread.submit(create_key, sqlite_ledger, tenant="a", name="k")
        time.sleep(0.5)
        assert not made.done()
        holder.execute("ROLLBACK")
        assert made.result(timeout=5).startswith("sy_")
    holder.close()


def test_unreachable_file_is_unavailable(tmp_path: Path) -> None:
    """Nothing is accepted; the message shows no path and no password."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(LedgerUnavailable) as refusal:
        ledger.prepare()
    assert (refusal.value.code, str(tmp_path) in refusal.value.message) == ("ledger_unavailable", False)


def test_locked_row_on_postgresql_is_busy(
    postgresql: PostgreSQL, postgresql_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that nobody lets go of is waited for within limits."""
    monkeypatch.setattr(database, "_PG_OPTIONS", "-c lock_timeout=200")
    quick = Ledger(postgresql_ledger.url)
    with postgresql_ledger.write() as connection:
        connection.execute(sa.text("LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(LedgerBusy):
            create_key(quick, tenant="a", name="k")
    create_key(quick, tenant="a", name="k")
    quick.close()


def test_crowded_pool_is_busy(postgresql_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets no connection in time is told to come back."""
    crowded = Ledger(postgresql_ledger.url, pool_size=1)
    monkeypatch.setattr(crowded._engine.pool, "_timeout", 0.1)
    monkeypatch.setattr(crowded._engine.pool, "_max_overflow", 0)
    with crowded.read(), pytest.raises(LedgerBusy, match="Too many"), crowded.read():
        pass
    crowded.close()


def test_stopped_postgresql_is_unavailable_and_comes_back(postgresql: PostgreSQL) -> None:
    """Open connections are cut; later ones find the server again without a restart of ours."""
    ledger = Ledger(postgresql.create("stopped"))
    ledger.prepare()
    tenant = tenant_of(ledger, create_key(ledger, tenant="a", name="k"))
    assert tenant is not None
    job = accepted(ledger, tenant)
    postgresql.stop()
    try:
        for attempt in (lambda: queries.job(ledger, job.id), lambda: accepting.accept(ledger, a_job(tenant))):
            with pytest.raises(LedgerUnavailable) as refusal:
                attempt()
            assert refusal.value.code == "ledger_unavailable"
    finally:
        postgresql.start()
    assert queries.job(ledger, job.id) == job
    ledger.close()


def test_server_that_stops_inside_a_transaction_is_unavailable(postgresql: PostgreSQL) -> None:
    """The open transaction fails as a whole, under our own error."""
    ledger = Ledger(postgresql.create("torn"))
    ledger.prepare()
    try:
        with pytest.raises(LedgerUnavailable), ledger.write() as connection:  # noqa: PT012  # it fails on its way
            connection.execute(sa.text("INSERT INTO tenants VALUES ('1', 'a', now())"))
            postgresql.stop()
            connection.execute(sa.text("SELECT 1"))
    finally:
        postgresql.start()
    with ledger.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM tenants")).scalar_one() == 0
    ledger.close()


@pytest.mark.parametrize(("theirs", "ours"), [("off", "on"), ("on", "on"), ("local", "local")])
def test_postgresql_answers_no_commit_that_the_disk_may_lack(postgresql: PostgreSQL, theirs: str, ours: str) -> None:
    """Whatever its administrator has set to be faster; what is as safe, or safer, stays."""
    name = f"commits_{theirs}"
    ledger = Ledger(postgresql.create(name))
    postgresql.execute(f"ALTER DATABASE {name} SET synchronous_commit = '{theirs}'")
    with ledger.write() as connection, ledger.write_prepared() as driver:
        found = [one.execute("SHOW synchronous_commit").fetchone()[0] for one in _drivers(connection, driver)]
    assert [ours, ours] == found
    ledger.close()


def _drivers(connection: sa.Connection, driver: Driver) -> list[Any]:
    return [connection.connection.driver_connection, driver.connection]


def test_half_open_connections_to_postgresql_are_given_up(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server went away without a word, as in a failover: nobody waits for its last answer, and the next one comes."""
    for name in ("PING_LIMIT_S", "WRITE_LIMIT_S", "READ_LIMIT_S"):
        monkeypatch.setattr(answering, name, 0.5)
    with Proxy(postgresql.port) as proxy:
        url = postgresql.create("half_open").replace(f":{postgresql.port}/", f":{proxy.port}/")
        ledger = Ledger(url)
        ledger.prepare()
        tenant = tenant_of(ledger, create_key(ledger, tenant="a", name="k"))
        assert tenant is not None
        acts = (
            lambda: accepting.accept(ledger, a_job(tenant)),
            lambda: create_key(ledger, tenant="a", name="k2"),
            lambda: fleet.holders(ledger),
        )
        for act in acts:
            act()
            proxy.strand()
            with pytest.raises(LedgerUnavailable):
                act()
            act()
        ledger.close()


def test_commit_that_was_given_up_may_be_one_and_is_found_again_by_its_key(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's disk stalls until nobody waits any more, and then has it; sent again, it is no second job."""
    ledger = Ledger(postgresql.create("stalls"))
    ledger.prepare()
    tenant = tenant_of(ledger, create_key(ledger, tenant="a", name="k"))
    assert tenant is not None
    with ledger.write() as connection:
        for statement in _SLOW_COMMIT:
            connection.execute(sa.text(statement))
    monkeypatch.setattr(answering, "WRITE_LIMIT_S", 0.4)
    key = Idempotency("k", "b" * 64, ttl_s=60)
    with pytest.raises(LedgerUnavailable):
        accepting.accept(ledger, a_job(tenant), idempotency=key)
    assert eventually(lambda: queries.listing(ledger, Filter(tenant.id), limit=1).total == 1)
    again = accepting.accept(ledger, a_job(tenant), idempotency=key)
    assert (True, 1) == (again.replayed, queries.listing(ledger, Filter(tenant.id), limit=2).total)
    ledger.close()


def test_slow_migration_is_no_matter_of_the_limits(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables may be large by then; whoever waits for a statement of every day does so for a moment."""
    monkeypatch.setattr(database, "_PG_OPTIONS", "-c statement_timeout=15")
    ledger = Ledger(postgresql.create("slow"))
    ledger.prepare()
    ledger.close()


def test_statement_of_a_migration_is_answered_when_it_is_done(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index on a large table takes minutes; neither a new connection nor one that was used gives up before."""
    for name in ("PING_LIMIT_S", "WRITE_LIMIT_S", "READ_LIMIT_S"):
        monkeypatch.setattr(answering, name, 0.4)

    def slowly(act: Callable[[Config, str], None]) -> Callable[[Config, str], None]:
        def run(config: Config, revision: str) -> None:
            config.attributes["connection"].execute(sa.text("SELECT pg_sleep(0.8)"))
            act(config, revision)

        return run

    for name in ("upgrade", "downgrade"):
        monkeypatch.setattr(command, name, slowly(getattr(command, name)))
    ledger = Ledger(postgresql.create("large"))
    ledger.prepare()
    create_key(ledger, tenant="a", name="k")
    upgrade.migrate(ledger._engine, "base")
    with ledger._engine.connect() as connection:
        assert ["alembic_version"] == sa.inspect(connection).get_table_names()
    ledger.close()
