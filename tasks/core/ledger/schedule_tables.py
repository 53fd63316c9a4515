"""The ledger's table of schedules."""

import sqlalchemy as sa

from tasks.core.ledger.schema import UTCDateTime, metadata

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("name", sa.String(200)),
    # One of the two.
    sa.Column("cron", sa.String(100)),
    sa.Column("every_s", sa.Integer),
    sa.Column("time_zone", sa.String(64), nullable=False),
    # Where ``every_s`` counts from.
    sa.Column("anchor", UTCDateTime, nullable=False),
    sa.Column("catch_up", sa.String(8), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    # As it was sent, and what a tick submits: ``tasks.scheduling`` reads and writes the latter.
    sa.Column("job", sa.JSON, nullable=False),
    sa.Column("submission", sa.JSON, nullable=False),
    # Who changes it, a tick as well, does so only to the version that it has seen.
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("next_at", UTCDateTime),
    sa.Column("last_at", UTCDateTime),
    sa.Column("last_outcome", sa.String(12)),
    # No foreign key: the job may be erased.
    sa.Column("last_job_id", sa.String(36)),
    sa.Column("last_error", sa.JSON(none_as_null=True)),
    sa.Column("skipped_from", UTCDateTime),
    sa.Column("skipped_until", UTCDateTime),
    sa.Column("jobs_made", sa.BigInteger, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
    sa.Index("ix_schedules_of_tenant", "tenant_id", "id"),
    sa.Index(
        "ix_schedules_due",
        "next_at",
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    ),
)
