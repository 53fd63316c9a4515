"""Run by Alembic; the connection and its transaction come from ``ledger.upgrade``."""

from alembic import context

from tasks.core.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
