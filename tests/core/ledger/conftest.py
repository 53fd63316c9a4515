"""The ledger's tests run on SQLite and on PostgreSQL alike."""

from itertools import count
from pathlib import Path

import pytest

from tasks.core.ledger import Ledger
from tests.servers import PostgreSQL

_numbers = count()


@pytest.fixture
def ledger(either_ledger: Ledger) -> Ledger:
    """A prepared and empty ledger, on each database."""
    return either_ledger


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger could be made: a database without tables, on each kind of server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.create(f"empty_{next(_numbers)}")
