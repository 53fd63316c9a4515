"""The table of configurations. Changing it means a migration: see CONTRIBUTING.md."""

import sqlalchemy as sa

from tasks.core.ledger.schema import UTCDateTime, metadata

connectors = sa.Table(
    "connectors",
    metadata,
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("service", sa.JSON, nullable=False),
    # The names of the secrets, which may be shown, and the sealed secrets, which may not.
    sa.Column("secret_names", sa.JSON, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
)
