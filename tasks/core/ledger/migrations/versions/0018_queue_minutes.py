"""What came and what ended in each queue, by the minute."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "queue_minutes",
        sa.Column("queue", sa.String(length=20), nullable=False),
        sa.Column("minute", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("arrived", sa.BigInteger(), nullable=False),
        sa.Column("succeeded", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("cancelled", sa.BigInteger(), nullable=False),
        sa.Column("waited", sa.JSON(), nullable=False),
        sa.Column("waited_s", sa.Float(), nullable=False),
        sa.Column("ran", sa.JSON(), nullable=False),
        sa.Column("ran_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("queue", "minute", name=op.f("pk_queue_minutes")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("queue_minutes")
