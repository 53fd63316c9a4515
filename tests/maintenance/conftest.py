"""What sweeps SQL runs on SQLite and on PostgreSQL, as the ledger's own tests do."""

import pytest

from tasks.core.ledger import Ledger


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    """A prepared and empty ledger, on each database."""
    return either_ledger
