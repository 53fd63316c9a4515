"""What a tenant uses now of what its quotas count."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from tasks.core.ids import first_id_at
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.schema import artifacts, jobs
from tasks.core.records import JobState


@dataclass(frozen=True, slots=True)
class Usage:
    """Jobs by state, jobs accepted since a time, and bytes of artifacts; jobs that were erased count nowhere."""

    queued: int
    running: int
    since: int
    artifact_bytes: int


def usage(ledger: Ledger, tenant_id: str, *, since: datetime) -> Usage:
    """Count what the tenant uses."""
    mine = jobs.c.tenant_id == tenant_id

    def in_state(state: JobState) -> sa.ScalarSelect[int]:
        return sa.select(sa.func.count()).select_from(jobs).where(mine, jobs.c.state == state).scalar_subquery()

    accepted = sa.select(sa.func.count()).select_from(jobs).where(mine, jobs.c.id >= first_id_at(since))
    kept = sa.select(sa.func.coalesce(sa.func.sum(artifacts.c.size_bytes), 0))
    kept = kept.join_from(artifacts, jobs, artifacts.c.job_id == jobs.c.id).where(mine)
    statement = sa.select(
        in_state(JobState.QUEUED), in_state(JobState.RUNNING), accepted.scalar_subquery(), kept.scalar_subquery()
    )
    with ledger.read() as connection:
        return Usage(*(int(value) for value in connection.execute(statement).one()))
