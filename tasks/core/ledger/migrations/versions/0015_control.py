"""Pauses, what they hold, and the book of changes."""

import sqlalchemy as sa
from alembic import op

from tasks.core.ledger.schema import UTCDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_PARKED = sa.text("parked AND state = 'queued'")
_PARKED_IN_SQLITE = sa.text("parked = 1 AND state = 'queued'")
_OF_LIMITS = sa.text("parked AND state = 'queued' AND paused_by IS NULL")
_OF_LIMITS_IN_SQLITE = sa.text("parked = 1 AND state = 'queued' AND paused_by IS NULL")
_PARKED_BY = ["batch_id", "tenant_id", "concurrency_key", "kind", "place"]
_HELD = sa.text("paused_by IS NOT NULL AND state = 'queued'")
_IN_EFFECT = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "pauses",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("queue", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.Column("until", UTCDateTime(), nullable=True),
        sa.Column("made_by", sa.String(length=100), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("swept_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
    )
    scope = ["queue", "kind", "tenant_id"]
    op.create_index(
        "uq_pauses_in_effect", "pauses", scope, unique=True, sqlite_where=_IN_EFFECT, postgresql_where=_IN_EFFECT
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=True),
        sa.Column("who", sa.String(length=100), nullable=False),
        sa.Column("what", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_what", "audit", ["what", "id"])
    op.add_column("jobs", sa.Column("paused_by", sa.String(length=36), nullable=True))
    op.create_index("ix_jobs_paused", "jobs", ["paused_by", "place"], sqlite_where=_HELD, postgresql_where=_HELD)
    op.drop_index("ix_jobs_parked", "jobs")
    op.create_index(
        "ix_jobs_parked", "jobs", _PARKED_BY, sqlite_where=_OF_LIMITS_IN_SQLITE, postgresql_where=_OF_LIMITS
    )


def downgrade() -> None:
    """Undo. What a pause held goes on; what a limit concerns is released by that."""
    op.drop_index("ix_jobs_parked", "jobs")
    op.drop_index("ix_jobs_paused", "jobs")
    op.drop_column("jobs", "paused_by")
    op.create_index("ix_jobs_parked", "jobs", _PARKED_BY, sqlite_where=_PARKED_IN_SQLITE, postgresql_where=_PARKED)
    op.drop_table("audit")
    op.drop_table("pauses")
