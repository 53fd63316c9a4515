"""A batch's own callback."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_OF_BATCH = sa.text("batch_id IS NOT NULL")
_OF_JOBS_OR_TENANT = sa.text("job_id IS NULL")
_OF_TENANT = sa.text("job_id IS NULL AND batch_id IS NULL")


def upgrade() -> None:
    """Apply."""
    op.add_column("webhooks", sa.Column("batch_id", sa.String(length=36), nullable=True))
    op.create_index(
        "ix_webhooks_of_batch", "webhooks", ["batch_id"], sqlite_where=_OF_BATCH, postgresql_where=_OF_BATCH
    )
    _index_tenants(_OF_TENANT)


def downgrade() -> None:
    """Undo; callbacks of batches are gone."""
    op.execute("DELETE FROM webhooks WHERE batch_id IS NOT NULL")
    op.drop_index("ix_webhooks_of_batch", "webhooks")
    _index_tenants(_OF_JOBS_OR_TENANT)
    op.drop_column("webhooks", "batch_id")


def _index_tenants(where: sa.TextClause) -> None:
    op.drop_index("ix_webhooks_of_tenant", "webhooks")
    op.create_index("ix_webhooks_of_tenant", "webhooks", ["tenant_id"], sqlite_where=where, postgresql_where=where)
