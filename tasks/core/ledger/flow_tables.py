"""The ledger's tables of batches and limits."""

import sqlalchemy as sa

from tasks.core.ledger.schema import UTCDateTime, metadata

# Jobs that were accepted together. How they stand is counted, never kept; ``told`` is what was last told of it.
job_batches = sa.Table(
    "job_batches",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("name", sa.String(200)),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("parallel_limit", sa.Integer),
    sa.Column("fail_fast", sa.Boolean, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    # No further job of it begins: somebody cancelled it, or ``fail_fast`` did.
    sa.Column("stopped_at", UTCDateTime),
    sa.Column("finished_at", UTCDateTime, index=True),
    sa.Column("told", sa.JSON(none_as_null=True)),
    sa.Column("told_at", UTCDateTime),
    sa.Index(
        "ix_job_batches_open",
        "id",
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    ),
)

# What a tenant, a kind, or a tenant's jobs of a kind may use. ``*``: all of them together.
limits = sa.Table(
    "limits",
    metadata,
    sa.Column("tenant_id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(100), primary_key=True),
    # Jobs that were released and have not ended, at the most.
    sa.Column("most_at_once", sa.Integer),
    # A bucket of ``burst`` tokens: one is spent on each release, and it fills at this rate.
    sa.Column("rate_per_s", sa.Float),
    sa.Column("burst", sa.Integer),
    sa.Column("tokens", sa.Float),
    sa.Column("refilled_at", UTCDateTime),
    # A tenant's share of a queue, against the others' that wait there.
    sa.Column("weight", sa.Integer),
    # A tenant's quotas, decided at accept.
    sa.Column("most_queued", sa.Integer),
    sa.Column("most_running", sa.Integer),
    sa.Column("most_a_day", sa.Integer),
    sa.Column("most_artifact_bytes", sa.BigInteger),
)
