"""The registry's tables. Changing one means a migration: see CONTRIBUTING.md."""

import sqlalchemy as sa

from tasks.core.ledger.schema import UTCDateTime, metadata

tools = sa.Table(
    "discovery_tools",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("site", sa.String(300), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("source", sa.String(20), nullable=False),
    sa.Column("effect", sa.String(10), nullable=False),
    sa.Column("confidence", sa.Float),
    sa.Column("tool", sa.JSON, nullable=False),
    sa.Column("job_id", sa.String(36)),  # that found it last; it may be gone
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),  # when its newest version was made
    sa.Column("seen_at", UTCDateTime, nullable=False),
    sa.Column("used_at", UTCDateTime),
    # Counted for ever; the run log is kept for a while only.
    sa.Column("runs_ok", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("runs_failed", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failures_in_row", sa.Integer, nullable=False, server_default="0"),
    # How many terms the search knows of it, weights counted.
    sa.Column("terms", sa.Float, nullable=False, server_default="0"),
    # Where it points for a search by meaning, and what made that: only vectors of one maker are compared.
    sa.Column("vector", sa.LargeBinary),
    sa.Column("vector_maker", sa.String(100)),
    sa.UniqueConstraint("tenant_id", "site", "name"),
    sa.Index("ix_discovery_tools_listing", "tenant_id", "id"),
)

versions = sa.Table(
    "discovery_tool_versions",
    metadata,
    sa.Column("tool_id", sa.String(36), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("tool", sa.JSON, nullable=False),
    sa.Column("job_id", sa.String(36)),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.ForeignKeyConstraint(["tool_id"], ["discovery_tools.id"], ondelete="CASCADE"),
)

# Which tools have a word, and how much it says of them: see ``search``.
terms = sa.Table(
    "discovery_tool_terms",
    metadata,
    sa.Column("tool_id", sa.String(36), primary_key=True),
    sa.Column("term", sa.String(60), primary_key=True),
    sa.Column("weight", sa.Float, nullable=False),
    sa.ForeignKeyConstraint(["tool_id"], ["discovery_tools.id"], ondelete="CASCADE"),
    sa.Index("ix_discovery_tool_terms_term", "term", "tool_id"),
)

runs = sa.Table(
    "discovery_runs",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("tool_id", sa.String(36), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("job_id", sa.String(36), nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("at", UTCDateTime, nullable=False),
    sa.Column("ok", sa.Boolean, nullable=False),
    sa.Column("took_ms", sa.Float, nullable=False),
    sa.Column("backend", sa.String(20), nullable=False),
    sa.Column("cost_usd", sa.Float),  # empty: unknown
    sa.Column("error_code", sa.String(60)),
    sa.ForeignKeyConstraint(["tool_id"], ["discovery_tools.id"], ondelete="CASCADE"),
    sa.UniqueConstraint("job_id", "fence"),
    sa.Index("ix_discovery_runs_of_tool", "tool_id", "id"),
    sa.Index("ix_discovery_runs_at", "at"),
)

notes = sa.Table(
    "discovery_tool_notes",
    metadata,
    sa.Column("tool_id", sa.String(36), primary_key=True),
    sa.Column("subject", sa.String(200), primary_key=True),
    sa.Column("worked", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
    sa.ForeignKeyConstraint(["tool_id"], ["discovery_tools.id"], ondelete="CASCADE"),
)

# What each discovery of a site changed, so that a job that records the same again gets the same answer.
recordings = sa.Table(
    "discovery_recordings",
    metadata,
    sa.Column("job_id", sa.String(36), primary_key=True),
    sa.Column("site", sa.String(300), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("diff", sa.JSON, nullable=False),
    sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
)

sessions = sa.Table(
    "discovery_sessions",
    metadata,
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), primary_key=True),
    sa.Column("site", sa.String(300), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
)
