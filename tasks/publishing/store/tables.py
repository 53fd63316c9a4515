"""The tables of sites and releases. Changing one means a migration: see CONTRIBUTING.md."""

import sqlalchemy as sa

from tasks.core.ledger.schema import UTCDateTime, metadata
from tasks.core.publishing_file import DEFAULT_TARGET

sites = sa.Table(
    "publishing_sites",
    metadata,
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("url", sa.String(2048)),
    sa.Column("live", sa.String(64)),
    sa.Column("previous", sa.String(64)),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
    sa.Column("target", sa.String(63), nullable=False, server_default=DEFAULT_TARGET),  # where it is live
)

releases = sa.Table(
    "publishing_releases",
    metadata,
    sa.Column("tenant_id", sa.String(36), primary_key=True),
    sa.Column("site", sa.String(63), primary_key=True),
    sa.Column("release", sa.String(64), primary_key=True),
    sa.Column("job_id", sa.String(36), nullable=False),  # that made it last; it may be gone
    sa.Column("is_preview", sa.Boolean, nullable=False),
    sa.Column("published_by", sa.String(200), nullable=False),
    sa.Column("note", sa.String(500), nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("activated_at", UTCDateTime),
    sa.Column("used_at", UTCDateTime, nullable=False),  # made or made live last
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("added", sa.Integer, nullable=False),
    sa.Column("changed", sa.Integer, nullable=False),
    sa.Column("removed", sa.Integer, nullable=False),
    sa.Column("changed_bytes", sa.BigInteger, nullable=False),
    sa.Column("stages", sa.JSON, nullable=False),
    sa.Column("manifest", sa.LargeBinary, nullable=False),  # its canonical form, zlib
    sa.Column("target", sa.String(63), nullable=False, server_default=DEFAULT_TARGET),  # where it lies
    sa.ForeignKeyConstraint(
        ["tenant_id", "site"], ["publishing_sites.tenant_id", "publishing_sites.name"], ondelete="CASCADE"
    ),
    sa.Index("ix_publishing_releases_used_at", "tenant_id", "site", "used_at"),
)

# Who works on a site, and who waits for it. A row counts only while its job runs under its fence.
turns = sa.Table(
    "publishing_turns",
    metadata,
    sa.Column("tenant_id", sa.String(36), primary_key=True),
    sa.Column("site", sa.String(63), primary_key=True),
    sa.Column("job_id", sa.String(36), primary_key=True),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("is_holding", sa.Boolean, nullable=False),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
)
