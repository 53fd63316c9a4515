"""The rows of uploads: who may keep how much, what is there already, which job needs which, and what nobody uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from tasks.core.clock import now
from tasks.core.errors import Conflict, InputRejected, NotFound, QuotaExceeded
from tasks.core.ledger import totals
from tasks.core.ledger.database import Ledger
from tasks.core.ledger.rows import values_of
from tasks.core.ledger.schema import job_uploads, tenants, uploads
from tasks.core.records import Upload

# Telling at every look that an upload is used would cost a commit each; a minute is exact enough for ages of a day.
_USED_STEP = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Unused:
    """Uploads that no job needs and nobody has touched since ``before``, of one tenant or of all."""

    before: datetime
    tenant_id: str | None = None

    def condition(self) -> sa.ColumnElement[bool]:
        """Match their rows in ``uploads``."""
        unused = (uploads.c.used_at < self.before) & ~_is_needed()
        return unused if self.tenant_id is None else unused & (uploads.c.tenant_id == self.tenant_id)


def create(ledger: Ledger, upload: Upload, *, quota_bytes: int) -> None:
    """Write the row of an upload that begins; its whole size counts from now on.

    Raises:
        QuotaExceeded: the tenant's uploads would have more than ``quota_bytes`` together.
    """
    with ledger.write() as connection:
        # Two that come at once must not both find room. A job's row may be written meanwhile.
        mine = sa.select(tenants.c.id).where(tenants.c.id == upload.tenant_id).with_for_update(key_share=True)
        connection.execute(mine)
        kept = _kept_bytes(connection, upload.tenant_id)
        if kept + upload.size_bytes > quota_bytes:
            raise QuotaExceeded(
                f"{upload.size_bytes} bytes more would be over the {quota_bytes} that your uploads may have together; "
                f"they have {kept}. Delete some, or erase jobs that need them."
            )
        connection.execute(uploads.insert().values(values_of(upload)))


def kept_bytes(ledger: Ledger, tenant_id: str) -> int:
    """Return how much the tenant's uploads have together, as announced."""
    with ledger.read() as connection:
        return _kept_bytes(connection, tenant_id)


def _kept_bytes(connection: Connection, tenant_id: str) -> int:
    statement = sa.select(sa.func.coalesce(sa.func.sum(uploads.c.size_bytes), 0))
    return int(connection.execute(statement.where(uploads.c.tenant_id == tenant_id)).scalar_one())


def find(ledger: Ledger, upload_id: str, *, tenant_id: str) -> Upload:
    """Return the tenant's upload.

    Raises:
        NotFound: this tenant has no such upload.
    """
    found = find_all(ledger, [upload_id], tenant_id=tenant_id)
    if not found:
        raise _missing(upload_id)
    return found[upload_id]


def find_all(ledger: Ledger, upload_ids: Sequence[str], *, tenant_id: str) -> dict[str, Upload]:
    """Return those of these uploads that the tenant has, by id."""
    mine = uploads.c.id.in_(upload_ids) & (uploads.c.tenant_id == tenant_id)
    with ledger.read() as connection:
        return {row.id: _upload(row) for row in connection.execute(uploads.select().where(mine))}


def listing(
    ledger: Ledger,
    *,
    tenant_id: str,
    sha256: str | None = None,
    complete: bool | None = None,
    before: str | None = None,
    limit: int,
) -> list[Upload]:
    """List the tenant's uploads, newest first; ``before`` is the id after which to go on."""
    statement = uploads.select().where(uploads.c.tenant_id == tenant_id)
    if sha256 is not None:
        statement = statement.where(uploads.c.sha256 == sha256)
    if complete is not None:
        done = uploads.c.completed_at
        statement = statement.where(done.is_not(None) if complete else done.is_(None))
    if before is not None:
        statement = statement.where(uploads.c.id < before)
    with ledger.read() as connection:
        return [_upload(row) for row in connection.execute(statement.order_by(uploads.c.id.desc()).limit(limit))]


def touch(ledger: Ledger, upload: Upload) -> Upload:
    """Note that somebody uses the upload; written once a minute at most."""
    at = now()
    if at - upload.used_at < _USED_STEP:
        return upload
    with ledger.write() as connection:
        statement = uploads.update().where(uploads.c.id == upload.id).values(used_at=at).returning(*uploads.c)
        row = connection.execute(statement).one_or_none()
    return upload if row is None else _upload(row)


