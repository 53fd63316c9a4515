"""Pauses: jobs of a queue, a kind or a tenant (or of what all that is given has in common) that do not begin.

Every claim looks at the pauses, so none gets past one: that is all the safety there is, and all that is needed. The
rest spares the broker and the workers what they could not run: jobs that wait are ``held`` (parked, with the id of the
pause, and under a new carry, which makes what the broker still has of them void) when the pause begins, jobs that come
later as they come, and one that was overlooked when its claim is refused. Held jobs are let go when the pause has
ended. What runs, runs on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now
from tasks.core.errors import NotFound
from tasks.core.ids import new_id
from tasks.core.ledger import control_tables
from tasks.core.ledger.audit import Actor
from tasks.core.ledger.control_tables import in_effect, is_paused, pause_of, pauses
from tasks.core.ledger.database import Ledger, LedgerNow, insert_if_new
from tasks.core.ledger.parking import has_limit
from tasks.core.ledger.prepared import Prepared
from tasks.core.ledger.schema import IS_QUEUED, IS_READY, jobs
from tasks.core.records import JobState
from tasks.core.spec import Queue

ALL = control_tables.ALL
"""In place of a queue, a kind or a tenant: any."""

# Jobs per transaction.
_CHUNK = 500
# How many of these the caller of ``pause`` and ``resume`` waits for; whoever leads goes on with the others.
_AT_ONCE = 10
# For so long after a pause began, a process may accept jobs that does not know of it.
_LATECOMERS_S = 5.0
# How old what a process knows of the pauses may be.
_FRESH_S = 1.0
# Who it was that ended a pause whose time was over.
_TIME = Actor("until")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which jobs: ``ALL`` in place of a queue, a kind or a tenant stands for any."""

    queue: str = ALL
    kind: str = ALL
    tenant_id: str = ALL

    def concerns(self, *, queue: str, kind: str, tenant_id: str) -> bool:
        """Tell whether such a job is among them."""
        return self.queue in {ALL, queue} and self.kind in {ALL, kind} and self.tenant_id in {ALL, tenant_id}

    def __str__(self) -> str:
        """Name what was given."""
        given = {"queue": self.queue, "kind": self.kind, "tenant": self.tenant_id}
        return ", ".join(f"{name} {value}" for name, value in given.items() if value != ALL) or "everything"


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that holds, until somebody resumes or ``until`` has come. ``made_by``: as the book of changes has it."""

    id: str
    queue: str
    kind: str
    tenant_id: str
    reason: str | None
    until: datetime | None
    made_by: str
    created_at: datetime

    @property
    def scope(self) -> Scope:
        """Which jobs it holds."""
        return Scope(self.queue, self.kind, self.tenant_id)


_COLUMNS = [pauses.c[field.name] for field in fields(Pause)]
_IN_EFFECT = Prepared(sa.select(*_COLUMNS).where(in_effect()).order_by(pauses.c.id))
_STANDING = Prepared(
    sa.select(
        pauses.c.id,
        pauses.c.ended_at.is_not(None),
        sa.func.coalesce(pauses.c.until <= LedgerNow(), sa.false()),
        pauses.c.swept_at.is_not(None),
    )
)
_HELD_BY_ENDED = Prepared(
    sa.select(sa.literal(1)).where(
        sa.exists().where(IS_QUEUED, jobs.c.paused_by.in_(sa.select(pauses.c.id).where(pauses.c.ended_at.is_not(None))))
    )
)


def in_effect_now(ledger: Ledger) -> list[Pause]:
    """List the pauses that hold, oldest first."""
    with ledger.read_prepared() as driver:
        return [Pause(*row) for row in _IN_EFFECT.all(driver, {})]


def held_counts(ledger: Ledger) -> dict[str, dict[str, int]]:
    """Count the held jobs, by pause and queue."""
    statement = sa.select(jobs.c.paused_by, jobs.c.queue, sa.func.count()).where(
        IS_QUEUED, jobs.c.paused_by.is_not(None)
    )
    found: dict[str, dict[str, int]] = {}
    with ledger.read() as connection:
        for pause_id, queue, count in connection.execute(statement.group_by(jobs.c.paused_by, jobs.c.queue)):
            found.setdefault(pause_id, {})[queue] = count
    return found


def pause(
    ledger: Ledger, scope: Scope, *, by: Actor, reason: str | None = None, until: datetime | None = None
) -> tuple[Pause, bool]:
    """Let no job of ``scope`` begin from now on; return the pause, and whether it is new.

    Where there is one for the same jobs, its reason and its time become these. When this returns, no job of them is
    between the broker and its claim.
    """
    with ledger.write() as connection:
        _end_expired(connection)
        row = {
            "id": new_id(),
            **asdict(scope),
            "reason": reason,
            "until": until,
            "made_by": by.who,
            "created_at": now(),
        }
        made = insert_if_new(connection, pauses, **row)
        same = pauses.c.ended_at.is_(None)
        for name, value in asdict(scope).items():
            same &= pauses.c[name] == value
        found = Pause(*connection.execute(sa.select(*_COLUMNS).where(same).with_for_update()).one())
        after = {"reason": reason, "until": _written(until)}
        tenant_id = None if scope.tenant_id == ALL else scope.tenant_id
        if made:
            by.did(connection, "pause.made", str(scope), tenant_id=tenant_id, pause_id=found.id, after=after)
        else:
            before = {"reason": found.reason, "until": _written(found.until)}
            changed = pauses.update().where(pauses.c.id == found.id).values(reason=reason, until=until)
            found = Pause(*connection.execute(changed.returning(*_COLUMNS)).one())
            facts = {"pause_id": found.id, "before": before, "after": after}
            by.did(connection, "pause.changed", str(scope), tenant_id=tenant_id, **facts)
    _hold_published(ledger)
    _repeat(hold, ledger)
    return found, made


def resume(ledger: Ledger, pause_id: str, *, by: Actor) -> Pause:
    """End a pause; what it held goes on in its order. Return what it was.

    Raises:
        NotFound: none that holds has this id.
    """
    with ledger.write() as connection:
        ended = _end(connection, (pauses.c.id == pause_id) & in_effect(), by=by)
    if not ended:
        raise NotFound(f"No pause {pause_id} holds anything.")
    _repeat(let_go, ledger)
    return ended[0]


def _repeat(step: Callable[[Ledger], int], ledger: Ledger) -> None:
    for _ in range(_AT_ONCE):
        if step(ledger) < _CHUNK:
            return


def tend(ledger: Ledger) -> bool:
    """Hold, and let go, what is due, in bounded steps; tell whether there was, or may be, anything to be done."""
    with ledger.read_prepared() as driver:
        rows = _STANDING.all(driver, {})
        if not rows:
            return False
        holds_for_nothing = any(row[1] for row in rows) and _HELD_BY_ENDED.first(driver, {}) is not None
    if any(not has_ended and is_over for _, has_ended, is_over, _ in rows):
        with ledger.write() as connection:
            _end_expired(connection)
        holds_for_nothing = True
    if holds_for_nothing:
        let_go(ledger)
    unswept = [row[0] for row in rows if not row[1] and not row[2] and not row[3]]
    if unswept:
        _hold_published(ledger)
        if hold(ledger) == 0:
            _note_swept(ledger, unswept)
    return holds_for_nothing or bool(unswept)


def _note_swept(ledger: Ledger, pause_ids: Sequence[str]) -> None:
    before = now() - timedelta(seconds=_LATECOMERS_S)
    settled = pauses.c.id.in_(pause_ids) & (pauses.c.created_at < before)
    with ledger.read() as connection:
        if connection.execute(sa.select(pauses.c.id).where(settled).limit(1)).first() is None:
            return
    with ledger.write() as connection:
        connection.execute(pauses.update().where(settled).values(swept_at=now()))


def hold(ledger: Ledger) -> int:
    """Hold jobs that wait and may not begin, a bounded number of them; return how many."""
    waiting = IS_QUEUED & jobs.c.paused_by.is_(None) & is_paused()
    with ledger.write() as connection:
        best = sa.select(jobs.c.id).where(waiting).limit(_CHUNK).with_for_update(skip_locked=True)
        return _hold(connection, list(connection.execute(best).scalars()))


def hold_job(ledger: Ledger, job_id: str) -> bool:
    """Hold a job whose claim was refused, if that was because of a pause; tell whether it was."""
    with ledger.read_prepared() as driver:
        if not _IN_EFFECT.all(driver, {}):
            return False
    with ledger.write() as connection:
        return _hold(connection, [job_id]) == 1


def _hold_published(ledger: Ledger) -> None:
    """Hold what is in the broker: at most its windows. Waits for claims that began before the pause did."""
    in_broker = jobs.c.queue.in_(list(Queue)) & IS_READY & jobs.c.published_at.is_not(None) & is_paused()
    with ledger.write() as connection:
        published = sa.select(jobs.c.id).where(in_broker).order_by(jobs.c.id).with_for_update()
        _hold(connection, list(connection.execute(published).scalars()))


def _hold(connection: Connection, job_ids: Sequence[str]) -> int:
    if not job_ids:
        return 0
    still = jobs.c.id.in_(job_ids) & (jobs.c.state == JobState.QUEUED) & jobs.c.paused_by.is_(None) & is_paused()
    held = {"parked": True, "paused_by": pause_of(), "carry": jobs.c.carry + 1, "published_at": None}
    return connection.execute(jobs.update().where(still).values(held)).rowcount


def let_go(ledger: Ledger) -> int:
    """Let go what pauses held that have ended, a bounded number, in its order; return how many.

    What another pause holds as well stays; what a limit concerns waits for that.
    """
    gone = 0
    with ledger.write() as connection:
        for pause_id in (
            connection.execute(sa.select(pauses.c.id).where(pauses.c.ended_at.is_not(None))).scalars().all()
        ):
            held = IS_QUEUED & (jobs.c.paused_by == pause_id)
            first = sa.select(jobs.c.id).where(held).order_by(jobs.c.place).limit(_CHUNK - gone)
            job_ids = list(connection.execute(first.with_for_update(skip_locked=True)).scalars())
            if job_ids:
                goes = jobs.update().where(jobs.c.id.in_(job_ids)).values(held_values(has_limit()))
                gone += connection.execute(goes).rowcount
            if gone >= _CHUNK:
                break
    return gone


def held_values(otherwise: sa.ColumnElement[bool]) -> dict[str, Any]:
    """Return what ``parked`` and ``paused_by`` are to be of a job that is queued now.

    Args:
        otherwise: whether it is parked if no pause holds it.
    """
    return {"paused_by": pause_of(), "parked": sa.or_(is_paused(), otherwise)}


def _end_expired(connection: Connection) -> None:
    _end(connection, pauses.c.ended_at.is_(None) & (pauses.c.until <= LedgerNow()), by=_TIME)


def _end(connection: Connection, which: sa.ColumnElement[bool], *, by: Actor) -> list[Pause]:
    statement = pauses.update().where(which).values(ended_at=now()).returning(*_COLUMNS)
    ended = [Pause(*row) for row in connection.execute(statement)]
    for one in ended:
        before = {"reason": one.reason, "until": _written(one.until)}
        tenant_id = None if one.tenant_id == ALL else one.tenant_id
        by.did(connection, "pause.ended", str(one.scope), tenant_id=tenant_id, pause_id=one.id, before=before)
    return ended


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


class KnownPauses:
    """The pauses as a process knows them: read again once a second, so that no job has to ask for them."""

    def __init__(self, ledger: Ledger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._read_at: float | None = None
        self._found: list[Pause] = []

    def holding(self, *, queue: str, kind: str, tenant_id: str) -> Pause | None:
        """Return a pause that such a job is held by, if there is one.

        Raises:
            LedgerUnavailable: they could not be read.
        """
        return next(
            (one for one in self.all() if one.scope.concerns(queue=queue, kind=kind, tenant_id=tenant_id)), None
        )

    def all(self) -> list[Pause]:
        """List those that hold.

        Raises:
            LedgerUnavailable: they could not be read.
        """
        at = self._clock()
        if self._read_at is None or at - self._read_at >= _FRESH_S:
            self._found = in_effect_now(self._ledger)
            self._read_at = at
        return self._found

    def look_again(self) -> None:
        """Read them again when they are next asked for: this process has changed one."""
        self._read_at = None
