"""The live streams of a profile without Redis: the same rules as the script in ``redis_events``, as transactions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tasks.core.clock import now, rfc3339
from tasks.core.events import UNENDED_TTL_S, Event
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.schema import stream_entries, stream_heads
from tasks.core.records import TERMINAL

# Far below what one statement may name on either database.
_MOST_JOBS = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be appended; ``n`` is a ``state`` event's version, else 0."""

    type: str
    at: datetime
    attempt: int
    fence: int
    data: dict[str, Any]
    data_json: str
    n: int = 0

    @property
    def is_end(self) -> bool:
        """Whether this is a job's last ``state`` event."""
        return self.n > 0 and self.data["state"] in TERMINAL


@dataclass(slots=True)
class Head:
    """Where a stream stands."""

    job_id: str
    epoch: int
    seq: int = 0
    fence: int = 0
    n: int = 0
    progress: dict[str, Any] | None = None
    progress_fence: int | None = None
    expires_at: datetime | None = None

    def id_of(self, seq: int) -> str:
        """Return the id of the entry with this number."""
        return f"{self.epoch}-{seq}"

    def take(self, entry: Entry, *, ttl_s: int) -> bool:
        """Make room for the entry; False when it is stale, a repeat, or an earlier state event is missing."""
        if entry.n != self.n + 1 if entry.n else entry.fence < self.fence:
            return False
        self.seq += 1
        self.fence = max(self.fence, entry.fence)
        self.n = entry.n or self.n
        if entry.type == "progress":
            self.progress, self.progress_fence = entry.data, entry.fence
        if entry.n or self.seq == 1:
            self.expires_at = _expiry(ttl_s if entry.is_end else UNENDED_TTL_S)
        return True

    def first_after(self, cursor: str) -> int | None:
        """Return the number after which a reader at ``cursor`` (``<epoch>-<seq>``) goes on; None: nothing is newer."""
        epoch, _, seq = cursor.partition("-")
        if int(epoch) != self.epoch:
            return 0 if int(epoch) < self.epoch else None
        return int(seq) if int(seq) < self.seq else None


def _expiry(ttl_s: int) -> datetime:
    return now() + timedelta(seconds=ttl_s)


def append(
    ledger: Ledger, job_id: str, entries: Sequence[Entry], *, maxlen: int, ttl_s: int
) -> tuple[list[str | None], int]:
    """Append in one transaction; return each entry's id, None for a refused one, and the newest ``n`` then."""
    with ledger.write() as connection:
        head, is_new = _locked(connection, job_id)
        ids: list[str | None] = []
        rows = []
        for entry in entries:
            taken = head.take(entry, ttl_s=ttl_s)
            ids.append(head.id_of(head.seq) if taken else None)
            if taken:
                rows.append(_row(job_id, head.seq, entry))
        if rows:
            _save(connection, head, is_new=is_new)
            connection.execute(stream_entries.insert(), rows)
            if head.seq > maxlen:
                old = (stream_entries.c.job_id == job_id) & (stream_entries.c.seq <= head.seq - maxlen)
                connection.execute(stream_entries.delete().where(old))
        return ids, head.n


def _locked(connection: Connection, job_id: str) -> tuple[Head, bool]:
    if connection.dialect.name == "postgresql":
        # A stream that is not born yet has no row to lock.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"stream:{job_id}", 0))))
    at = now()
    row = connection.execute(stream_heads.select().where(stream_heads.c.job_id == job_id)).one_or_none()
    if row is not None and row.expires_at > at:
        return Head(**row._mapping), False
    if row is not None:
        _delete(connection, job_id)
    return Head(job_id, int(at.timestamp() * 1000)), True


def _row(job_id: str, seq: int, entry: Entry) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "seq": seq,
        "at": rfc3339(entry.at),
        "type": entry.type,
        "attempt": entry.attempt,
        "n": entry.n,
        "data": entry.data_json,
    }


def _save(connection: Connection, head: Head, *, is_new: bool) -> None:
    values = {
        "seq": head.seq,
        "fence": head.fence,
        "n": head.n,
        "progress": head.progress,
        "progress_fence": head.progress_fence,
        "expires_at": head.expires_at,
    }
    if is_new:
        connection.execute(stream_heads.insert().values(job_id=head.job_id, epoch=head.epoch, **values))
    else:
        connection.execute(stream_heads.update().where(stream_heads.c.job_id == head.job_id).values(**values))


def heads(connection: Connection, job_ids: Sequence[str]) -> dict[str, Head]:
    """Return where each of these jobs' streams stands, if it has one."""
    at = now()
    found: dict[str, Head] = {}
    for start in range(0, len(job_ids), _MOST_JOBS):
        mine = stream_heads.c.job_id.in_(job_ids[start : start + _MOST_JOBS]) & (stream_heads.c.expires_at > at)
        for row in connection.execute(stream_heads.select().where(mine)):
            found[row.job_id] = Head(**row._mapping)
    return found


def entries_after(connection: Connection, head: Head, after: int, *, limit: int | None = None) -> list[Event]:
    """List the stream's kept entries with numbers above ``after``, oldest first."""
    mine = (stream_entries.c.job_id == head.job_id) & (stream_entries.c.seq > after)
    statement = stream_entries.select().where(mine).order_by(stream_entries.c.seq)
    if limit is not None:
        statement = statement.limit(limit)
    return [_event(head, row._mapping) for row in connection.execute(statement)]


def ends(connection: Connection, head: Head) -> tuple[str, Event]:
    """Return the id of the oldest kept entry, and the newest entry."""
    mine = stream_entries.c.job_id == head.job_id
    oldest = connection.execute(sa.select(sa.func.min(stream_entries.c.seq)).where(mine)).scalar_one()
    (newest,) = entries_after(connection, head, head.seq - 1, limit=1)
    return head.id_of(oldest), newest


def _event(head: Head, row: Mapping[Any, Any]) -> Event:
    return Event(head.id_of(row["seq"]), head.job_id, row["type"], row["at"], row["attempt"], row["data"], n=row["n"])


def erase(ledger: Ledger, job_id: str) -> None:
    """Delete the job's stream."""
    with ledger.write() as connection:
        _delete(connection, job_id)


def _delete(connection: Connection, job_id: str) -> None:
    connection.execute(stream_heads.delete().where(stream_heads.c.job_id == job_id))
