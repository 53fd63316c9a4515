"""How often a known site's pages are asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("knowledge_sites", sa.Column("revisit", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("knowledge_sites", "revisit")
