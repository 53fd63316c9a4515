"""In which order updates of a site began, and which of them had each page last."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_TABLES = ("knowledge_sites", "knowledge_pages")


def upgrade() -> None:
    """Apply."""
    for table in _TABLES:
        op.add_column(table, sa.Column("turn", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Undo."""
    for table in _TABLES:
        op.drop_column(table, "turn")
