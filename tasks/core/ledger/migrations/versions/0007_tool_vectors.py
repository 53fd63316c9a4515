"""Tools have a vector, for the search by meaning."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("discovery_tools", sa.Column("vector", sa.LargeBinary(), nullable=True))
    op.add_column("discovery_tools", sa.Column("vector_maker", sa.String(length=100), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("discovery_tools", "vector_maker")
    op.drop_column("discovery_tools", "vector")
