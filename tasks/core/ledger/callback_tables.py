"""The tables of callbacks: who is to be told of what, and what was sent to them."""

from typing import Any

import sqlalchemy as sa

from tasks.core.ledger.schema import UTCDateTime, metadata

# Where a tenant wants to be told of events, or, with ``job_id`` or ``batch_id``, where the end of that is told.
webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    # Goes with its job.
    sa.Column("job_id", sa.String(36)),
    # Swept once its batch is forgotten: SQLite would rebuild the table for a foreign key.
    sa.Column("batch_id", sa.String(36)),
    sa.Column("url", sa.String(2000), nullable=False),
    sa.Column("events", sa.JSON, nullable=False),
    sa.Column("description", sa.String(200), nullable=False),
    # Secrets that sign, sealed; None: the tenant's own.
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("off_reason", sa.String(20)),
    sa.Column("off_at", UTCDateTime),
    # Since when no delivery has succeeded; None: the last one did.
    sa.Column("failing_since", UTCDateTime),
    # The number of the newest domain event that was looked at for it.
    sa.Column("after_seq", sa.BigInteger, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
    # Each transition of each job looks into these two.
    sa.Index(
        "ix_webhooks_of_job",
        "job_id",
        sqlite_where=sa.text("job_id IS NOT NULL"),
        postgresql_where=sa.text("job_id IS NOT NULL"),
    ),
    sa.Index(
        "ix_webhooks_of_tenant",
        "tenant_id",
        sqlite_where=sa.text("job_id IS NULL AND batch_id IS NULL"),
        postgresql_where=sa.text("job_id IS NULL AND batch_id IS NULL"),
    ),
    sa.Index(
        "ix_webhooks_of_batch",
        "batch_id",
        sqlite_where=sa.text("batch_id IS NOT NULL"),
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    ),
)

IS_ENDPOINT = webhooks.c.job_id.is_(None) & webhooks.c.batch_id.is_(None)
"""A tenant's own, neither a job's nor a batch's."""

# One row for each event and receiver. Its id is what receivers tell deliveries apart by.
callback_deliveries = sa.Table(
    "callback_deliveries",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("webhook_id", sa.String(36), nullable=False),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("job_id", sa.String(36), index=True),
    # What it tells of: the same event is never told twice to one receiver.
    sa.Column("event", sa.String(80), nullable=False),
    sa.Column("type", sa.String(100), nullable=False),
    # As it is signed and sent, to the byte.
    sa.Column("body", sa.Text, nullable=False),
    # Deliveries to one server take turns: see ``tasks.core.callbacks.turns``.
    sa.Column("lane", sa.String(300), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_try_at", UTCDateTime),
    sa.Column("give_up_at", UTCDateTime, nullable=False),
    sa.Column("attempts", sa.JSON, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False, index=True),
    sa.Column("ended_at", UTCDateTime),
    sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], ondelete="CASCADE"),
    sa.UniqueConstraint("webhook_id", "event"),
    sa.Index("ix_callback_deliveries_of_tenant", "tenant_id", "id"),
    sa.Index(
        "ix_callback_deliveries_due",
        "lane",
        "next_try_at",
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    ),
)


def is_awaited(tenant_id: sa.ColumnElement[Any], job_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Tell whether anybody may want to be told what becomes of a job: two looks into indexes, mostly empty ones."""
    of_tenant = (webhooks.c.tenant_id == tenant_id) & IS_ENDPOINT
    return sa.or_(sa.exists().where(of_tenant), sa.exists().where(webhooks.c.job_id == job_id))
