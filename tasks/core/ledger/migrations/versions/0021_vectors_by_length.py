"""Vectors of one model of which an endpoint has changed the length stand beside each other until the site switches."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_TABLE = "knowledge_embeddings"
_KEY = "pk_knowledge_embeddings"
# Those of a re-index that is under way, which begins anew.
_NOT_SEARCHED = """
    DELETE FROM knowledge_embeddings WHERE NOT EXISTS (
        SELECT 1 FROM knowledge_chunks
        JOIN knowledge_sites ON knowledge_sites.id = knowledge_chunks.site_id
        WHERE knowledge_chunks.id = knowledge_embeddings.chunk_id
        AND knowledge_sites.model = knowledge_embeddings.model
        AND knowledge_sites.dimensions = knowledge_embeddings.dimensions
    )
"""


def upgrade() -> None:
    """Apply."""
    _make_key("chunk_id", "model", "dimensions")


def downgrade() -> None:
    """Undo. Vectors that no site searches by go."""
    op.execute(_NOT_SEARCHED)
    _make_key("chunk_id", "model")


def _make_key(*columns: str) -> None:
    with op.batch_alter_table(_TABLE) as table:
        table.drop_constraint(_KEY, type_="primary")
        table.create_primary_key(_KEY, list(columns))
