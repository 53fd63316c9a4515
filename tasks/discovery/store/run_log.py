"""Runs of tools: each is noted once and counted; what fails again and again becomes stale."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.domain_events import Emission
from tasks.core.ids import new_id
from tasks.core.ledger import Ledger
from tasks.core.ledger.database import insert_if_new
from tasks.core.ledger.outbox import write_event
from tasks.discovery.store.notes import add_observations
from tasks.discovery.store.recording import index, tell_changes
from tasks.discovery.store.records import Diff, LoggedRun, RunFacts, Statistics, Status, rediscovery
from tasks.discovery.store.tables import runs, tools
from tasks.discovery.tool import Tool

TOOL_STALE = "tool.stale"
"""A domain event: a tool has failed several times in a row; its ``rediscover`` is a request that looks for it anew."""


def record_run(
    ledger: Ledger, tool_id: str, facts: RunFacts, *, version: int, job_id: str, fence: int, stale_after: int
) -> Status | None:
    """Note a run of a tool, once for each attempt of a job, and count it.

    The ``stale_after``-th failure in a row makes an active tool stale and writes ``tool.stale``; a success makes a
    stale one active and writes ``tools.changed``.

    Args:
        version: of the tool that was run.

    Returns:
        The tool's status now; None if it was deleted meanwhile.
    """
    with ledger.write() as connection:
        locked = tools.select().where(tools.c.id == tool_id).with_for_update()
        row = connection.execute(locked).one_or_none()
        if row is None:
            return None
        at = now()
        logged = {"ok": facts.ok, "took_ms": facts.took_ms, "backend": facts.backend, "cost_usd": facts.cost_usd}
        line = {"id": new_id(), "tool_id": tool_id, "version": version, "job_id": job_id, "fence": fence, "at": at}
        if not insert_if_new(connection, runs, **line, **logged, error_code=facts.error_code):
            return Status(row.status)
        failures = 0 if facts.ok else row.failures_in_row + 1
        status = _status_after(Status(row.status), failures, stale_after=stale_after)
        counter = tools.c.runs_ok if facts.ok else tools.c.runs_failed
        counted = {counter: counter + 1, tools.c.failures_in_row: failures}
        connection.execute(
            tools.update().where(tools.c.id == tool_id).values(counted | {tools.c.used_at: at, tools.c.status: status})
        )
        if status is Status.STALE and row.status != Status.STALE:
            write_event(connection, row.tenant_id, _stale(row, facts, failures), job_id=job_id)
        if status is Status.ACTIVE and row.status == Status.STALE:
            tell_changes(connection, row.tenant_id, row.site, Diff(changed=(row.name,)), job_id=job_id)
        if add_observations(connection, tool_id, facts):
            index(connection, tool_id, Tool.model_validate(row.tool))
        return status


def _status_after(status: Status, failures: int, *, stale_after: int) -> Status:
    if status is Status.ACTIVE and failures >= stale_after:
        return Status.STALE
    return Status.ACTIVE if status is Status.STALE and failures == 0 else status


def _stale(row: Row[Any], facts: RunFacts, failures: int) -> Emission:
    data = {"tool_id": row.id, "site": row.site, "name": row.name, "failures": failures}
    again = rediscovery(row.tool["found_on"])
    return Emission(TOOL_STALE, data | {"error_code": facts.error_code, "rediscover": again})


def statistics_of(ledger: Ledger, tool_ids: Sequence[str]) -> dict[str, Statistics]:
    """Return what the run log says of each of these tools."""
    if not tool_ids:
        return {}
    with ledger.read() as connection:
        return read_statistics(connection, tool_ids)


def read_statistics(connection: Connection, tool_ids: Sequence[str]) -> dict[str, Statistics]:
    """Return what the run log says of each of these tools, in a transaction that is open."""
    succeeded = sa.case((runs.c.ok, runs.c.took_ms))
    summed = (
        sa.select(
            runs.c.tool_id,
            sa.func.count(succeeded).label("ok"),
            sa.func.count().label("all"),
            sa.func.min(succeeded).label("min_ms"),
            sa.func.avg(succeeded).label("mean_ms"),
            sa.func.max(succeeded).label("max_ms"),
            sa.func.sum(runs.c.cost_usd).label("total_cost_usd"),
            sa.func.avg(runs.c.cost_usd).label("mean_cost_usd"),
        )
        .where(runs.c.tool_id.in_(tool_ids))
        .group_by(runs.c.tool_id)
    )
    p95 = _p95(connection, tool_ids)
    return {
        row.tool_id: Statistics(
            ok=row.ok,
            failed=row.all - row.ok,
            min_ms=row.min_ms,
            mean_ms=row.mean_ms,
            max_ms=row.max_ms,
            p95_ms=p95.get(row.tool_id),
            total_cost_usd=row.total_cost_usd,
            mean_cost_usd=row.mean_cost_usd,
        )
        for row in connection.execute(summed)
    }


def _p95(connection: Connection, tool_ids: Sequence[str]) -> dict[str, float]:
    # Nearest rank: the smallest value that at least 95 % of all are not above.
    place = sa.func.row_number().over(partition_by=runs.c.tool_id, order_by=runs.c.took_ms)
    count = sa.func.count().over(partition_by=runs.c.tool_id)
    ranked = (
        sa.select(runs.c.tool_id, runs.c.took_ms, place.label("place"), count.label("n"))
        .where(runs.c.tool_id.in_(tool_ids), runs.c.ok)
        .subquery()
    )
    wanted = sa.select(ranked.c.tool_id, ranked.c.took_ms).where(ranked.c.place == (ranked.c.n * 95 + 99) // 100)
    return {row.tool_id: row.took_ms for row in connection.execute(wanted)}


def runs_of(ledger: Ledger, tool_id: str, *, limit: int, before: str | None = None) -> list[LoggedRun]:
    """List runs of a tool, newest first, from before the run with the id ``before``."""
    names = list(LoggedRun.__dataclass_fields__)
    statement = sa.select(*(runs.c[name] for name in names)).where(runs.c.tool_id == tool_id)
    if before is not None:
        statement = statement.where(runs.c.id < before)
    with ledger.read() as connection:
        rows = connection.execute(statement.order_by(runs.c.id.desc()).limit(limit))
        return [LoggedRun(**row._mapping) for row in rows]
