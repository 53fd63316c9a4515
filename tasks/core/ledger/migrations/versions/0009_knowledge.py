"""What is known: sites, their pages, the chunks of those, and vectors by model."""

import sqlalchemy as sa
from alembic import op

from tasks.core.ledger.schema import UTCDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "knowledge_sites",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("site", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.Column("crawl_job_id", sa.String(length=36), nullable=True),
        sa.Column("crawled_at", UTCDateTime(), nullable=True),
        sa.Column("crawl_is_flagged", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_knowledge_sites_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knowledge_sites")),
        sa.UniqueConstraint("tenant_id", "site", name=op.f("uq_knowledge_sites_tenant_id_site")),
    )
    op.create_table(
        "knowledge_pages",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("site_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=2048), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=True),
        sa.Column("title", sa.String(length=500), nullable=False),
        sa.Column("language", sa.String(length=12), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.Integer(), nullable=False),
        sa.Column("seen_by", sa.String(length=36), nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("missed_by", sa.String(length=36), nullable=True),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.Column("gone_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["site_id"], ["knowledge_sites.id"], name=op.f("fk_knowledge_pages_site_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knowledge_pages")),
        sa.UniqueConstraint("site_id", "key_hash", name=op.f("uq_knowledge_pages_site_id_key_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_knowledge_pages_gone_at", "knowledge_pages", ["gone_at"])
    op.create_table(
        "knowledge_chunks",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("site_id", sa.String(length=36), nullable=False),
        sa.Column("page_id", _NUMBER, nullable=False),
        sa.Column("begin", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("heading", sa.String(length=300), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["knowledge_sites.id"], name=op.f("fk_knowledge_chunks_site_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["page_id"], ["knowledge_pages.id"], name=op.f("fk_knowledge_chunks_page_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knowledge_chunks")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_knowledge_chunks_of_site", "knowledge_chunks", ["site_id", "id"])
    op.create_index("ix_knowledge_chunks_of_page", "knowledge_chunks", ["page_id"])
    op.create_table(
        "knowledge_embeddings",
        sa.Column("chunk_id", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chunk_id"], ["knowledge_chunks.id"], name=op.f("fk_knowledge_embeddings_chunk_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("chunk_id", "model", name=op.f("pk_knowledge_embeddings")),
    )


def downgrade() -> None:
    """Undo."""
    for table in ("embeddings", "chunks", "pages", "sites"):
        op.drop_table(f"knowledge_{table}")
