"""What a local runner may take next: straight from the ledger, so no carry and no broker's window come into it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from tasks.core.ledger.carrying import Unserved, is_due, not_expired, other_than, waiting_tenants
from tasks.core.ledger.database import Ledger, ledger_now
from tasks.core.ledger.matching_tables import IS_MATCHED, REQUIRED
from tasks.core.ledger.schema import IS_READY, jobs
from tasks.core.ledger.shares import Shares

# What a local runner's jobs wait in is one line, whatever their queues.
_LINE = "local"


@dataclass(frozen=True, slots=True)
class Due:
    """A job to be claimed at this carry, and how long its attempt may take."""

    job_id: str
    kind: str
    carry: int
    timeout_s: float
    hard_limit_s: float
    place: int
    tenant_id: str


def due_jobs(
    ledger: Ledger,
    queues: Sequence[str],
    *,
    kinds: Collection[str],
    but: Collection[str],
    backends: Collection[str],
    limit: int,
    without: Unserved = (),
    tenants: Collection[str] | None = None,
    not_tenants: Collection[str] = (),
    needing: Collection[str] | None = None,
) -> list[Due]:
    """List queued and due jobs of these queues and kinds, by their place in line, without changing them.

    The claim decides who gets one: several runners may be shown the same.

    Args:
        but: ids of jobs that the caller has under way already.
        backends: only jobs that were submitted for one of these.
        without: jobs that ask for something the caller lacks.
        tenants, not_tenants: whose jobs alone the caller may take (None: all), and whose it may not.
        needing: only jobs that need one of these, as the ledger writes it. None: those that need nothing.
    """
    columns = [jobs.c[name] for name in ("id", "kind", "carry", "timeout_s", "hard_limit_s", "place", "tenant_id")]
    plain = [IS_READY] if needing is None else [IS_MATCHED, jobs.c.parked == sa.false(), REQUIRED.in_(needing)]
    whose = [] if tenants is None else [jobs.c.tenant_id.in_(tenants)]
    whose += [jobs.c.tenant_id.not_in(not_tenants)] if not_tenants else []
    with ledger.read() as connection:
        at = ledger_now(connection)
        statement = (
            sa.select(*columns)
            .where(
                jobs.c.queue.in_(queues),
                *plain,
                *whose,
                jobs.c.kind.in_(kinds),
                jobs.c.id.not_in(but),
                jobs.c.backend.in_(backends),
                *other_than(without),
                is_due(at),
                not_expired(at),
            )
            .order_by(jobs.c.place, jobs.c.id)
            .limit(limit)
        )
        return [Due(*row) for row in connection.execute(statement)]


def in_turns(
    ledger: Ledger,
    shares: Shares,
    queues: Sequence[str],
    look: Callable[[Collection[str] | None], list[Due]],
    *,
    allowed: Collection[str] | None,
    room: int,
) -> list[Due]:
    """Choose at most ``room`` jobs in the order in which they go: tenants take turns over all these queues together.

    Args:
        look: lists at most ``room`` due jobs of these tenants (None: of all), best first.
        allowed: whose jobs alone may be chosen; None: everybody's.
    """
    best = look(allowed)
    if not best:
        return []
    waiting = dict.fromkeys(one.tenant_id for one in best)  # where turns are equal, whose job is the oldest goes
    with ledger.read_prepared() as driver:
        for queue in queues:
            waiting.update(dict.fromkeys(waiting_tenants(driver, queue)))
    if allowed is not None:
        waiting = {one: None for one in waiting if one in allowed}
    if len(waiting) == 1:
        shares.alone(_LINE, best[0].tenant_id)
        return best
    lines: dict[str, list[Due]] = {}
    for tenant_id in shares.in_turn(_LINE, waiting):
        # Who waits for a time of its own only has no line, and must not take another's turn.
        if line := look([tenant_id]):
            lines[tenant_id] = line
        if len(lines) == room:
            break
    oldest_first = sorted(lines, key=lambda one: (lines[one][0].place, lines[one][0].job_id))
    return shares.choose(_LINE, {one: lines[one] for one in oldest_first}, room)
