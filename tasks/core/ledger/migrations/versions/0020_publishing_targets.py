"""In which target published sites and their releases lie."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_TABLES = ("publishing_sites", "publishing_releases")


def upgrade() -> None:
    """Apply. All that is there lies in the target of the settings themselves."""
    for table in _TABLES:
        op.add_column(table, sa.Column("target", sa.String(length=63), nullable=False, server_default="default"))


def downgrade() -> None:
    """Undo."""
    for table in _TABLES:
        op.drop_column(table, "target")
