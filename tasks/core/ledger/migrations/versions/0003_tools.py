"""The registry of tools that discovery finds: versions, words, runs, notes, recordings, sign-in states."""

import sqlalchemy as sa
from alembic import op

from tasks.core.ledger.schema import UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "discovery_tools",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("site", sa.String(length=300), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("effect", sa.String(length=10), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("tool", sa.JSON(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.Column("used_at", UTCDateTime(), nullable=True),
        sa.Column("runs_ok", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("runs_failed", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("failures_in_row", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("terms", sa.Float(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_discovery_tools_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discovery_tools")),
        sa.UniqueConstraint("tenant_id", "site", "name", name=op.f("uq_discovery_tools_tenant_id_site_name")),
    )
    op.create_index("ix_discovery_tools_listing", "discovery_tools", ["tenant_id", "id"])
    op.create_table(
        "discovery_tool_versions",
        sa.Column("tool_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tool", sa.JSON(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tool_id"], ["discovery_tools.id"], name=op.f("fk_discovery_tool_versions_tool_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tool_id", "version", name=op.f("pk_discovery_tool_versions")),
    )
    op.create_table(
        "discovery_tool_terms",
        sa.Column("tool_id", sa.String(length=36), nullable=False),
        sa.Column("term", sa.String(length=60), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tool_id"], ["discovery_tools.id"], name=op.f("fk_discovery_tool_terms_tool_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tool_id", "term", name=op.f("pk_discovery_tool_terms")),
    )
    op.create_index("ix_discovery_tool_terms_term", "discovery_tool_terms", ["term", "tool_id"])
    op.create_table(
        "discovery_runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tool_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.Column("took_ms", sa.Float(), nullable=False),
        sa.Column("backend", sa.String(length=20), nullable=False),
        sa.Column("cost_usd", sa.Float(), nullable=True),
        sa.Column("error_code", sa.String(length=60), nullable=True),
        sa.ForeignKeyConstraint(
            ["tool_id"], ["discovery_tools.id"], name=op.f("fk_discovery_runs_tool_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discovery_runs")),
        sa.UniqueConstraint("job_id", "fence", name=op.f("uq_discovery_runs_job_id_fence")),
    )
    op.create_index("ix_discovery_runs_at", "discovery_runs", ["at"])
    op.create_index("ix_discovery_runs_of_tool", "discovery_runs", ["tool_id", "id"])
    op.create_table(
        "discovery_tool_notes",
        sa.Column("tool_id", sa.String(length=36), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("worked", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tool_id"], ["discovery_tools.id"], name=op.f("fk_discovery_tool_notes_tool_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tool_id", "subject", name=op.f("pk_discovery_tool_notes")),
    )
    op.create_table(
        "discovery_recordings",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("site", sa.String(length=300), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("diff", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_discovery_recordings_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "site", name=op.f("pk_discovery_recordings")),
    )
    op.create_table(
        "discovery_sessions",
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("site", sa.String(length=300), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_discovery_sessions_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "site", name=op.f("pk_discovery_sessions")),
    )


def downgrade() -> None:
    """Undo."""
    for table in ("sessions", "recordings", "tool_notes", "runs", "tool_terms", "tool_versions", "tools"):
        op.drop_table(f"discovery_{table}")