def complete(ledger: Ledger, upload_id: str, *, sha256: str) -> Upload:
    """Note that all of it is there.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    at = now()
    changes = {"sha256": sha256, "completed_at": sa.func.coalesce(uploads.c.completed_at, at), "used_at": at}
    with ledger.write() as connection:
        statement = uploads.update().where(uploads.c.id == upload_id).values(changes).returning(*uploads.c)
        row = connection.execute(statement).one_or_none()
    if row is None:
        raise _missing(upload_id)
    return _upload(row)


def delete(ledger: Ledger, upload_id: str, *, tenant_id: str) -> None:
    """Delete the row of an upload that no job needs.

    Raises:
        NotFound: this tenant has no such upload.
        Conflict: a job needs it.
    """
    mine = (uploads.c.id == upload_id) & (uploads.c.tenant_id == tenant_id)
    with ledger.write() as connection:
        if connection.execute(sa.select(uploads.c.id).where(mine).with_for_update()).one_or_none() is None:
            raise _missing(upload_id)
        user = sa.select(job_uploads.c.job_id).where(job_uploads.c.upload_id == upload_id).limit(1)
        job_id = connection.execute(user).scalar_one_or_none()
        if job_id is not None:
            raise Conflict(f"Upload {upload_id} is needed by job {job_id}: erase the job first.")
        connection.execute(uploads.delete().where(mine))


def keep_for(connection: Connection, job_id: str, *, tenant_id: str, upload_ids: Sequence[str]) -> None:
    """Tie uploads to a job, within the transaction that writes the job.

    Raises:
        InputRejected: one of them was removed since the request was checked.
    """
    if not upload_ids:
        return
    wanted = sorted(set(upload_ids))
    mine = uploads.c.id.in_(wanted) & (uploads.c.tenant_id == tenant_id) & uploads.c.completed_at.is_not(None)
    # Locked in one order, so that two jobs with the same uploads never wait for each other.
    found = connection.execute(sa.select(uploads.c.id).where(mine).order_by(uploads.c.id).with_for_update())
    missing = sorted(set(wanted) - set(found.scalars()))
    if missing:
        raise InputRejected(f"Upload {missing[0]} was just removed: send the file again.", field="upload")
    connection.execute(uploads.update().where(mine).values(used_at=now()))
    connection.execute(job_uploads.insert(), [{"job_id": job_id, "upload_id": one} for one in wanted])


def count_unused(ledger: Ledger, unused: Unused) -> tuple[int, int]:
    """Return how many uploads are unused, and their bytes together, as announced."""
    statement = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(uploads.c.size_bytes), 0))
    with ledger.read() as connection:
        count, size = connection.execute(statement.where(unused.condition())).one()
    return int(count), int(size)


def forget_unused(ledger: Ledger, unused: Unused, *, limit: int) -> list[str]:
    """Delete the rows of unused uploads; return whose, so that their files can go."""
    with ledger.write() as connection:
        oldest = sa.select(uploads.c.id).where(unused.condition()).order_by(uploads.c.used_at).limit(limit)
        ids = connection.execute(oldest.with_for_update(skip_locked=True)).scalars().all()
        # A job that was accepted just before the lock was got is seen by this second statement only.
        gone = uploads.delete().where(uploads.c.id.in_(ids), unused.condition()).returning(uploads.c.id)
        forgotten = list(connection.execute(gone).scalars()) if ids else []
        totals.add(connection, totals.UPLOADS_EXPIRED, len(forgotten))
        return forgotten


def known_among(ledger: Ledger, upload_ids: Sequence[str]) -> set[str]:
    """Return those of these ids that are uploads."""
    with ledger.read() as connection:
        return set(connection.execute(sa.select(uploads.c.id).where(uploads.c.id.in_(upload_ids))).scalars())


def _is_needed() -> sa.ColumnElement[bool]:
    return sa.exists().where(job_uploads.c.upload_id == uploads.c.id)


def _upload(row: Row[Any]) -> Upload:
    return Upload(**row._mapping)


def _missing(upload_id: str) -> NotFound:
    return NotFound(f"No upload {upload_id}.")
