"""How fast jobs come and end in each queue, how long they wait and run.

Whoever leads counts what came and ended, some seconds late, into ``queue_minutes``; what is younger is read from the
jobs themselves, by their ids and by when they ended. So every process finds the same, and none reads the whole table.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.durations import Durations
from tasks.core.ids import first_id_at, made_at
from tasks.core.ledger.database import Ledger, insert_if_new, ledger_now
from tasks.core.ledger.rate_tables import queue_minutes
from tasks.core.ledger.schema import jobs, totals
from tasks.core.records import JobState

COUNTED_UNTIL = "queue_minutes_until_ms"
# A write that began earlier is done, or was given up, by then: nobody waits longer than 5 s for a lock.
_LATE = timedelta(seconds=10)
_KEPT = timedelta(hours=2)
_LONGEST_LOOK_BACK = timedelta(hours=1)
_SLICE = timedelta(minutes=10)
# Where nothing happens, nothing is written more often than this.
_IDLE = timedelta(minutes=1)
# Few enough that a step takes some tens of milliseconds, and holds no lock while it counts.
_MOST_AT_ONCE = 1_000
_ALL_TIME = 0


@dataclass(slots=True)
class Traffic:
    """What came and what ended. ``waited``: until the first start; ``ran``: the last attempt of each that had one."""

    arrived: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    waited: Durations = field(default_factory=Durations)
    ran: Durations = field(default_factory=Durations)

    @property
    def ended(self) -> int:
        """How many ended, however they did."""
        return self.succeeded + self.failed + self.cancelled

    def absorb(self, other: "Traffic") -> None:
        """Count all of the other's, too."""
        self.arrived += other.arrived
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.cancelled += other.cancelled
        self.waited.absorb(other.waited)
        self.ran.absorb(other.ran)


@dataclass(frozen=True, slots=True)
class Window:
    """The traffic of each queue in the last ``seconds``; a queue without any is left out."""

    seconds: float
    queues: Mapping[str, Traffic]

    def of(self, queue: str) -> Traffic:
        """Return the queue's traffic."""
        return self.queues.get(queue) or Traffic()


def since_the_beginning(ledger: Ledger) -> dict[str, Traffic]:
    """Return each queue's traffic since it was first counted, all but that of the last seconds: it only grows."""
    statement = queue_minutes.select().where(queue_minutes.c.minute == _ALL_TIME)
    with ledger.read() as connection:
        return {row.queue: _traffic_of(row) for row in connection.execute(statement)}


def windows(ledger: Ledger, *, at: datetime, lengths: Iterable[timedelta]) -> list[Window]:
    """Return the traffic up to now in windows of about these lengths, an hour at the most.

    A window begins with a whole minute, so it is up to a minute longer than asked for, and says how long. While nobody
    leads, so that nothing is counted, only the newest 1,000 jobs that came and 1,000 that ended are looked at.
    """
    starts = [_minute_of(at - min(length, _LONGEST_LOOK_BACK)) for length in lengths]
    first = datetime.fromtimestamp(min(starts) * 60, UTC)
    with ledger.read() as connection:
        rows = connection.execute(queue_minutes.select().where(queue_minutes.c.minute >= min(starts))).all()
        since = max(first, _counted_until(connection) or first)
        found = _count(_came(connection, since), _ended(connection, since))
    by_minute = [((row.queue, row.minute), _traffic_of(row)) for row in rows] + list(found.items())
    return [
        Window(at.timestamp() - start * 60, _summed((key[0], one) for key, one in by_minute if key[1] >= start))
        for start in starts
    ]


def count(ledger: Ledger, *, at: datetime | None = None, most_steps: int = 2) -> None:
    """Count what came and ended since it was last done, but for the last seconds; in at most so many steps.

    Args:
        at: the present; by the ledger's clock, which writes when a job ends, unless it is given.

    Raises:
        LedgerUnavailable: the rest is counted next time.
    """
    if at is None:
        with ledger.read() as connection:
            at = connection.execute(sa.select(ledger_now(connection))).scalar_one()
    for _ in range(most_steps):
        if not _count_further(ledger, at=at):
            return


def _count_further(ledger: Ledger, *, at: datetime) -> bool:
    """Take one step; tell whether there is more."""
    with ledger.read() as connection:
        counted_until = _counted_until(connection)
        # What ended before anybody counted is not read, but for the hour that can be asked for.
        since = counted_until or _whole_ms(at - _LONGEST_LOOK_BACK)
        last = min(_whole_ms(at - _LATE), since + _SLICE)
        if last <= since:
            return False
        until = _until(connection, since, last)
        found = _count(_came(connection, since, until), _ended(connection, since, until))
    if not found and until - since < _IDLE:
        return False
    with ledger.write() as connection:
        if not _move_on(connection, counted_until, until):
            return False  # another has counted this
        _keep(connection, found)
        oldest = _minute_of(at - _KEPT)
        connection.execute(queue_minutes.delete().where(queue_minutes.c.minute.between(_ALL_TIME + 1, oldest)))
    return until < _whole_ms(at - _LATE)


