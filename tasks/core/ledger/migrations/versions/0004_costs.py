"""What jobs cost and which budgets were told of; earlier answers that end, and make room."""

import sqlalchemy as sa
from alembic import op

from tasks.core.ledger.schema import UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("cached_results", sa.Column("expires_at", UTCDateTime(), nullable=True))
    op.add_column("cached_results", sa.Column("used_at", UTCDateTime(), nullable=True))
    op.add_column("cache_lookups", sa.Column("evictions", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "job_costs",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("method", sa.String(length=50), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("amount", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_job_costs_tenant_id")),
        sa.PrimaryKeyConstraint("job_id", "fence", name=op.f("pk_job_costs")),
    )
    op.create_index("ix_job_costs_of_tenant", "job_costs", ["tenant_id", "at"])
    op.create_index("ix_job_costs_at", "job_costs", ["at"])
    op.create_table(
        "budget_alerts",
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_budget_alerts_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "month", "percent", name=op.f("pk_budget_alerts")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("budget_alerts")
    op.drop_table("job_costs")
    op.drop_column("cache_lookups", "evictions")
    op.drop_column("cached_results", "used_at")
    op.drop_column("cached_results", "expires_at")
