"""Batches, and jobs that a limit keeps back."""

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
    parked_by = ["batch_id", "tenant_id", "concurrency_key", "priority"]
    op.create_index("ix_jobs_parked", "jobs", parked_by, sqlite_where=_PARKED_IN_SQLITE, postgresql_where=_PARKED)
    for name, columns, where in (
        ("ix_jobs_of_batch", ["batch_id", "state", "parked"], _BATCHED),
        ("ix_jobs_of_key", ["tenant_id", "concurrency_key", "parked"], _KEYED),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)
    op.drop_index("ix_jobs_queued", "jobs")
    order: list[str | sa.TextClause] = ["queue", "parked", "published_at", sa.text("priority DESC"), "id"]
    op.create_index("ix_jobs_queued", "jobs", order, sqlite_where=_QUEUED, postgresql_where=_QUEUED)


def downgrade() -> None:
    """Undo. What a limit kept back goes on without it."""
    for name in ("ix_jobs_queued", "ix_jobs_parked", "ix_jobs_of_batch", "ix_jobs_of_key"):
        op.drop_index(name, "jobs")
    for name in ("parked", "concurrency_key", "batch_id"):
        op.drop_column("jobs", name)
    order: list[str | sa.TextClause] = ["queue", "published_at", sa.text("priority DESC"), "id"]
    op.create_index("ix_jobs_queued", "jobs", order, sqlite_where=_QUEUED, postgresql_where=_QUEUED)
    op.drop_table("job_batches")
