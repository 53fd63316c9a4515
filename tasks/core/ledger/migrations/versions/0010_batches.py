"""Batches, limits and what they keep back, unique keys, and the place in line."""

import sqlalchemy as sa
from alembic import op

from tasks.core.ledger.schema import UTCDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_QUEUED = sa.text("state = 'queued'")
_PARKED = sa.text("parked AND state = 'queued'")
_PARKED_IN_SQLITE = sa.text("parked = 1 AND state = 'queued'")
_LIMITED = sa.text("limited AND finished_at IS NULL")
_LIMITED_IN_SQLITE = sa.text("limited = 1 AND finished_at IS NULL")
_UNIQUE = sa.text("unique_key IS NOT NULL AND finished_at IS NULL")
# As ``records.place_in_line`` reckons it, for the jobs that are there.
_PLACES = {
    "sqlite": "CAST(ROUND((julianday(created_at) - 2440587.5) * 86400000.0) AS INTEGER) - priority * 600000",
    "postgresql": "CAST(EXTRACT(EPOCH FROM created_at) * 1000 AS BIGINT) - priority * 600000",
}
_BATCHED = sa.text("batch_id IS NOT NULL")
_KEYED = sa.text("concurrency_key IS NOT NULL AND finished_at IS NULL")
_OPEN = sa.text("finished_at IS NULL")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "job_batches",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("parallel_limit", sa.Integer(), nullable=True),
        sa.Column("fail_fast", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("stopped_at", UTCDateTime(), nullable=True),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.Column("told", sa.JSON(), nullable=True),
        sa.Column("told_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_job_batches_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_batches")),
    )
    op.create_index("ix_job_batches_finished_at", "job_batches", ["finished_at"])
    op.create_index("ix_job_batches_open", "job_batches", ["id"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.add_column("jobs", sa.Column("batch_id", sa.String(length=36), nullable=True))
    op.add_column("jobs", sa.Column("concurrency_key", sa.String(length=200), nullable=True))
    op.add_column("jobs", sa.Column("parked", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("limited", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("unique_key", sa.String(length=200), nullable=True))
    op.add_column("jobs", sa.Column("place", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(f"UPDATE jobs SET place = {_PLACES[op.get_bind().dialect.name]}")  # noqa: S608  # one of two constants of this module
    parked_by = ["batch_id", "tenant_id", "concurrency_key", "kind", "place"]
    op.create_index("ix_jobs_parked", "jobs", parked_by, sqlite_where=_PARKED_IN_SQLITE, postgresql_where=_PARKED)
    for name, columns, where in (
        ("ix_jobs_of_batch", ["batch_id", "state", "parked"], _BATCHED),
        ("ix_jobs_of_key", ["tenant_id", "concurrency_key", "parked"], _KEYED),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)
    op.create_index(
        "ix_jobs_limited",
        "jobs",
        ["tenant_id", "kind", "parked"],
        sqlite_where=_LIMITED_IN_SQLITE,
        postgresql_where=_LIMITED,
    )
    key = ["tenant_id", "unique_key"]
    op.create_index("uq_jobs_unique_key", "jobs", key, unique=True, sqlite_where=_UNIQUE, postgresql_where=_UNIQUE)
    op.drop_index("ix_jobs_queued", "jobs")
    order = ["queue", "parked", "published_at", "tenant_id", "place", "id"]
    op.create_index("ix_jobs_queued", "jobs", order, sqlite_where=_QUEUED, postgresql_where=_QUEUED)
    _create_limits()


def _create_limits() -> None:
    op.create_table(
        "limits",
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("most_at_once", sa.Integer(), nullable=True),
        sa.Column("rate_per_s", sa.Float(), nullable=True),
        sa.Column("burst", sa.Integer(), nullable=True),
        sa.Column("tokens", sa.Float(), nullable=True),
        sa.Column("refilled_at", UTCDateTime(), nullable=True),
        sa.Column("weight", sa.Integer(), nullable=True),
        sa.Column("most_queued", sa.Integer(), nullable=True),
        sa.Column("most_running", sa.Integer(), nullable=True),
        sa.Column("most_a_day", sa.Integer(), nullable=True),
        sa.Column("most_artifact_bytes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "kind", name=op.f("pk_limits")),
    )


def downgrade() -> None:
    """Undo. What a limit kept back goes on without it."""
    for name in ("queued", "parked", "of_batch", "of_key", "limited"):
        op.drop_index(f"ix_jobs_{name}", "jobs")
    op.drop_index("uq_jobs_unique_key", "jobs")
    for name in ("place", "unique_key", "limited", "parked", "concurrency_key", "batch_id"):
        op.drop_column("jobs", name)
    order: list[str | sa.TextClause] = ["queue", "published_at", sa.text("priority DESC"), "id"]
    op.create_index("ix_jobs_queued", "jobs", order, sqlite_where=_QUEUED, postgresql_where=_QUEUED)
    op.drop_table("limits")
    op.drop_table("job_batches")
