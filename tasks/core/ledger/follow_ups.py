"""Follow-ups in the ledger: what is to follow which job, and the one moment at which it is accepted.

Nothing of this is part of a transition. A job that has ended, and a row that still waits, are all that there is to
find; whoever finds them accepts the follow-up and closes that row in one transaction. A death
before it changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.callbacks.records import Webhook
from tasks.core.clock import now
from tasks.core.domain_events import FOLLOW_UP_FAILED, Emission
from tasks.core.follow_ups.plans import Branch, Link, Plan
from tasks.core.ledger.callback_tables import webhooks
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.follow_up_tables import IS_WAITING, follow_ups
from tasks.core.ledger.outbox import write_event
from tasks.core.ledger.prepared import JOB_COLUMNS, Prepared, job_of
from tasks.core.ledger.rows import values_of
from tasks.core.ledger.schema import jobs
from tasks.core.records import FollowUpState, Job

_OF_LINK = [follow_ups.c[name] for name in Link.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class Due:
    """A job that has ended, and for whose follow-up nothing was done yet."""

    job: Job
    link: Link


def write_links(connection: Connection, links: Sequence[Link]) -> None:
    """Write jobs' places in their chains, in the transaction that accepts them."""
    if links:
        connection.execute(follow_ups.insert(), [values_of(one) for one in links])


def first_link(job: Job, plan: Plan) -> Link:
    """Return the link of a job that begins a chain."""
    return Link(job.id, job.id, None, 0, plan.on_success, plan.on_failure, FollowUpState.WAITING)


def next_link(job: Job, plan: Plan, *, after: Link) -> Link:
    """Return the link of a job that follows another."""
    state = FollowUpState.WAITING if plan else None
    return Link(job.id, after.chain_id, after.job_id, after.depth + 1, plan.on_success, plan.on_failure, state)


_LINK = Prepared(sa.select(*_OF_LINK).where(follow_ups.c.job_id == sa.bindparam("asked")))


def link_of(ledger: Ledger, job_id: str) -> Link | None:
    """Return a job's place in its chain; None: it is part of none."""
    with ledger.read_prepared() as driver:
        row = _LINK.first(driver, {"asked": job_id})
    return None if row is None else Link(*row)


def links_of_chain(ledger: Ledger, chain_id: str) -> list[Link]:
    """Return the links of a chain, each before those that follow it."""
    wanted = sa.select(*_OF_LINK).where(follow_ups.c.chain_id == chain_id)
    with ledger.read() as connection:
        rows = connection.execute(wanted.order_by(follow_ups.c.depth, follow_ups.c.job_id)).all()
    return [Link(*row) for row in rows]


def due(ledger: Ledger, *, limit: int) -> list[Due]:
    """List jobs that have ended and whose follow-ups wait. What it costs grows with all that waits for an end."""
    ended = (
        sa.select(*_OF_LINK, *JOB_COLUMNS)
        .join_from(follow_ups, jobs, jobs.c.id == follow_ups.c.job_id)
        .where(IS_WAITING, jobs.c.finished_at.is_not(None))
        .order_by(jobs.c.finished_at)
        .limit(limit)
    )
    with ledger.read() as connection:
        return [_due_of(row) for row in connection.execute(ended)]


def anything_waits(ledger: Ledger) -> bool:
    """Tell whether any job is to be followed. One look at an index that is empty where nobody uses follow-ups."""
    with ledger.read() as connection:
        return connection.execute(sa.select(follow_ups.c.job_id).where(IS_WAITING).limit(1)).first() is not None


def own_callback_of(ledger: Ledger, job_id: str) -> Webhook | None:
    """Return the callback that a job was submitted with, or has from the one that it follows."""
    with ledger.read() as connection:
        row = connection.execute(webhooks.select().where(webhooks.c.job_id == job_id)).first()
    return None if row is None else Webhook(**row._mapping)


def hold(connection: Connection, found: Due) -> int | None:
    """Keep the end of a job as it was found until the transaction ends; return the job's place in line.

    None: somebody else has settled it meanwhile, or the job runs again, or is gone.
    """
    mine = (jobs.c.id == found.job.id) & (jobs.c.version == found.job.version)
    place = connection.execute(sa.select(jobs.c.place).where(mine).with_for_update()).scalar_one_or_none()
    if place is None:
        return None
    waiting = sa.select(follow_ups.c.job_id).where(follow_ups.c.job_id == found.job.id, IS_WAITING)
    return None if connection.execute(waiting.with_for_update()).first() is None else int(place)


def note_started(connection: Connection, found: Due, branch: Branch, child_id: str) -> None:
    """Note which job follows, in the transaction that accepts it."""
    _settle(connection, found, state=FollowUpState.STARTED, branch=branch, child_id=child_id)


def note_failed(ledger: Ledger, found: Due, branch: Branch, error: Mapping[str, Any]) -> bool:
    """Note that nothing can follow, and tell the tenant; False: somebody else was faster."""
    with ledger.write() as connection:
        if hold(connection, found) is None:
            return False
        _settle(connection, found, state=FollowUpState.FAILED, branch=branch, error=dict(error))
        step = found.link.plan.of(branch)
        data = {"kind": found.job.kind, "branch": branch, "follow_up": step and step["kind"], "error": dict(error)}
        write_event(connection, found.job.tenant_id, Emission(FOLLOW_UP_FAILED, data), job_id=found.job.id)
    return True


def note_skipped(ledger: Ledger, found: Due) -> bool:
    """Note that nothing follows this end; False: somebody else was faster."""
    with ledger.write() as connection:
        if hold(connection, found) is None:
            return False
        _settle(connection, found, state=FollowUpState.SKIPPED)
    return True


def stop_chain(ledger: Ledger, chain_id: str) -> None:
    """Let nothing more begin in a chain."""
    with ledger.write() as connection:
        waiting = follow_ups.update().where(follow_ups.c.chain_id == chain_id, IS_WAITING)
        connection.execute(waiting.values(state=FollowUpState.SKIPPED, settled_at=now()))


def wait_again(connection: Connection, job_ids: Sequence[str]) -> None:
    """Let jobs that run again be followed again, in the transaction that queues them."""
    mine = follow_ups.c.job_id.in_(job_ids) & follow_ups.c.state.is_not(None)
    fresh = {"state": FollowUpState.WAITING, "branch": None, "child_id": None, "error": None, "settled_at": None}
    connection.execute(follow_ups.update().where(mine).values(fresh))


def _settle(connection: Connection, found: Due, **values: Any) -> None:
    mine = follow_ups.c.job_id == found.job.id
    connection.execute(follow_ups.update().where(mine).values(settled_at=now(), **values))


def _due_of(row: Row[Any]) -> Due:
    values = list(row)
    return Due(job_of(values[len(_OF_LINK) :]), Link(*values[: len(_OF_LINK)]))
