"""Migrations: up, down and up again with data, in step with the models, and refused where they do not fit."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from tasks.calibration import store
from tasks.calibration.causes import BROAD_CAUSES
from tasks.calibration.inventory import Inventory, StoredMatrix
from tasks.connectors.store.records import SealedSecrets, keep_connector
from tasks.core.callbacks.records import TEST
from tasks.core.clock import now
from tasks.core.errors import ConfigurationRefused
from tasks.core.follow_ups.plans import Plan
from tasks.core.ids import new_id
from tasks.core.ledger import (
    Ledger,
    accepting,
    cached_results,
    callbacks,
    costs,
    fleet,
    leases,
    pauses,
    queries,
    rates,
    state_events,
    totals,
    uploads,
    webhooks,
)
from tasks.core.ledger.accepting import Idempotency
from tasks.core.ledger.audit import AT_THE_MACHINE
from tasks.core.ledger.costs import Budget
from tasks.core.ledger.flow_tables import job_batches, limits
from tasks.core.ledger.pauses import Scope
from tasks.core.ledger.schema import REVISION, metadata, outbox
from tasks.core.ledger.tenants import create_key, tenant_of
from tasks.core.ledger.upgrade import ensure_schema, migrate
from tasks.core.ledger_events import LedgerEvents
from tasks.core.records import Job
from tasks.discovery.store.recording import record_discovery
from tasks.discovery.store.records import RunFacts
from tasks.discovery.store.run_log import record_run
from tasks.discovery.store.sessions import keep_session
from tasks.discovery.store.tools import find_named
from tasks.knowledge.records import ChunkWrite, Model, Origin, PageWrite, Source
from tasks.knowledge.store.reindexing import JobKeeper
from tasks.publishing.store.records import LedgerRecords
from tests.core.ledger.test_ledger_schedules import kept
from tests.core.ledger.test_ledger_uploads import an_upload
from tests.discovery.tools import SITE, a_tool
from tests.publishing.releases import release_facts
from tests.samples import a_job, a_worker, running


@pytest.fixture
def engine(empty_url: str) -> Iterator[sa.Engine]:
    """An engine as the ledger makes it, on a database without tables."""
    ledger = Ledger(empty_url)
    yield ledger._engine
    ledger.close()


_SINCE_0001 = {
    *("webhooks", "callback_deliveries"),
    *("job_batches", "limits"),
    "schedules",
    "connectors",
    "queue_minutes",
    "follow_ups",
    *("pauses", "audit"),
    *("publishing_sites", "publishing_releases", "publishing_turns"),
    *("knowledge_sites", "knowledge_pages", "knowledge_chunks", "knowledge_embeddings"),
    *("discovery_tools", "discovery_tool_versions", "discovery_tool_terms", "discovery_tool_notes"),
    *("discovery_runs", "discovery_recordings", "discovery_sessions", "job_costs", "budget_alerts"),
    *("leases", "outbox", "stream_heads", "stream_entries", "uploads", "job_uploads"),
    *("calibration_matrix_sets", "calibration_matrices", "cached_results", "cache_lookups", "totals"),
}


def tables(engine: sa.Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


def fill(ledger: Ledger) -> str:
    """A row in every table."""
    tenant = tenant_of(ledger, create_key(ledger, tenant="a", name="k"))
    assert tenant is not None
    fleet.register(ledger, a_worker())
    job = running(ledger, tenant, labels={"a": "b"})
    with ledger.write() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO artifacts (job_id, fence, name, size_bytes, media_type, sha256, created_at)"
                " VALUES (:id, 1, 'x', 1, 'text/plain', 'x', CURRENT_TIMESTAMP)"
            ),
            {"id": job.id},
        )
        totals.add(connection, "a", 1)
        totals.add(connection, "a", 1)
        connection.execute(outbox.insert().values(id=new_id(), tenant_id=tenant.id, type="a.b", at=now(), data={}))
    upload = an_upload(tenant, completed_at=now())
    uploads.create(ledger, upload, quota_bytes=upload.size_bytes)
    accepting.accept(
        ledger,
        a_job(tenant),
        idempotency=Idempotency("k", "b" * 64, ttl_s=60),
        uploads=[upload.id],
        plan=Plan({"kind": "a.b"}),
    )
    cached_results.remember(ledger, job.id, fence=1, key="k" * 64)
    cached_results.count_lookup(ledger, job.id, hit=False)
    costs.keep(ledger, job.id, fence=1, method="m", amount=1.0, budget=Budget(0.5))
    leases.take(ledger, leases.DISPATCHER, holder="h", seen=None)
    LedgerEvents(ledger, maxlen=100, ttl_s=60).append(job.id, "progress", {}, fence=1, attempt=1)
    matrix = StoredMatrix("child", "eava", "Mali", BROAD_CAUSES["child"], ((1.0,),))
    store.keep(ledger, tenant.id, Inventory((matrix,)), name="a", version=None, source="a.csv")
    record_discovery(ledger, job.id, job.fence, site=SITE, tools=[a_tool("a")])
    found = find_named(ledger, tenant.id, SITE, "a")
    facts = RunFacts(ok=True, took_ms=1.0, backend="http", used=["argument q"])
    record_run(ledger, found.id, facts, version=1, job_id=job.id, fence=job.fence, stale_after=3)
    keep_session(ledger, tenant.id, SITE, b"sealed")
    records = LedgerRecords(ledger)
    records.take_turn(job, "docs")
    records.keep(job, release_facts("docs"))
    keep_page(ledger, job)
    given = {"url": "https://a.example.com", "events": ["job.*"], "description": "", "sealed": b"x", "enabled": True}
    webhook = webhooks.create(ledger, tenant.id, webhook_id=new_id(), **given)
    callbacks.tell_test(ledger, webhook, TEST)
    with ledger.write() as connection:
        values = {"tenant_id": tenant.id, "size": 1, "fail_fast": False, "created_at": now()}
        connection.execute(job_batches.insert().values(id=new_id(), **values))
        connection.execute(limits.insert().values(tenant_id="*", kind="a.b"))
    rates.count(ledger, at=now() + timedelta(minutes=1), most_steps=99)
    kept(ledger, tenant)
    secrets = SealedSecrets(("key",), b"sealed")
    keep_connector(ledger, tenant.id, "translator", service={"type": "http"}, secrets=secrets)
    pauses.pause(ledger, Scope(kind="a.b"), by=AT_THE_MACHINE)
    return job.id


def keep_page(ledger: Ledger, job: Job) -> None:
    """A site with a page of one chunk."""
    model, keeper = Model("m", 1), JobKeeper(ledger, job.id, job.fence, lambda: None)
    chunk = ChunkWrite(0, 1, "", b"", 0, b"x")
    page = PageWrite("a", None, "", None, "x", "h", (chunk,))
    site = keeper.open_site("s", model)
    keeper.write(site, Source(Origin.CALLER, job.id), [page], recipe=1, force=False)


def empty_tables(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return {name for name, table in metadata.tables.items() if connection.execute(sa.select(table)).first() is None}


def test_empty_database_is_brought_up(engine: sa.Engine) -> None:
    """Every table of the models is there, and nothing else."""
    ensure_schema(engine, auto_migrate=True)
    assert tables(engine) == {*metadata.tables, "alembic_version"}


def test_the_newest_migration_is_the_one_that_processes_look_for(engine: sa.Engine) -> None:
    """Else each of them would load the migrations at its start."""
    ensure_schema(engine, auto_migrate=True)
    with engine.connect() as connection:
        assert REVISION == connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()


def test_models_match_the_migrations(engine: sa.Engine) -> None:
    """Alembic finds nothing that a new migration would have to do."""
    ensure_schema(engine, auto_migrate=True)
    with engine.connect() as connection:
        options = {
            "compare_type": True,
            "compare_server_default": True,
        }
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_tables_with_data_go_down_and_up_again(empty_url: str) -> None:
    """A downgrade to nothing works although every table holds rows."""
    ledger = Ledger(empty_url)
    ledger.prepare()
    fill(ledger)
    assert empty_tables(ledger._engine) == set()
    migrate(ledger._engine, "base")
    assert tables(ledger._engine) == {"alembic_version"}
    migrate(ledger._engine)
    assert tables(ledger._engine) == {*metadata.tables, "alembic_version"}
    assert queries.job(ledger, fill(ledger)) is not None
    ledger.close()


def test_jobs_survive_a_step_back_and_forward(empty_url: str) -> None:
    """A release can be taken back: jobs, attempts and events stay, and what only the newer one knew is empty again."""
    ledger = Ledger(empty_url)
    ledger.prepare()
    job_id = fill(ledger)
    before = queries.job(ledger, job_id)
    migrate(ledger._engine, "0001")
    assert tables(ledger._engine) == {*metadata.tables, "alembic_version"} - _SINCE_0001
    with ledger.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM jobs")).scalar_one() == 2
    migrate(ledger._engine)
    assert queries.job(ledger, job_id) == before
    assert before is not None
    with (
        ledger.read() as connection
    ):  # what came of the rows that were there is what is written today, to a millisecond
        place = connection.execute(sa.text("SELECT place FROM jobs WHERE id = :id"), {"id": job_id}).scalar_one()
    assert abs(before.place - place) <= 1
    assert ["running"] == [event.data["state"] for event in state_events.events_of(ledger, job_id, after=1)]
    assert len(queries.attempts_of(ledger, job_id)) == 1
    assert empty_tables(ledger._engine) == _SINCE_0001
    ledger.close()


def test_prepared_database_is_left_as_it_is(empty_url: str) -> None:
    """Every process prepares at its start."""
    ledger = Ledger(empty_url)
    ledger.prepare()
    job_id = fill(ledger)
    second = Ledger(empty_url, auto_migrate=False)
    second.prepare()
    second.close()
    migrate(ledger._engine)
    assert queries.job(ledger, job_id) is not None
    ledger.close()


def test_newer_revision_is_refused(engine: sa.Engine) -> None:
    """An old program does not touch tables that it does not know."""
    ensure_schema(engine, auto_migrate=True)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationRefused, match="9999, newer"):
        ensure_schema(engine, auto_migrate=True)


def test_missing_tables_are_refused_without_auto_migrate(engine: sa.Engine) -> None:
    """The operator migrates by hand and is told how."""
    with pytest.raises(ConfigurationRefused, match="python -m workers migrate"):
        ensure_schema(engine, auto_migrate=False)
    assert tables(engine) == set()


def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    """Each with an engine of its own, as in different processes."""
    ledgers = [Ledger(empty_url) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(Ledger.prepare, ledgers))
    assert tables(ledgers[0]._engine) == {*metadata.tables, "alembic_version"}
    for ledger in ledgers:
        ledger.close()


def test_a_migration_that_fails_is_told_as_such_and_leaves_the_tables(empty_url: str, engine: sa.Engine) -> None:
    migrate(engine, "0001")
    with engine.execution_options(writes=True).connect() as connection, connection.begin():
        connection.exec_driver_sql("CREATE TABLE webhooks (mine INTEGER)")
    before = tables(engine)
    ledger = Ledger(empty_url)

    with pytest.raises(
        ConfigurationRefused, match=r"could not be migrated, and is as it was: .*webhooks.* already exists"
    ):
        ledger.prepare()

    ledger.close()
    assert tables(engine) == before
