"""Who may run a job: Celery's workers, a local runner, or whoever is live."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("jobs", sa.Column("backend", sa.String(length=8), nullable=False, server_default="auto"))


def downgrade() -> None:
    """Undo."""
    op.drop_column("jobs", "backend")