def _until(connection: Connection, since: datetime, last: datetime) -> datetime:
    statement = (
        sa.select(jobs.c.finished_at)
        .where(jobs.c.finished_at >= since, jobs.c.finished_at < last)
        .order_by(jobs.c.finished_at)
        .offset(_MOST_AT_ONCE)
        .limit(1)
    )
    too_many: datetime | None = connection.execute(statement).scalar_one_or_none()
    # Those that ended at the same time go together, however many they are.
    return last if too_many is None else min(last, _whole_ms(too_many) + timedelta(milliseconds=1))


def _came(connection: Connection, since: datetime, until: datetime | None = None) -> Iterator[Any]:
    statement = sa.select(jobs.c.id, jobs.c.queue).where(jobs.c.id >= first_id_at(since))
    if until is None:
        statement = statement.order_by(jobs.c.id.desc()).limit(_MOST_AT_ONCE)
    else:
        statement = statement.where(jobs.c.id < first_id_at(until))
    yield from connection.execute(statement)


def _ended(connection: Connection, since: datetime, until: datetime | None = None) -> Iterator[Any]:
    columns = (jobs.c.queue, jobs.c.state, jobs.c.created_at, jobs.c.not_before, jobs.c.started_at, jobs.c.claimed_at)
    statement = sa.select(*columns, jobs.c.finished_at).where(jobs.c.finished_at >= since)
    if until is None:
        statement = statement.order_by(jobs.c.finished_at.desc()).limit(_MOST_AT_ONCE)
    else:
        statement = statement.where(jobs.c.finished_at < until)
    yield from connection.execute(statement)


def _count(came: Iterable[Any], ended: Iterable[Any]) -> dict[tuple[str, int], Traffic]:
    """Sum up by queue and minute."""
    found: dict[tuple[str, int], Traffic] = {}
    for job_id, queue in came:
        found.setdefault((queue, _minute_of(made_at(job_id))), Traffic()).arrived += 1
    for queue, state, created_at, not_before, started_at, claimed_at, finished_at in ended:
        traffic = found.setdefault((queue, _minute_of(finished_at)), Traffic())
        traffic.succeeded += state == JobState.SUCCEEDED
        traffic.failed += state == JobState.FAILED
        traffic.cancelled += state == JobState.CANCELLED
        if started_at is not None:
            # A retry's own time comes after the first start: it says nothing of the first wait.
            was_put_off = not_before is not None and not_before <= started_at
            since = max(created_at, not_before) if was_put_off else created_at
            traffic.waited.add((started_at - since).total_seconds())
        if claimed_at is not None:
            traffic.ran.add((finished_at - claimed_at).total_seconds())
    return found


def _summed(found: Iterable[tuple[str, Traffic]]) -> dict[str, Traffic]:
    summed: dict[str, Traffic] = {}
    for queue, traffic in found:
        summed.setdefault(queue, Traffic()).absorb(traffic)
    return summed


def _keep(connection: Connection, found: Mapping[tuple[str, int], Traffic]) -> None:
    of_all_time = _summed((queue, traffic) for (queue, _), traffic in found.items())
    added = dict(found) | {(queue, _ALL_TIME): traffic for queue, traffic in of_all_time.items()}
    for (queue, minute), traffic in added.items():
        if insert_if_new(connection, queue_minutes, queue=queue, minute=minute, **_values(traffic)):
            continue
        mine = (queue_minutes.c.queue == queue) & (queue_minutes.c.minute == minute)
        traffic.absorb(_traffic_of(connection.execute(queue_minutes.select().where(mine)).one()))
        connection.execute(queue_minutes.update().where(mine).values(_values(traffic)))


def _traffic_of(row: Any) -> Traffic:
    waited, ran = Durations(list(row.waited), row.waited_s), Durations(list(row.ran), row.ran_s)
    return Traffic(row.arrived, row.succeeded, row.failed, row.cancelled, waited, ran)


def _values(traffic: Traffic) -> dict[str, Any]:
    return {
        "arrived": traffic.arrived,
        "succeeded": traffic.succeeded,
        "failed": traffic.failed,
        "cancelled": traffic.cancelled,
        "waited": traffic.waited.counts,
        "waited_s": traffic.waited.sum_s,
        "ran": traffic.ran.counts,
        "ran_s": traffic.ran.sum_s,
    }


def _counted_until(connection: Connection) -> datetime | None:
    statement = sa.select(totals.c.value).where(totals.c.name == COUNTED_UNTIL)
    ms = connection.execute(statement).scalar_one_or_none()
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def _move_on(connection: Connection, counted_until: datetime | None, until: datetime) -> bool:
    """Claim what lies between. Whoever else counted it meanwhile has moved the mark, and this is refused."""
    if counted_until is None:
        return insert_if_new(connection, totals, name=COUNTED_UNTIL, value=_ms(until))
    mine = (totals.c.name == COUNTED_UNTIL) & (totals.c.value == _ms(counted_until))
    return connection.execute(totals.update().where(mine).values(value=_ms(until))).rowcount == 1


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _whole_ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _minute_of(at: datetime) -> int:
    return int(at.timestamp()) // 60
