"""Follow-ups: what a job starts when it has ended."""

import sqlalchemy as sa
from alembic import op

from tasks.core.ledger.schema import UTCDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "follow_ups",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("chain_id", sa.String(length=36), nullable=False),
        sa.Column("parent_id", sa.String(length=36), nullable=True),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("on_success", sa.JSON(), nullable=True),
        sa.Column("on_failure", sa.JSON(), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=True),
        sa.Column("branch", sa.String(length=12), nullable=True),
        sa.Column("child_id", sa.String(length=36), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("settled_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_follow_ups_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_follow_ups")),
    )
    op.create_index(op.f("ix_follow_ups_chain_id"), "follow_ups", ["chain_id"])
    for name, column, where in (
        ("ix_follow_ups_parent_id", "parent_id", "parent_id IS NOT NULL"),
        ("ix_follow_ups_waiting", "job_id", "state = 'waiting'"),
    ):
        op.create_index(name, "follow_ups", [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def downgrade() -> None:
    """Undo."""
    op.drop_table("follow_ups")
