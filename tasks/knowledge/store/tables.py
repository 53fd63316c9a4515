"""The tables of what is known. Changing one means a migration: see CONTRIBUTING.md."""

import sqlalchemy as sa

from tasks.core.ledger.schema import UTCDateTime, metadata
from tasks.knowledge.records import Model

# SQLite counts only in a column of this very type.
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

sites = sa.Table(
    "knowledge_sites",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("tenant_id", sa.ForeignKey("tenants.id"), nullable=False),
    sa.Column("site", sa.String(200), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # grows with each change of what is found
    sa.Column("model", sa.String(100), nullable=False),  # whose vectors are searched
    sa.Column("dimensions", sa.Integer, nullable=False),
    sa.Column("created_at", UTCDateTime, nullable=False),
    sa.Column("updated_at", UTCDateTime, nullable=False),
    # The crawl that was taken in last.
    sa.Column("crawl_job_id", sa.String(36)),
    sa.Column("crawled_at", UTCDateTime),
    sa.Column("crawl_is_flagged", sa.Boolean, nullable=False, server_default=sa.false()),
    # How often its pages are asked for, as that crawl tells it.
    sa.Column("revisit", sa.JSON(none_as_null=True)),
    sa.Column("turn", sa.Integer, nullable=False, server_default="0"),  # grows with each update that begins
    sa.UniqueConstraint("tenant_id", "site"),
)

pages = sa.Table(
    "knowledge_pages",
    metadata,
    sa.Column("id", _Number, primary_key=True, autoincrement=True),
    sa.Column("site_id", sa.String(36), nullable=False),
    sa.Column("key", sa.String(2048), nullable=False),
    sa.Column("key_hash", sa.String(64), nullable=False),
    sa.Column("origin", sa.String(10), nullable=False),  # crawl or caller
    sa.Column("url", sa.String(2048)),
    sa.Column("title", sa.String(500), nullable=False),
    sa.Column("language", sa.String(12)),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("recipe", sa.Integer, nullable=False),
    sa.Column("seen_by", sa.String(36), nullable=False),  # the crawl, or the job, that had it last
    sa.Column("misses", sa.Integer, nullable=False, server_default="0"),
    sa.Column("missed_by", sa.String(36)),
    sa.Column("updated_at", UTCDateTime, nullable=False),
    sa.Column("gone_at", UTCDateTime),
    sa.Column("turn", sa.Integer, nullable=False, server_default="0"),  # of the update that had it, or let it go, last
    sa.ForeignKeyConstraint(["site_id"], ["knowledge_sites.id"], ondelete="CASCADE"),
    # By a hash: an address may be longer than an index of PostgreSQL takes.
    sa.UniqueConstraint("site_id", "key_hash"),
    sa.Index("ix_knowledge_pages_gone_at", "gone_at"),
    sqlite_autoincrement=True,
)

# Never changed: a page that changes gets others, with numbers that were never used before.
chunks = sa.Table(
    "knowledge_chunks",
    metadata,
    sa.Column("id", _Number, primary_key=True, autoincrement=True),
    sa.Column("site_id", sa.String(36), nullable=False),
    sa.Column("page_id", _Number, nullable=False),
    sa.Column("begin", sa.Integer, nullable=False),
    sa.Column("end", sa.Integer, nullable=False),
    sa.Column("heading", sa.String(300), nullable=False),
    sa.Column("words", sa.LargeBinary, nullable=False),  # see tasks.core.text.postings
    sa.Column("length", sa.Integer, nullable=False),  # in words
    sa.ForeignKeyConstraint(["site_id"], ["knowledge_sites.id"], ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["page_id"], ["knowledge_pages.id"], ondelete="CASCADE"),
    sa.Index("ix_knowledge_chunks_of_site", "site_id", "id"),
    sa.Index("ix_knowledge_chunks_of_page", "page_id"),
    sqlite_autoincrement=True,
)

embeddings = sa.Table(
    "knowledge_embeddings",
    metadata,
    sa.Column("chunk_id", _Number, primary_key=True, autoincrement=False),
    sa.Column("model", sa.String(100), primary_key=True),
    sa.Column("dimensions", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),  # one signed byte a number
    sa.ForeignKeyConstraint(["chunk_id"], ["knowledge_chunks.id"], ondelete="CASCADE"),
)


def made_by(model: Model) -> sa.ColumnElement[bool]:
    """Return which vectors are this model's: an endpoint may give those of one name another length."""
    return (embeddings.c.model == model.name) & (embeddings.c.dimensions == model.dimensions)
