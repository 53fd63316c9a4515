"""The ledger's tables of what operators do: pauses, and the book of changes."""

import sqlalchemy as sa

from tasks.core.ledger.database import LedgerNow
from tasks.core.ledger.schema import UTCDateTime, jobs, metadata

ALL = "*"
"""In place of a queue, a kind or a tenant: whichever."""

# Which jobs do not begin. All that is given must hold of a job.
pauses = sa.Table(
    "pauses",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("queue", sa.String(20), nullable=False),
    sa.Column("kind", sa.String(100), nullable=False),
    sa.Column("tenant_id", sa.String(36), nullable=False),
    sa.Column("reason", sa.String(500)),
    sa.Column("until", UTCDateTime),
    sa.Column("made_by", sa.String(100), nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    # Since when it holds no more; the row stays for as long as a job may still refer to it.
    sa.Column("ended_at", UTCDateTime),
    # Since when no job is left that waited when it began and is not yet held.
    sa.Column("swept_at", UTCDateTime),
    # Of pauses that hold, there is one for the same jobs.
    sa.Index(
        "uq_pauses_in_effect",
        "queue",
        "kind",
        "tenant_id",
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
)

# The jobs that a pause holds. Here, because it is of concern to nobody else.
sa.Index(
    "ix_jobs_paused",
    jobs.c.paused_by,
    jobs.c.place,
    sqlite_where=sa.text("paused_by IS NOT NULL AND state = 'queued'"),
    postgresql_where=sa.text("paused_by IS NOT NULL AND state = 'queued'"),
)

# What operators, and tenants beyond their single jobs, have changed. Written once, never changed but for its counts.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("at", UTCDateTime, nullable=False, index=True),
    # Whom it concerned; none where it was everybody. No foreign key: what was done outlives who it was done to.
    sa.Column("tenant_id", sa.String(36)),
    sa.Column("who", sa.String(100), nullable=False),
    sa.Column("what", sa.String(60), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Index("ix_audit_what", "what", "id"),
)


def in_effect() -> sa.ColumnElement[bool]:
    """Match pauses that hold now."""
    return pauses.c.ended_at.is_(None) & sa.or_(pauses.c.until.is_(None), pauses.c.until > LedgerNow())


def concerns() -> sa.ColumnElement[bool]:
    """Match a pause with a row of ``jobs``."""
    anything: sa.ColumnElement[str] = sa.literal_column(f"'{ALL}'")
    return sa.and_(
        sa.or_(pauses.c.queue == anything, pauses.c.queue == jobs.c.queue),
        sa.or_(pauses.c.kind == anything, pauses.c.kind == jobs.c.kind),
        sa.or_(pauses.c.tenant_id == anything, pauses.c.tenant_id == jobs.c.tenant_id),
    )


def is_paused() -> sa.ColumnElement[bool]:
    """Match jobs that may not begin now."""
    return sa.exists().where(in_effect(), concerns()).correlate(jobs)


def pause_of() -> sa.ColumnElement[str]:
    """Return the id of the pause that holds a job; null where none does."""
    return sa.select(sa.func.min(pauses.c.id)).where(in_effect(), concerns()).correlate(jobs).scalar_subquery()
