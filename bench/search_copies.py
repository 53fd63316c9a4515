"""A site made larger by copies of its own pages, for searches of many chunks."""

import sqlalchemy as sa

from tasks.core.ledger import Ledger
from tasks.knowledge.store.tables import chunks, embeddings, pages, sites


def copy_site(ledger: Ledger, most: int) -> int:
    """Copy pages, chunks and vectors, all of them each time, until there are ``most`` chunks; return how many."""
    with ledger.write() as connection:
        last_page, last_chunk = (
            int(connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one()) for table in (pages, chunks)
        )
        count = int(connection.execute(sa.select(sa.func.count()).select_from(chunks)).scalar_one())
        copies = -(-most // count) - 1
        for copy in range(1, copies + 1):
            left = min(count, most - copy * count)
            kept = sa.select(chunks.c.id).where(chunks.c.id <= last_chunk).order_by(chunks.c.id).limit(left)
            _copy(
                connection,
                pages,
                pages.c.id <= last_page,
                id=pages.c.id + copy * last_page,
                key_hash=pages.c.id + copy * last_page,
            )
            moved = {"id": chunks.c.id + copy * last_chunk, "page_id": chunks.c.page_id + copy * last_page}
            _copy(connection, chunks, chunks.c.id.in_(kept), **moved)
            _copy(
                connection,
                embeddings,
                embeddings.c.chunk_id.in_(kept),
                chunk_id=embeddings.c.chunk_id + copy * last_chunk,
            )
        connection.execute(sites.update().values(version=sites.c.version + 1))
    return max(count, most)


def _copy(connection: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool], **changed: object) -> None:
    columns = [changed.get(column.name, column) for column in table.columns]
    chosen = sa.select(*columns).where(which)  # type: ignore[call-overload]  # columns and expressions
    connection.execute(table.insert().from_select([column.name for column in table.columns], chosen))
