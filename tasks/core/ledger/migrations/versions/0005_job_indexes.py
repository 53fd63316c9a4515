"""Indexes that hold only the jobs in question: those that wait, run or have ended."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_QUEUED = sa.text("state = 'queued'")
_RUNNING = sa.text("state = 'running'")
_ENDED = sa.text("finished_at IS NOT NULL")


def upgrade() -> None:
    """Apply."""
    order: list[str | sa.TextClause] = ["queue", "published_at", sa.text("priority DESC"), "id"]
    op.create_index("ix_jobs_queued", "jobs", order, sqlite_where=_QUEUED, postgresql_where=_QUEUED)
    op.create_index("ix_jobs_held", "jobs", ["worker"], sqlite_where=_RUNNING, postgresql_where=_RUNNING)
    op.create_index("ix_jobs_ended", "jobs", ["finished_at"], sqlite_where=_ENDED, postgresql_where=_ENDED)
    for name in ("ix_jobs_order", "ix_jobs_running", "ix_jobs_finished"):
        op.drop_index(name, "jobs")


def downgrade() -> None:
    """Undo."""
    op.create_index("ix_jobs_order", "jobs", ["queue", "state", "published_at", "priority", "id"])
    op.create_index("ix_jobs_running", "jobs", ["state", "worker"])
    op.create_index("ix_jobs_finished", "jobs", ["finished_at"])
    for name in ("ix_jobs_queued", "ix_jobs_held", "ix_jobs_ended"):
        op.drop_index(name, "jobs")
