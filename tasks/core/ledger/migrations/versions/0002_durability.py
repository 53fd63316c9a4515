"""Leases, domain events, signs of life, expiry, streams for a profile without Redis, and uploads."""

import sqlalchemy as sa
from alembic import op

from tasks.core.ledger.schema import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_EXPIRING = sa.text("expires_at IS NOT NULL AND state = 'queued'")


def upgrade() -> None:
    """Apply."""
    op.add_column("jobs", sa.Column("silence_s", sa.Float(), nullable=True))
    op.add_column("jobs", sa.Column("expires_at", UTCDateTime(), nullable=True))
    op.add_column("jobs", sa.Column("signs", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_jobs_expiring", "jobs", ["expires_at"], sqlite_where=_EXPIRING, postgresql_where=_EXPIRING)
    op.create_index(op.f("ix_idempotency_keys_job_id"), "idempotency_keys", ["job_id"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("beat_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("next_try_at", UTCDateTime(), nullable=True),
        sa.Column("relayed_at", UTCDateTime(), nullable=True),
        sa.Column("dead", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_outbox_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("seq", name=op.f("uq_outbox_seq")),
    )
    op.create_index("ix_outbox_of_tenant", "outbox", ["tenant_id", "seq"])
    op.create_index("ix_outbox_at", "outbox", ["at"])
    op.create_index(
        "ix_outbox_unrelayed",
        "outbox",
        ["id"],
        sqlite_where=sa.text("relayed_at IS NULL AND dead = 0"),
        postgresql_where=sa.text("relayed_at IS NULL AND NOT dead"),
    )
    op.create_table(
        "stream_heads",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("progress", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("progress_fence", sa.Integer(), nullable=True),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_stream_heads")),
    )
    op.create_index(op.f("ix_stream_heads_expires_at"), "stream_heads", ["expires_at"])
    op.create_table(
        "stream_entries",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(length=40), nullable=False),
        sa.Column("type", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["stream_heads.job_id"], name=op.f("fk_stream_entries_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "seq", name=op.f("pk_stream_entries")),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("used_at", UTCDateTime(), nullable=False),
        sa.Column("completed_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_uploads_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_of_tenant", "uploads", ["tenant_id", "sha256"])
    op.create_index(op.f("ix_uploads_used_at"), "uploads", ["used_at"])
    op.create_table(
        "job_uploads",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("upload_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_uploads_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], name=op.f("fk_job_uploads_upload_id")),
        sa.PrimaryKeyConstraint("job_id", "upload_id", name=op.f("pk_job_uploads")),
    )
    op.create_index(op.f("ix_job_uploads_upload_id"), "job_uploads", ["upload_id"])
    _create_cache()
    _create_matrices()


def _create_matrices() -> None:
    op.create_table(
        "calibration_matrix_sets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("imported_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_calibration_matrix_sets_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calibration_matrix_sets")),
        sa.UniqueConstraint(
            "tenant_id", "name", "version", name=op.f("uq_calibration_matrix_sets_tenant_id_name_version")
        ),
        sa.UniqueConstraint("tenant_id", "sha256", name=op.f("uq_calibration_matrix_sets_tenant_id_sha256")),
    )
    op.create_table(
        "calibration_matrices",
        sa.Column("set_id", sa.String(length=36), nullable=False),
        sa.Column("age_group", sa.String(length=20), nullable=False),
        sa.Column("algorithm", sa.String(length=50), nullable=False),
        sa.Column("country", sa.String(length=100), nullable=False),
        sa.Column("causes", sa.JSON(), nullable=False),
        sa.Column("fixed", sa.JSON(), nullable=False),
        sa.Column("prior", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("samples", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["set_id"],
            ["calibration_matrix_sets.id"],
            name=op.f("fk_calibration_matrices_set_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(*("set_id", "age_group", "algorithm", "country"), name=op.f("pk_calibration_matrices")),
    )


def _create_cache() -> None:
    op.create_table(
        "cached_results",
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_cached_results_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "key", name=op.f("pk_cached_results")),
    )
    op.create_index(op.f("ix_cached_results_job_id"), "cached_results", ["job_id"])
    op.create_index(op.f("ix_cached_results_created_at"), "cached_results", ["created_at"])
    op.create_table(
        "cache_lookups",
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("misses", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_cache_lookups_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "kind", name=op.f("pk_cache_lookups")),
    )
    op.create_table(
        "totals",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_totals")),
    )


def downgrade() -> None:
    """Undo."""
    for table in ("calibration_matrices", "calibration_matrix_sets", "totals", "cache_lookups", "cached_results"):
        op.drop_table(table)
    for table in ("job_uploads", "uploads", "stream_entries", "stream_heads", "outbox", "leases"):
        op.drop_table(table)
    op.drop_index(op.f("ix_idempotency_keys_job_id"), "idempotency_keys")
    op.drop_index("ix_jobs_expiring", "jobs")
    for column in ("signs", "expires_at", "silence_s"):
        op.drop_column("jobs", column)
