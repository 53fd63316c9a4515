"""What sweeps SQL runs on SQLite and on PostgreSQL, as the ledger's own tests do."""

from tests.core.ledger.conftest import ledger, postgresql, postgresql_ledger

__all__ = ["ledger", "postgresql", "postgresql_ledger"]
