"""What jobs need of a worker, and what workers offer."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_COLUMNS = ["queue", "parked", "published_at", "tenant_id", "place", "id"]
_QUEUED = "state = 'queued'"


def upgrade() -> None:
    """Apply."""
    op.add_column("jobs", sa.Column("requires", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("routed_to", sa.String(length=200), nullable=True))
    op.add_column("workers", sa.Column("offers", sa.JSON(), nullable=True))
    op.drop_index("ix_jobs_queued", table_name="jobs")
    _index("ix_jobs_queued", f"{_QUEUED} AND requires IS NULL")
    _index("ix_jobs_matched", f"{_QUEUED} AND requires IS NOT NULL")


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_jobs_matched", table_name="jobs")
    op.drop_index("ix_jobs_queued", table_name="jobs")
    _index("ix_jobs_queued", _QUEUED)
    op.drop_column("workers", "offers")
    op.drop_column("jobs", "routed_to")
    op.drop_column("jobs", "requires")


def _index(name: str, rows: str) -> None:
    op.create_index(name, "jobs", _COLUMNS, sqlite_where=sa.text(rows), postgresql_where=sa.text(rows))
