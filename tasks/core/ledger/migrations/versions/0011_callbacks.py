"""Callbacks: who is told of what, what was sent, and which transitions are still to be told."""

import sqlalchemy as sa
from alembic import op

from tasks.core.ledger.schema import UTCDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("state_events", sa.Column("calls_back", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_state_events_calling_back",
        "state_events",
        ["at"],
        sqlite_where=sa.text("calls_back = 1"),
        postgresql_where=sa.text("calls_back"),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("off_reason", sa.String(length=20), nullable=True),
        sa.Column("off_at", UTCDateTime(), nullable=True),
        sa.Column("failing_since", UTCDateTime(), nullable=True),
        sa.Column("after_seq", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_webhooks_tenant_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_webhooks_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    of_job, of_tenant = sa.text("job_id IS NOT NULL"), sa.text("job_id IS NULL")
    op.create_index("ix_webhooks_of_job", "webhooks", ["job_id"], sqlite_where=of_job, postgresql_where=of_job)
    op.create_index(
        "ix_webhooks_of_tenant", "webhooks", ["tenant_id"], sqlite_where=of_tenant, postgresql_where=of_tenant
    )
    op.create_table(
        "callback_deliveries",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("webhook_id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("event", sa.String(length=80), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("lane", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", UTCDateTime(), nullable=True),
        sa.Column("give_up_at", UTCDateTime(), nullable=False),
        sa.Column("attempts", sa.JSON(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_callback_deliveries_tenant_id")),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_callback_deliveries_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callback_deliveries")),
        sa.UniqueConstraint("webhook_id", "event", name=op.f("uq_callback_deliveries_webhook_id_event")),
    )
    op.create_index(op.f("ix_callback_deliveries_job_id"), "callback_deliveries", ["job_id"])
    op.create_index(op.f("ix_callback_deliveries_created_at"), "callback_deliveries", ["created_at"])
    op.create_index("ix_callback_deliveries_of_tenant", "callback_deliveries", ["tenant_id", "id"])
    pending = sa.text("state = 'pending'")
    op.create_index(
        "ix_callback_deliveries_due",
        "callback_deliveries",
        ["lane", "next_try_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("callback_deliveries")
    op.drop_table("webhooks")
    op.drop_index("ix_state_events_calling_back", "state_events")
    op.drop_column("state_events", "calls_back")
