"""Which finished job answers a request that is sent again, and how often one did."""

import sqlalchemy as sa
from alembic import op

from tasks.core.ledger.schema import UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "cached_results",
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_cached_results_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "key", name=op.f("pk_cached_results")),
    )
    op.create_index(op.f("ix_cached_results_job_id"), "cached_results", ["job_id"])
    op.create_index(op.f("ix_cached_results_created_at"), "cached_results", ["created_at"])
    op.create_table(
        "cache_lookups",
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("misses", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_cache_lookups_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "kind", name=op.f("pk_cache_lookups")),
    )


def downgrade() -> None:
    """Undo."""
    for table in ("cache_lookups", "cached_results"):
        op.drop_table(table)
